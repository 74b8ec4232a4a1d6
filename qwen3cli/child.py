"""How a module of ours is started as a child process."""

from __future__ import annotations

import sys
from pathlib import Path

_START = """import sys
sys.path[0] = sys.argv.pop(1)
from importlib import import_module
import_module(sys.argv.pop(1)).main()"""


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `main()` of `module` with `arguments`.

    Not `-m`: that would put the user's current folder on the import path, before the standard library.
    """
    root = str(Path(__file__).resolve().parents[1])
    return [sys.executable, "-c", _START, root, module, *arguments]
