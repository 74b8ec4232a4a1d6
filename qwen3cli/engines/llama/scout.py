"""A small model that runs ahead of a large one: it has read what that has, and says what may come next.

Knows nothing of the large model but its tokens. Whatever stops that one stops this one, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import llama_cpp.llama_cpp as C
import numpy as np

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.pace import Costs
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.stakes import AT_ONCE, Bet
from qwen3cli.engines.llama.vocabulary import Vocabulary

_SAMPLE, _SINGLES = 32, 2
"""Tokens that are read to see how long that takes, together and one by one."""


class Scout:
    """The small model's context, which follows the tokens that it is shown.

    `costs` has what a token takes that it is asked for, `evaluated` counts the tokens that it has computed.
    """

    def __init__(self, context: Context, vocabulary: Vocabulary) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._agreed = 0
        self._reading = Costs()
        self.costs = Costs()
        self.evaluated = 0

    def follow(self, tokens: Sequence[int]) -> None:
        """Other tokens than those before are what it goes by; what they have in common is not read again."""
        self._agreed = common_prefix(self._context.tokens, tokens)

    def lag(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, which may have become more since `follow`, it has not read."""
        own = self._context.tokens
        most = min(len(own), len(tokens))
        while self._agreed < most and own[self._agreed] == tokens[self._agreed]:
            self._agreed += 1
        return len(tokens) - self._agreed

    @property
    def measured(self) -> bool:
        """Whether it is known how long it takes to read, and to be asked."""
        return self._reading.seconds(1) > 0 and self.costs.seconds(1) > 0

    def price(self, lag: int) -> float:
        """Seconds that reading so many tokens takes; 0 if it has never been measured."""
        return lag * self._reading.seconds(1)

    def sample(self, tokens: Sequence[int]) -> float:
        """Read a few tokens, together and one by one, to see how long that takes; as far as it is known, the answer."""
        for _ in self.read(tokens[: self._agreed + _SAMPLE]):
            pass
        for token in tokens[self._agreed + _SAMPLE :][:_SINGLES]:
            self._ask([token])
        return self.price(_SAMPLE) + _SINGLES * self.costs.seconds(1)

    def read(self, tokens: Sequence[int]) -> Iterator[int]:
        """Read what it lacks of `tokens`, by micro-batches; yields how many are done after each."""
        rest = tokens[self._agreed :]
        if not rest:
            # It may have read more, of which nobody knows yet that it will not come.
            return
        self._context.keep(self._agreed)
        before, started = 0, time.perf_counter()
        for done in self._context.evaluate(rest):
            self._context.settle()
            now = time.perf_counter()
            if done - before > AT_ONCE:
                self._reading.note(1, (now - started) / (done - before))
            self.evaluated += done - before
            before, started = done, now
            yield done

    def propose(self, tokens: Sequence[int], bet: Bet) -> None:
        """Say what may come after `tokens`, as far as the bet goes."""
        # The last one is computed again if it must be: what comes next has to be known.
        start = len(tokens) - max(1, self.lag(tokens))
        self._context.keep(start)
        rest = tokens[start:]
        while True:
            token, sureness = self._ask(rest)
            ends = self._vocabulary.is_end(token)
            if not bet.takes(token, sureness, ends=ends) or not bet.goes_on():
                return
            rest = [token]

    def _ask(self, tokens: Sequence[int]) -> tuple[int, float]:
        """Read `tokens`, and tell what is likeliest then, with its probability."""
        started = time.perf_counter()
        for _ in self._context.evaluate(tokens):
            pass
        self.evaluated += len(tokens)
        assert self._context.pointer is not None
        logits = np.ctypeslib.as_array(
            C.llama_get_logits_ith(self._context.pointer, -1), (self._vocabulary.size,)
        )
        token = int(logits.argmax())
        sureness = 1 / float(np.exp(logits - logits[token]).sum())
        if len(tokens) == 1:
            self.costs.note(1, time.perf_counter() - started)
        return token, sureness
