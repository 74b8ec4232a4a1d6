"""The REPL on a scripted desk: `python -m tests.terminal.fake_repl HISTORY [--hide-thinking]`."""

from __future__ import annotations

import sys
from pathlib import Path

from qwen3cli.terminal.console import Console
from qwen3cli.terminal.repl import run_repl
from tests.terminal.fakes import FakeDesk

if __name__ == "__main__":
    code = run_repl(FakeDesk(), Console(), Path(sys.argv[1]), hide_thinking="--hide-thinking" in sys.argv)
    sys.exit(int(code))
