"""Prefixes that are kept on the disk: a context is brought to one that another process evaluated, and its own are kept.

Which states there are, and whether they are sound, is `prefixes`' business.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.library import build
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.prefixes import PrefixFiles
from qwen3cli.machine import ModelFacts, Placement

_HEAD = 1 << 16
LEAST = 256
"""Tokens of a prompt's beginning that are worth a file."""
_WORTH = 16
"""Tokens that are worth looking for a file."""
_WRITTEN = 300e6
"""Bytes a second that taking a state out of the context and writing it takes at least."""
_SOON_S = 1.0
"""How long nobody minds that the program takes to end."""
_GAIN = 10
"""How many times that has to be saved to be waited for all the same."""


def identity(facts: ModelFacts, placement: Placement) -> bytes:
    """What a state depends on besides its tokens: the model's files, the library, the cache's type."""
    parts = [placement.kv_type, f"{placement.stretch} {placement.native}", build()]
    for path in (facts.path, *facts.further):
        with path.open("rb") as file:
            head, status = hashlib.sha256(file.read(_HEAD)).hexdigest(), os.fstat(file.fileno())
        parts += [head, str(status.st_size), str(status.st_mtime_ns)]
    return "\n".join(parts).encode()


class Kept:
    """The kept prefixes of one context; for the thread that owns it, but for `finish`."""

    def __init__(self, context: Context, files: PrefixFiles) -> None:
        self._context = context
        self._files = files
        self._writer: threading.Thread | None = None
        self._evaluated, self._seconds = 0, 0.0

    def timed(self, batches: Iterator[int]) -> Iterator[int]:
        """Pass on how far an evaluation has come, and learn how long it takes."""
        done, started = 0, time.monotonic()
        latest = started
        try:
            for done in batches:
                latest = time.monotonic()
                yield done
            self._context.settle()
            latest = time.monotonic()
        finally:
            # What was broken off took some time, too, and came to nothing.
            self._took(done, latest - started)

    def _took(self, tokens: int, seconds: float) -> None:
        self._evaluated += tokens
        self._seconds += seconds

    def _cost(self, tokens: int) -> float:
        """Seconds that evaluating so many tokens takes, however these came to be there."""
        return self._seconds * tokens / max(1, self._evaluated)

    def bring(self, prompt: Sequence[int]) -> None:
        """Put a kept beginning of `prompt` into the context, if that is clearly more than it has of it."""
        held = common_prefix(self._context.tokens, prompt)
        if len(prompt) - held < _WORTH:
            return
        found = self._files.longest(prompt, self._context.size, held)
        if found is None:
            return
        stored, common = found
        if common - held < _WORTH or (common < len(stored.tokens) and not self._context.goes_back):
            return
        state = self._files.read(stored)
        if state is not None and self._context.restore(stored.tokens.tolist(), state):
            self._took(len(stored.tokens), stored.seconds)

    def keep(self, session: str | None = None, *, ends: bool = False) -> None:
        """Keep what the context holds now, as what a `session` goes on with or for all; writing goes on by itself.

        As the program `ends`, only what is soon written, or is worth it, is kept.
        """
        if ends:
            # It may be what is wanted.
            self.finish()
        tokens, size = [*self._context.tokens], self._context.state_size()
        seconds = self._cost(len(tokens))
        if not tokens or not self._files.wants(tokens, size, seconds, session):
            return
        if ends and session is not None and not self._is_worth_waiting(tokens, size, session):
            return
        # One at a time: each is as large as the cache.
        self.finish()
        try:
            state = self._context.state()
        except MemoryError:
            return

        def write() -> None:
            # Where nothing can be kept, the next process evaluates it again, and that is all.
            with suppress(OSError):
                self._files.write(tokens, state, seconds, session)

        self._writer = threading.Thread(target=write, name="prefix")
        self._writer.start()

    def _is_worth_waiting(self, tokens: Sequence[int], size: int, session: str) -> bool:
        """Whether a person should wait for it to be written: not for long, or not compared to what it saves."""
        stored = self._files.of_session(session)
        kept = common_prefix(stored.tokens.tolist(), tokens) if stored is not None else 0
        return size / _WRITTEN < max(_SOON_S, self._cost(len(tokens) - kept) / _GAIN)

    def finish(self) -> None:
        """Wait until all is written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
