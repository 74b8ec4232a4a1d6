"""Evaluating ahead: while nobody waits, the context is brought to what the next prompt will begin with.

A thinking model's history is not what it wrote (the thinking goes, other tokens stand before the answer), so without
this the first thing that every turn does is to read the last answer again. What is evaluated is exactly what the next
prompt would have evaluated; nothing is shifted or patched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from qwen3cli.engines.llama.context import Cancelled, Context
from qwen3cli.engines.llama.kept import LEAST, Kept
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.errors import QwenError
from qwen3cli.machine import MICRO_BATCH


class Ahead:
    """One such evaluation. `run` is for the thread that owns the context, `make_way` for whoever needs it next."""

    def __init__(
        self,
        context: Context,
        expected: Callable[[], Sequence[int]],
        kept: Kept | None = None,
        *,
        stable: bool = False,
        then: Callable[[Sequence[int]], Iterable[object]] = lambda _tokens: (),
    ) -> None:
        """`expected` gives the tokens; it is called by `run`, since rendering takes time, too.

        What `kept` has of them is not evaluated; what is `stable`, and will come in other conversations, it gets.
        What is to be done with the tokens `then` has never to be waited for.
        """
        self._context = context
        self._kept = kept
        self._stable = stable
        self._expected = expected
        self._then = then
        self._goes_on = False
        self._tokens: Sequence[int] | None = None
        self._stopped = False

    def run(self) -> None:
        """Evaluate what is not there yet, by micro-batches, until it is all there or somebody needs the context."""
        if self._stopped:
            return
        # Whoever hurried the one before has been let by. Nobody hurries this one before it says what it evaluates.
        self._context.halt.resume()
        try:
            tokens = self._expected()
            if len(tokens) < self._context.size:
                self._evaluate(tokens)
                self._go_on(tokens)
        except (Cancelled, QwenError):
            # What keeps a conversation from being rendered or evaluated is told to whoever waits for the next reply.
            return

    def _evaluate(self, tokens: Sequence[int]) -> None:
        context = self._context
        # Known before it is asked whether to stop: then whoever says stop afterwards sees what is being evaluated.
        self._tokens = tokens
        if self._stopped or common_prefix(context.tokens, tokens) == len(tokens):
            return
        if self._kept is not None:
            self._kept.bring(tokens)
        cached, started = context.keep_prefix(tokens), time.monotonic()
        for _ in context.evaluate(tokens[cached:]):
            if self._stopped:
                return
        if self._kept is not None and self._stable and len(tokens) - cached >= LEAST:
            self._kept.keep(time.monotonic() - started)

    def _go_on(self, tokens: Sequence[int]) -> None:
        # Known before it is asked whether to stop, as above.
        self._goes_on = True
        if not self._stopped:
            for _ in self._then(tokens):
                if self._stopped:
                    return

    def make_way(self, prompt: Sequence[int]) -> None:
        """End it: after the running micro-batch if `prompt` begins with that, at once if it is of no use to it."""
        self._stopped = True
        tokens = self._tokens
        if tokens is None:
            return
        running = min(len(self._context.tokens) + MICRO_BATCH, len(tokens))
        if self._goes_on or common_prefix(tokens, prompt) < running:
            self._context.halt.hurry()
