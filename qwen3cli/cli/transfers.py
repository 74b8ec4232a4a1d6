"""What a person or a script sees of a transfer: one bar a file, and what the server has to say."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from qwen3cli.cli.session import Session
from qwen3cli.terminal.progress import Progress

if TYPE_CHECKING:
    from typing_extensions import Self

_EVENT_EVERY_S = 0.1


class TransferProgress:
    """A bar for the person; for a script that reads `--json` up to ten events a second, and one at a file's end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bar: Progress | None = None
        self._name = ""
        self._fresh = True
        self._told = 0.0

    def begin(self, name: str) -> None:
        """From now on it is about this file, or this step."""
        self.end()
        self._name, self._fresh = name, True
        self._bar = Progress(self._session.console, name, delay=0.1)
        self._bar.start()

    def moved(self, done: int, total: int | None) -> None:
        """So many bytes are there; the first call for a file says what was there before."""
        if self._bar is not None:
            (self._bar.resume if self._fresh else self._bar.update)(done, total or 0)
        self._fresh = False
        now = time.monotonic()
        if self._session.as_json and (done == total or now - self._told >= _EVENT_EVERY_S):
            self._told = now
            self._session.console.json(
                {"event": "progress", "file": self._name, "bytes": done, "total": total}
            )

    def said(self, text: str) -> None:
        """Something that the person should know."""
        self._session.notice(text)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
