"""What a server writes to its stderr, and what happens to it: one file a server, bounded and private.

Knows nothing of servers. A disk that takes no more costs the file's lines, not the server.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from qwen3cli.private import make_folder

_LIMIT: Final = 1 << 20
"""Bytes of one file; the one before it is kept beside it."""
_LINE: Final = 500
TAIL: Final = 20


class ServerLog:
    """The log of one server; for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: deque[str] = deque(maxlen=TAIL)
        self._rest = b""

    def begin(self, what: str) -> None:
        """Mark a new start; `lines` forgets what was before."""
        self._rest = b""
        self.note(what)
        self._lines.clear()

    def note(self, text: str) -> None:
        """Write a line of our own."""
        self.write(f"[qwen3] {text}\n".encode(errors="replace"))

    def write(self, data: bytes) -> None:
        """Append what the server wrote, as it stands."""
        *whole, rest = (self._rest + data).split(b"\n")
        self._lines.extend(
            line[:_LINE].decode(errors="replace").rstrip("\r") for line in whole if line.strip()
        )
        self._rest = rest[:_LINE]
        with suppress(OSError):
            self._append(data)

    def lines(self) -> tuple[str, ...]:
        """The last lines since the latest start."""
        rest = self._rest.decode(errors="replace")
        return tuple([*self._lines, *([rest] if rest.strip() else [])][-TAIL:])

    def _append(self, data: bytes) -> None:
        make_folder(self.path.parent)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(handle, 0o600)
            if os.fstat(handle).st_size > _LIMIT:
                self.path.replace(self.path.with_suffix(".log.old"))
                os.close(handle)
                handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            os.write(handle, data)
        finally:
            os.close(handle)
