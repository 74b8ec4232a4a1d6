"""Who fetches what: the chunks of a file that are missing, dealt out to connections from the front.

A connection takes a long span and streams it. Spans grow shorter towards the end, so that all end together; and of a
span that takes long, a free connection takes half. Knows neither network nor disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from qwen3cli.models.partial import CHUNK

_SHORTEST, _LONGEST = 4, 64
"""Chunks of a span."""
_SLOW_S: Final = 10.0
"""A span that has taken so long is shared."""
_FREE, _TAKEN, _THERE = range(3)


@dataclass(eq=False)
class Span:
    """Bytes that one connection fetches; `end` may come nearer meanwhile, `crc` is that of the chunk under way."""

    position: int
    end: int
    crc: int = 0
    begun: float = field(default_factory=time.monotonic)


class Spans:
    """What is there, under way, and missing. May be used from several threads."""

    def __init__(self, size: int, there: Iterable[bool], connections: int, slow_s: float = _SLOW_S) -> None:
        self._size = size
        self._states = bytearray(_THERE if one else _FREE for one in there)
        self._connections = connections
        self._slow_s = slow_s
        self._under_way: set[Span] = set()
        self._lock = threading.RLock()

    def take(self, most: int | None = None) -> Span | None:
        """A span to fetch, of at most so many chunks; None while there is nothing to do."""
        with self._lock:
            span = self._free(most) or self._half()
            if span:
                self._under_way.add(span)
            return span

    def fetched(self, span: Span) -> bool:
        """Notes that the chunk before the span's position is there; False if the span is done."""
        with self._lock:
            self._states[(span.position - 1) // CHUNK] = _THERE
            if span.position < span.end:
                return True
            self._under_way.discard(span)
            return False

    def give_back(self, span: Span) -> None:
        """Leaves the rest of a span, and what has come of its chunk, to others."""
        with self._lock:
            if span in self._under_way:
                self._under_way.discard(span)
                self._set(span.position // CHUNK, _chunks(span.end), _FREE)

    def lose(self, chunk: int) -> None:
        """A chunk is missing after all."""
        with self._lock:
            self._states[chunk] = _FREE

    def done(self) -> int:
        """Bytes that have come."""
        with self._lock:
            whole = self._states.count(_THERE) * CHUNK
            if self._states and self._states[-1] == _THERE:
                whole -= len(self._states) * CHUNK - self._size
            return whole + sum(span.position % CHUNK for span in self._under_way)

    def _free(self, most: int | None) -> Span | None:
        first = self._states.find(_FREE)
        if first < 0:
            return None
        if most is None:
            most = len(self._states) if self._connections == 1 else self._share()
        last = first
        while last < min(first + most, len(self._states)) and self._states[last] == _FREE:
            last += 1
        self._set(first, last, _TAKEN)
        return Span(first * CHUNK, min(last * CHUNK, self._size))

    def _share(self) -> int:
        return min(max(self._states.count(_FREE) // (2 * self._connections), _SHORTEST), _LONGEST)

    def _half(self) -> Span | None:
        """The second half of the longest of the spans that take long."""
        now = time.monotonic()
        slow = (span for span in self._under_way if now - span.begun >= self._slow_s)
        longest = max(slow, key=lambda span: span.end - span.position, default=None)
        if longest is None:
            return None
        first, last = longest.position // CHUNK + 1, _chunks(longest.end)
        if last - first < 2:
            return None
        middle = (first + last) // 2
        half = Span(middle * CHUNK, longest.end)
        longest.end = middle * CHUNK
        return half

    def _set(self, first: int, last: int, state: int) -> None:
        self._states[first:last] = bytes([state]) * (last - first)


def _chunks(size: int) -> int:
    return -(-size // CHUNK)
