"""Connections that fetch the missing chunks of a file, while its beginning is hashed as it grows.

The main thread hashes, reports and is the one to be interrupted; it reads back what the disk has, so that what it
vouches for is what lies there. Knows nothing of what the hash should be.
"""

from __future__ import annotations

import hashlib
import threading
import time
import zlib
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from qwen3cli.errors import NetworkError, QwenError
from qwen3cli.models.hitches import Hitch, Patience, host_of
from qwen3cli.models.partial import CHUNK, Partial
from qwen3cli.models.spans import Span, Spans

if TYPE_CHECKING:
    from hashlib import _Hash as Hasher  # pyright: ignore[reportPrivateUsage] (it has no other name)

    from qwen3cli.models.answers import Source
    from qwen3cli.models.download import Watch
    from qwen3cli.models.http import Answer

_LOOK_S: Final = 0.1
"""How often progress is told, and how often somebody without work looks for some."""
_FAREWELL_S: Final = 1.0
"""What connections get to end; they are daemons, and what they do later changes nothing."""
_LOSSES: Final = 3


class Transfer:
    """One run of a download, from what is there to all of it."""

    def __init__(
        self, source: Source, partial: Partial, watch: Watch, patience: Patience, connections: int
    ) -> None:
        there = [partial.has(chunk) for chunk in range(partial.chunks)]
        self.spans = Spans(partial.version.size, there, connections)
        self._source = source
        self._partial = partial
        self._watch = watch
        self._patience = patience
        self._news = threading.Condition()
        self._stopped = threading.Event()
        self._answers: set[Answer] = set()
        self._running = connections
        self._failure: BaseException | None = None
        self._said: list[str] = []
        self._last_said = ""
        self._told_at = 0.0

    def run(self, span: Span | None, opening: Answer | None, hashes: Collection[str]) -> Mapping[str, str]:
        """Fetches what is missing, with the first answer for its span if there is one; gives the hashes asked for."""
        found = {name: new_hash(name, self._partial.version.size) for name in hashes}
        first = (span, opening)
        workers = [
            threading.Thread(target=self._work, args=first if n == 0 else (None, None), daemon=True)
            for n in range(self._running)
        ]
        try:
            self._report(0)
            for worker in workers:
                worker.start()
            for chunk in range(self._partial.chunks):
                data = self._await(chunk)
                for one in found.values():
                    one.update(data)
                self._report()
            self._report(0)
        finally:
            self._stop(workers)
        return {name: one.hexdigest() for name, one in found.items()}

    def _await(self, chunk: int) -> bytes:
        """The chunk, once it is there and the disk gives back what was written."""
        losses = 0
        while True:
            if self._failure:
                raise self._failure
            if self._partial.has(chunk):
                data = self._partial.read(chunk)
                if data is not None:
                    return data
                losses += 1
                if losses > _LOSSES:
                    name = self._partial.version.name
                    raise QwenError(f"the disk does not keep what is written of `{name}`", "check the disk")
                self._partial.forget(chunk)
                self.spans.lose(chunk)
            with self._news:
                self._news.wait(_LOOK_S)
            self._report()

    def _report(self, every: float = _LOOK_S) -> None:
        while self._said:
            self._watch.said(self._said.pop(0))
        now = time.monotonic()
        if now - self._told_at >= every:
            self._told_at = now
            self._watch.moved(self.spans.done(), self._partial.version.size)

    def _stop(self, workers: Sequence[threading.Thread]) -> None:
        self._stopped.set()
        with self._news:
            self._news.notify_all()
        for answer in list(self._answers):
            answer.abort()
        deadline = time.monotonic() + _FAREWELL_S
        for worker in workers:
            if worker.is_alive():
                worker.join(max(deadline - time.monotonic(), 0))

    def _work(self, span: Span | None, answer: Answer | None) -> None:
        """A connection: one span after the other."""
        try:
            while not self._stopped.is_set():
                span = span or self.spans.take()
                if span is None:
                    with self._news:
                        self._news.wait(_LOOK_S)
                elif not self._fetch(span, answer):
                    return
                span = answer = None
        except BaseException as error:
            self._fail(error)

    def _fetch(self, span: Span, answer: Answer | None) -> bool:
        """Whether all of the span has come; if not, this connection is not worth another try."""
        failures = 0
        while True:
            begin = span.position
            try:
                with self._held(answer or self._source.ask(begin, span.end)) as held:
                    if self._copy(span, held):
                        return True
                    hitch = Hitch(f"`{host_of(held.url)}` sent less than it said")
            except Hitch as caught:
                hitch = caught
            answer = None
            if self._stopped.is_set():
                return False
            failures = 1 if span.position - begin >= CHUNK else failures + 1
            try:
                pause = self._patience.pause(failures, hitch)
            except NetworkError as error:
                self._retire(span, error)
                return False
            if failures > 1 or hitch.wait_s is not None:
                self._say(f"{hitch.message}: trying again in {pause:.0f} s")
            self._stopped.wait(pause)

    def _copy(self, span: Span, answer: Answer) -> bool:
        """Writes what comes; whether that was all of the span."""
        asked, size = span.end, self._partial.version.size
        blocks = answer.blocks()
        for block in blocks:
            if span.position == 0 and _is_page(block):
                raise self._source.page(answer.url)
            view = memoryview(block)
            while view:
                if self._stopped.is_set():
                    return False
                piece = view[: min(CHUNK - span.position % CHUNK, size - span.position)]
                self._partial.write(piece, span.position)
                span.crc = zlib.crc32(piece, span.crc)
                span.position += len(piece)
                view = view[len(piece) :]
                at_end = span.position % CHUNK == 0 or span.position == size
                if at_end and not self._is_more(span):
                    if not view and span.position == asked:
                        with suppress(Hitch):
                            next(
                                blocks, None
                            )  # The end of the body, so that the connection can be used again.
                    return True
        return False

    def _is_more(self, span: Span) -> bool:
        """Notes a chunk that has come; whether the span goes on."""
        crc, span.crc = span.crc, 0
        more = self.spans.fetched(span)
        self._partial.mark((span.position - 1) // CHUNK, crc)
        with self._news:
            self._news.notify_all()
        return more

    @contextmanager
    def _held(self, answer: Answer) -> Generator[Answer]:
        """Closes it at the end, and knows it until then, to end it when all is to end."""
        self._answers.add(answer)
        try:
            yield answer
        finally:
            self._answers.discard(answer)
            answer.close()

    def _retire(self, span: Span, error: NetworkError) -> None:
        """One connection less: a server may not want so many. The last one's error is the download's."""
        self.spans.give_back(span)
        with self._news:
            self._running -= 1
            left = self._running
        if left:
            self._say(f"{error.message}: going on with {left} of the connections")
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._news:
            self._failure = self._failure or error
            self._news.notify_all()

    def _say(self, text: str) -> None:
        """Connections that meet the same say it once."""
        if text != self._last_said:
            self._last_said = text
            self._said.append(text)


def _is_page(block: bytes) -> bool:
    return block[:200].lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))


def new_hash(name: str, size: int) -> Hasher:
    """A new hash; "git" is that of git's blobs, SHA-1 of a header and the content (gitformat-loose, "blob")."""
    if name != "git":
        return hashlib.new(name, usedforsecurity=False)
    hasher = hashlib.sha1(usedforsecurity=False)
    hasher.update(b"blob %d\0" % size)
    return hasher
