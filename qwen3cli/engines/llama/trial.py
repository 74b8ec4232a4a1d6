"""Loading a model without allocating it, in a child process: llama.cpp aborts on some well-formed nonsense.

`main` is the child; `trial_load` starts it and reads its fate.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from qwen3cli.engines.child import command

TIME_LIMIT_S = 60.0
_CANNOT = 4


def trial_load(path: Path) -> str | None:
    """Why llama.cpp cannot load `path`; None when it can."""
    try:
        child = subprocess.run(
            command("qwen3cli.engines.llama.trial", str(path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Without it an abort would start a debugger to print the stack.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not load within {TIME_LIMIT_S:g} seconds"
    if child.returncode == 0:
        return None
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    if child.returncode == _CANNOT and lines:
        return lines[-1]
    return _fate(child.returncode, lines)


def _fate(code: int, lines: list[str]) -> str:
    """What to say of a child that died: the assertion that llama.cpp printed, or else the signal."""
    told = [line for line in lines if "GGML_ASSERT" in line or "terminate called" in line or "what()" in line]
    how = f"code {code}"
    if code < 0:
        with suppress(ValueError):
            how = signal.Signals(-code).name
    return f"it makes llama.cpp abort ({how})" + (f": {told[-1].strip()}" if told else "")


def main() -> None:
    """The child: exit 0 when the file loads, 4 with the reason on stderr when it does not."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from qwen3cli.engines.llama.library import load_without_memory

    reason = load_without_memory(Path(sys.argv[1]))
    if reason is not None:
        os.write(2, reason.encode("utf-8", "replace"))
        sys.exit(_CANNOT)
