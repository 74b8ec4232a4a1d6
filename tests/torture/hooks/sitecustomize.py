"""Loaded by any Python that has this folder on its path: counts a process's steps, and strikes at one of them.

A step is opening, renaming or removing something below TORTURE_WATCH, or a write, a sync or a lock of any file; each
is a line in TORTURE_LOG. At step TORTURE_AT the process is killed `before` it, `after` it or `half` through a write;
or the disk that holds TORTURE_WATCH is filled (`fill`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")


class _Steps:
    """Counts, tells and strikes; serves all threads."""

    def __init__(self, watched: str, log: str, at: int, how: str) -> None:
        self._watched = watched
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._at = at
        self._how = how
        self._count = 0
        self._busy = threading.Lock()

    def step(self, event: str, path: str) -> str:
        """To be called before it; gives how to kill once it has begun, `half` or `after`."""
        with self._busy:
            number = self._count
            self._count += 1
            os.write(self._log, f"{event} {path}\n".encode("utf-8", "replace"))
        if number != self._at:
            return ""
        if self._how == "before":
            strike()
        if self._how == "fill":
            self._at = -1
            self._fill()
            return ""
        return self._how

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The interpreter's own reports."""
        if event == "open" or event in _CHANGES:
            path = arguments[0]
            if isinstance(path, (str, bytes, os.PathLike)):
                text = os.fsdecode(cast(str, path))
                if text.startswith(self._watched) and not text.endswith("filler") and self.step(event, text):
                    strike()
            elif event == "os.truncate" and self.step(event, ""):
                strike()

    def wrap(self, event: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that the interpreter does not report."""

        def counted(*arguments: Any) -> Any:
            left = self.step(event, "")
            if left == "half" and event == "write":
                function(arguments[0], arguments[1][: len(arguments[1]) // 2], *arguments[2:])
                strike()
            result = function(*arguments)
            if left in ("half", "after"):
                strike()
            return result

        return counted

    def _fill(self) -> None:
        descriptor = os.open(os.path.join(self._watched, "filler"), os.O_WRONLY | os.O_CREAT)  # noqa: PTH118
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, b"x" * 4096)
        os.close(descriptor)


def strike() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if "TORTURE_LOG" in os.environ:
    # A process that this one starts is not meant.
    _taken = {key: os.environ.pop(f"TORTURE_{key}", "") for key in ("WATCH", "LOG", "AT", "HOW")}
    _steps = _Steps(_taken["WATCH"], _taken["LOG"], int(_taken["AT"] or -1), _taken["HOW"])
    sys.addaudithook(_steps.watch)
    os.fsync = _steps.wrap("sync", os.fsync)
    if sys.platform != "win32":
        import fcntl

        os.pwrite = _steps.wrap("write", os.pwrite)
        fcntl.flock = _steps.wrap("lock", fcntl.flock)
