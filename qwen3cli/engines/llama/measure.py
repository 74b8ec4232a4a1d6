"""How fast a model is here, measured on the parts that a chat is made of.

Prefill and decoding as llama-bench has them (random tokens, no sampling counted as speed of the model alone); decoding
includes drawing, for nobody decodes without.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from statistics import median

from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.drafting import Drafter
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.machine import Depth, Measured, ModelFacts, Placement

_PROMPT = 512
"""Tokens of a prefill, as in llama-bench's pp512."""
_DECODED = 64
_QUOTED = 192
_SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0, presence_penalty=0, seed=1)


def measure(
    facts: ModelFacts,
    placement: Placement,
    depths: Sequence[int],
    rounds: int,
    tell: Callable[[str], None],
    stop: threading.Event,
) -> Measured:
    """Load the model and measure it; `tell` hears what is measured now. Ends with `Cancelled` after `stop`."""
    tell("loading")
    started = time.perf_counter()
    weights = Weights(facts.path, placement, lambda _: None, stop)
    try:
        context = Context(weights, placement)
        load_s = time.perf_counter() - started
        try:
            return _Bench(context, weights.vocabulary.size, rounds, tell, stop).run(depths, load_s)
        finally:
            context.free()
    finally:
        weights.free()


class _Bench:
    def __init__(
        self,
        context: Context,
        vocabulary: int,
        rounds: int,
        tell: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._rounds = rounds
        self._tell = tell
        self._stop = stop
        self._random = random.Random(1)

    def run(self, depths: Sequence[int], load_s: float) -> Measured:
        context = self._context
        fitting = [depth for depth in depths if depth + _DECODED <= context.size]
        self._tell("prefill")
        size = min(_PROMPT, context.size // 2)
        prefill = self._median(lambda: size / self._fill(self._tokens(size)))
        decode = tuple(Depth(depth, self._decode(depth)) for depth in fitting)
        self._tell("first token, cold and warm")
        prompt = self._tokens(min(1024, context.size - 1))
        cold = self._median(lambda: self._first(prompt, anew=True))
        warm = self._median(lambda: self._first(prompt, anew=False))
        self._tell("drafting")
        plain, drafted = self._quoting()
        return Measured(load_s, prefill, decode, len(prompt), cold, warm, plain, drafted)

    def _tokens(self, count: int) -> list[int]:
        return [self._random.randrange(self._vocabulary) for _ in range(count)]

    def _median(self, once: Callable[[], float]) -> float:
        """The median of the rounds, after one that warms up."""
        once()
        return median(once() for _ in range(self._rounds))

    def _fill(self, tokens: Sequence[int]) -> float:
        """Seconds that evaluating takes from nothing."""
        self._context.keep_prefix([-1])
        started = time.perf_counter()
        self._add(tokens)
        self._context.settle()
        return time.perf_counter() - started

    def _add(self, tokens: Sequence[int]) -> None:
        for _ in self._context.evaluate(tokens):
            if self._stop.is_set():
                self._context.halt.cancel()

    def _decode(self, depth: int) -> float:
        """Tokens a second after `depth` of them."""
        self._tell(f"decoding after {depth:,} tokens")
        filled = self._tokens(depth) or self._tokens(1)

        def once() -> float:
            self._add(filled[self._context.keep_prefix([*filled, -1]) :])
            sampler = Sampler(_SAMPLING, self._vocabulary, self._context.size)
            started = time.perf_counter()
            for token in self._tokens(_DECODED):
                sampler.draw(self._context)
                self._context.append(token)
            self._context.settle()
            taken = time.perf_counter() - started
            sampler.free()
            return _DECODED / taken

        return self._median(once)

    def _first(self, prompt: Sequence[int], *, anew: bool) -> float:
        """Seconds to the first token of a reply."""
        sampler = Sampler(_SAMPLING, self._vocabulary, self._context.size)
        if anew:
            self._context.keep_prefix([-1])
        started = time.perf_counter()
        self._add(prompt[self._context.keep_prefix(prompt) :])
        sampler.draw(self._context)
        taken = time.perf_counter() - started
        sampler.free()
        return taken

    def _quoting(self) -> tuple[float, float]:
        """Tokens a second of a text that is quoted, without drafts and with them; the tokens are forced."""
        text = self._tokens(min(_QUOTED, self._context.size // 4))
        drafter = Drafter(self._context)

        def quote(append: Callable[[int], None]) -> float:
            self._add(text[self._context.keep_prefix([*text, -1]) :])
            started = time.perf_counter()
            for token in text:
                append(token)
            self._context.settle()
            return len(text) / (time.perf_counter() - started)

        def with_drafts(token: int) -> None:
            drafter.append(token, len(text))

        plain = self._median(lambda: quote(self._context.append))
        drafter.begin()
        return plain, self._median(lambda: quote(with_drafts))
