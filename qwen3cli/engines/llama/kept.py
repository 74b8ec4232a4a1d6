"""Prefixes that are kept on the disk: a context is brought to one that another process evaluated, and its own are kept.

Which states there are, and whether they are sound, is `prefixes`' business.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.library import build
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.prefixes import PrefixFiles
from qwen3cli.machine import ModelFacts, Placement

_HEAD = 1 << 16
LEAST = 256
"""Tokens that are worth a file, and worth reading one."""


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

    def bring(self, prompt: Sequence[int]) -> None:
        """Put a kept beginning of `prompt` into the context, if that is clearly more than it has of it."""
        if len(prompt) < LEAST:
            return
        found = self._files.longest(prompt, self._context.size)
        if found is None:
            return
        stored, common = found
        if common < len(stored.tokens) and not self._context.goes_back:
            return
        if common - common_prefix(self._context.tokens, prompt) < LEAST:
            return
        state = self._files.read(stored)
        if state is not None:
            self._context.restore(stored.tokens.tolist(), state)

    def keep(self, seconds: float) -> None:
        """Keep what the context holds now, which took so long to evaluate; writing goes on by itself."""
        tokens = tuple(self._context.tokens)
        if not self._files.wants(tokens, self._context.state_size(), seconds):
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
                self._files.write(tokens, state, seconds)

        self._writer = threading.Thread(target=write, name="prefix")
        self._writer.start()

    def finish(self) -> None:
        """Wait until all is written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
