"""Lines out of a stream of bytes, each of bounded length; knows of JSON-RPC only where it writes an answer's number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 8 << 20
"""Bytes of one message: a longer one is not read, for no model could take it."""
_EDGE: Final = 4096

_ID = rb'"id"\s*:\s*(?P<id>\d{1,15}|"[^"\\]{1,64}")'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"'
# The number stands before the result or behind it; inside of texts quotes are escaped, so that these cannot match.
_BEFORE = re.compile(rb"\A\s*\{\s*(?:" + _VERSION + rb"\s*,\s*)?" + _ID + rb"\s*,")
_BEHIND = re.compile(
    rb"[}\]]\s*,\s*(?:" + _VERSION + rb"\s*,\s*)?" + _ID + rb"\s*(?:,\s*" + _VERSION + rb"\s*)?\}\s*\Z"
)


@dataclass(frozen=True)
class TooLong:
    """A line that was not kept: its size, its beginning and its end."""

    size: int
    head: bytes
    tail: bytes


class Lines:
    """Puts blocks together to lines, in time linear to what comes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._head = self._tail = b""

    def feed(self, block: bytes) -> list[bytes | TooLong]:
        """The lines that `block` ends."""
        *ends, rest = block.split(b"\n")
        found: list[bytes | TooLong] = []
        for end in ends:
            self._add(end)
            found.append(self._take())
        self._add(rest)
        return found

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
            return
        if not self._head:
            kept = b"".join(self._parts)
            self._head, self._tail, self._parts = (kept + part)[:_EDGE], kept[-_EDGE:], []
        self._tail = (self._tail + part[-_EDGE:])[-_EDGE:]

    def _take(self) -> bytes | TooLong:
        taken = (
            b"".join(self._parts)
            if self._size <= self._limit
            else TooLong(self._size, self._head, self._tail)
        )
        self._parts, self._size, self._head, self._tail = [], 0, b"", b""
        return taken


def answered(line: bytes | TooLong) -> int | str | None:
    """Which request a line answers that cannot be read as a whole, if that can be told."""
    head, tail = (line.head, line.tail) if isinstance(line, TooLong) else (line[:_EDGE], line[-_EDGE:])
    found = _BEFORE.match(head) or _BEHIND.search(tail)
    if found is None:
        return None
    text = found["id"].decode(errors="replace")
    return text[1:-1] if text.startswith('"') else int(text)
