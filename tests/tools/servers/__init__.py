"""Servers that the tests run as processes: one written with the SDK, and one that does what it should not."""
