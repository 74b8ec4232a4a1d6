"""`python -m qwen3cli` is `qwen3`."""

from qwen3cli.cli import run

run()
