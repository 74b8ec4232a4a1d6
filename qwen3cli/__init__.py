"""qwen3cli: a local chat runner for the Qwen3 family."""

__version__ = "0.1.0"
