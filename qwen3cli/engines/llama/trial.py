"""A first use of a model in a child process: llama.cpp aborts on some well-formed nonsense, and not only at loading.

`main` is the child; `trial_load` starts it and reads its fate.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from qwen3cli.child import command
from qwen3cli.errors import InvalidFile, NotEnough, QwenError
from qwen3cli.machine import Placement

TIME_LIMIT_S = 60.0
_SLOWEST_READ = 50 * 2**20  # bytes per second of a disk that is still waited for
_CANNOT, _NOT_ENOUGH = 4, 6

_TEXT = "".join(
    map(chr, (*range(1, 0x800), *range(0x800, 0xD800, 0x400), *range(0x10000, 0x110000, 0x10000)))
)
"""Every byte that UTF-8 has."""


def trial_load(path: Path) -> str | None:
    """Why llama.cpp cannot run `path`, a sentence without its full stop; None when it can.

    A machine without the memory says nothing about the file: that counts as good, and the real load will tell.
    """
    limit = TIME_LIMIT_S + path.stat().st_size / _SLOWEST_READ
    try:
        child = subprocess.run(
            command("qwen3cli.engines.llama.trial", str(path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Without it an abort would start a debugger to print the stack.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"llama.cpp did not load `{path}` and compute a token within {limit:.0f} seconds"
    if child.returncode in (0, _NOT_ENOUGH):
        return None
    if child.returncode == -getattr(signal, "SIGKILL", 9):
        raise NotEnough(f"the system killed the first trial of `{path}`, probably for want of memory")
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    if child.returncode == _CANNOT and lines:
        return lines[-1]
    return _fate(path, child.returncode, lines)


_SOURCE = re.compile(r"\S+/(?=[^/\s]+:\d+:)")
"""The folder that llama.cpp was compiled in, before a source file's name and line."""


def _fate(path: Path, code: int, lines: list[str]) -> str:
    """What to say of a child that died: the assertion that llama.cpp printed, or else the signal."""
    told = [line for line in lines if "GGML_ASSERT" in line or "terminate called" in line or "what()" in line]
    how = f"code {code}"
    if code < 0:
        with suppress(ValueError):
            how = signal.Signals(-code).name
    return f"`{path}` makes llama.cpp abort ({how})" + (
        f": {_SOURCE.sub('', told[-1]).strip()}" if told else ""
    )


def main() -> None:
    """The child: exit 0 when the file runs, 4 with the reason on stderr when not, 6 when memory lacks."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _use(Path(sys.argv[1]))
    except NotEnough:
        sys.exit(_NOT_ENOUGH)
    except QwenError as error:
        os.write(2, error.message.encode("utf-8", "replace"))
        sys.exit(_CANNOT)


def _use(path: Path) -> None:
    """Load the file, tokenize every byte, compute a few tokens at once and one alone."""
    from qwen3cli.engines.llama.context import Context
    from qwen3cli.engines.llama.threads import physical_cores
    from qwen3cli.engines.llama.weights import Weights

    placement = Placement(256, physical_cores(), gpu_layers=0)
    weights = Weights(path, placement, lambda _fraction: None, threading.Event())
    tokens = weights.vocabulary.tokenize(_TEXT) or [0]
    context = Context(weights, placement)
    for _ in context.evaluate(tokens[:8]):
        pass
    context.append(tokens[-1])
    if not context.computes():
        raise InvalidFile(f"`{path}` computes no numbers: its weights are damaged")
