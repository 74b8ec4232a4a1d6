"""Evaluating ahead: while nobody waits, the context is brought to what the next prompt will begin with.

A thinking model's history is not what it wrote (the thinking goes, other tokens stand before the answer), so without
this the first thing that every turn does is to read the last answer again. What is evaluated is exactly what the next
prompt would have evaluated; nothing is shifted or patched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from qwen3cli.engines.llama.context import Cancelled, Context
from qwen3cli.engines.llama.kept import LEAST, Kept
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.errors import QwenError
from qwen3cli.machine import MICRO_BATCH

QUIET_S = 3.0
"""How long nothing is wanted before what a session goes on with is kept."""
_MOMENT_S = 0.5


class Ahead:
    """One such evaluation. `run` is for the thread that owns the context, `make_way` for whoever needs it next."""

    def __init__(
        self,
        context: Context,
        expected: Callable[[], Sequence[int]],
        kept: Kept | None = None,
        *,
        stable: bool = False,
        session: str | None = None,
        then: Callable[[Sequence[int]], Iterable[object]] = lambda _tokens: (),
    ) -> None:
        """`expected` gives the tokens; it is called by `run`, since rendering takes time, too.

        What `kept` has of them is not evaluated; what is `stable`, and will come in other conversations, it gets, and
        what a later process goes on with, if this is of a `session`. What is to be done with the tokens `then` has
        never to be waited for.
        """
        self._context = context
        self._kept = kept
        self._stable = stable
        self._expected = expected
        self._then = then
        self._goes_on = False
        self._tokens: Sequence[int] | None = None
        self._session = session if kept is not None else None
        self._count: int | None = None
        self._counted = threading.Event()
        self._stopped = False
        self._left, self._over = threading.Event(), threading.Event()

    def run(self) -> None:
        """Evaluate what is not there yet, by micro-batches, until it is all there or somebody needs the context."""
        if self._stopped:
            return
        # Whoever hurried the one before has been let by. Nobody hurries this one before it says what it evaluates.
        self._context.halt.resume()
        try:
            tokens = self._expected()
            self._count = len(tokens)
            self._counted.set()
            if len(tokens) < self._context.size:
                self._evaluate(tokens)
                self._over.set()
                self._go_on(tokens)
                self._keep(tokens)
        except (Cancelled, QwenError):
            # What keeps a conversation from being rendered or evaluated is told to whoever waits for the next reply.
            return
        finally:
            self._counted.set()
            self._over.set()

    def _keep(self, tokens: Sequence[int]) -> None:
        """Keep it when the person has been reading for a while: who answers at once shall not wait for that."""
        if self._kept is None or self._session is None or self._left.wait(QUIET_S):
            return
        # What was said before and taken back since then may still be there, after it.
        if len(self._context.tokens) == len(tokens):
            self._kept.keep(self._session)

    def end(self) -> None:
        """Nobody comes any more: what is of a session has a moment to come to its end."""
        self._left.set()
        if self._session is not None:
            self._over.wait(_MOMENT_S)

    def keep_last(self) -> None:
        """Keep as much of it as there is, as the program ends; for the thread that owns the context."""
        if self._kept is not None and self._session is not None and self._tokens is not None:
            self._context.keep(common_prefix(self._context.tokens, self._tokens))
            self._kept.keep(self._session, ends=True)

    def count(self, patience: float) -> int | None:
        """How many tokens are expected, whether they fit or not; None if that is not known after `patience` seconds."""
        self._counted.wait(patience)
        return self._count

    def _evaluate(self, tokens: Sequence[int]) -> None:
        context = self._context
        # Known before it is asked whether to stop: then whoever says stop afterwards sees what is being evaluated.
        self._tokens = tokens
        if self._stopped or common_prefix(context.tokens, tokens) == len(tokens):
            return
        if self._kept is not None:
            self._kept.bring(tokens)
        cached = context.keep_prefix(tokens)
        batches = context.evaluate(tokens[cached:])
        for _ in self._kept.timed(batches) if self._kept is not None else batches:
            if self._stopped:
                return
        if self._kept is not None and self._stable and len(tokens) - cached >= LEAST:
            self._kept.keep()

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
        self._left.set()
        tokens = self._tokens
        if tokens is None:
            return
        running = min(len(self._context.tokens) + MICRO_BATCH, len(tokens))
        if self._goes_on or common_prefix(tokens, prompt) < running:
            self._context.halt.hurry()
