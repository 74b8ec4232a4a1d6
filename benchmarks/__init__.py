"""Measures this program against its rivals. Run by `make bench`, never by tests: timings depend on the machine."""
