"""Measures this program against its rivals. Run by `make bench`, never by tests: timings depend on the machine."""

# Before llama.cpp is loaded by any of them: it decides how its threads wait.
import qwen3cli.engines.llama as llama

__all__ = ["llama"]
