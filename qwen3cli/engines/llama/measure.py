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
from qwen3cli.engines.llama.drafting import Appender, Drafter, appender
from qwen3cli.engines.llama.loading import Loaded, loaded
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.machine import Depth, Drafts, Gain, Measured, ModelFacts, Placement

_PROMPT = 512
"""Tokens of a prefill, as in llama-bench's pp512."""
_DECODED = 64
_QUOTED = 192
_WRITTEN = 192
_BEGINNING = "How a bicycle works, told step by step for somebody who has never seen one:\n\n1."
_SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0, presence_penalty=0, seed=1)


def measure(
    facts: ModelFacts,
    placement: Placement,
    drafts: Drafts,
    depths: Sequence[int],
    rounds: int,
    tell: Callable[[str], None],
    stop: threading.Event,
) -> Measured:
    """Load the model and measure it; `tell` hears what is measured now. Ends with `Cancelled` after `stop`."""
    tell("loading")
    started = time.perf_counter()
    models = loaded(facts, placement, drafts, lambda _: None, stop)
    load_s = time.perf_counter() - started
    try:
        return _Bench(models, rounds, tell, stop).run(depths, load_s)
    finally:
        models.free()


class _Bench:
    def __init__(
        self,
        models: Loaded,
        rounds: int,
        tell: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._models = models
        self._context = models.context
        self._vocabulary = models.weights.vocabulary.size
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
        by_model = self._writing() if self._models.small is not None else None
        return Measured(load_s, prefill, decode, len(prompt), cold, warm, plain, drafted, by_model)

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
        # What is quoted is looked up: the small model, if there is one, would only be in the way.
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

    def _writing(self) -> Gain:
        """A text that the model writes itself, without drafts and with the small model's."""
        vocabulary = self._models.weights.vocabulary
        prompt = vocabulary.tokenize(_BEGINNING)
        plain, drafter = Appender(self._context), appender(self._models, lookup=True)
        drafted = accepted = 0

        def write(one: Appender) -> float:
            nonlocal drafted, accepted
            self._add(prompt[self._context.keep_prefix(prompt) :])
            one.begin()
            sampler = Sampler(_SAMPLING, vocabulary.size, self._context.size)
            written, started = 0, time.perf_counter()
            while not vocabulary.is_end(token := sampler.draw(self._context)) and written < _WRITTEN:
                one.append(token, _WRITTEN - written)
                written += 1
            self._context.settle()
            taken = time.perf_counter() - started
            sampler.free()
            drafted, accepted = drafted + one.drafted, accepted + one.accepted
            return written / taken

        return Gain(
            self._median(lambda: write(plain)), self._median(lambda: write(drafter)), drafted, accepted
        )
