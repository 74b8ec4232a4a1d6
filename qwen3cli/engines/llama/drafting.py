"""Drafting: tokens that may come next are evaluated along with the one that did, where that is faster.

What is drawn does not change: each token is drawn from the model's own logits, and a draft only decides which of them
are there already. So no acceptance rule is needed, and none can be wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from qwen3cli.engines.llama.context import MOST_DRAFTED, Context
from qwen3cli.engines.llama.loading import Loaded
from qwen3cli.engines.llama.lookup import NOTHING, Draft, Lookup
from qwen3cli.engines.llama.pace import LOSS, Costs, Pace
from qwen3cli.engines.llama.scout import Scout
from qwen3cli.engines.llama.stakes import AT_ONCE, Bet, Stakes


class Appender:
    """Appends tokens to a context one by one.

    `drafted` and `accepted` count tokens that were evaluated on trust, and those that came, since `begin`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.drafted = self.accepted = 0

    def begin(self) -> None:
        """A generation begins: the context holds its prompt."""
        self.drafted = self.accepted = 0

    def append(self, token: int, most: int) -> None:
        """Append a token that was drawn, drafting at most as many as may still come after it."""
        self._context.append(token)

    def ahead(self, tokens: Sequence[int]) -> Iterator[int]:
        """Get ready, while nobody waits, for a context that begins with `tokens`; yields whenever it may end."""
        yield from ()


class Scouting:
    """A small model that drafts, where that pays."""

    def __init__(self, scout: Scout, large: Costs, share: float) -> None:
        """`large` has the times of the model that is drafted for; of all time `share` may be lost."""
        self._scout = scout
        self._stakes = Stakes(large, scout.costs, share)

    def begin(self, tokens: Sequence[int]) -> None:
        """A generation begins after `tokens`."""
        self._scout.follow(tokens)
        self._stakes.begin()

    def appended(self) -> None:
        """There is a token more."""
        self._stakes.appended()

    def bet(self, tokens: Sequence[int], most: int, promise: float) -> Bet | None:
        """A draft of what comes after `tokens`; None where it is not worth making: another has such a `promise`."""
        scout, stakes = self._scout, self._stakes
        if not most or stakes.gain <= promise:
            return None
        lag = scout.lag(tokens)
        price = scout.price(lag)
        if not stakes.asks(lag, price):
            return None
        if lag > AT_ONCE:
            if not scout.measured:
                stakes.sampled(scout.sample(tokens))
                return None
            for _ in scout.read(tokens[:-1]):
                pass
            stakes.read(price)
        bet = stakes.bet(most)
        scout.propose(tokens, bet)
        return bet

    def computed(self, size: int, seconds: float, bet: Bet | None) -> None:
        """A batch of `size` tokens was computed, after such a bet."""
        self._stakes.computed(size if bet is not None and bet.taken else 1, seconds, bet)

    def checked(self, bet: Bet, right: int, token: int) -> None:
        """So many tokens of the bet came, and then another `token`."""
        self._stakes.checked(bet, right, token)

    def ahead(self, tokens: Sequence[int]) -> Iterator[int]:
        """Read `tokens` while nobody waits."""
        if self._stakes.pays:
            self._scout.follow(tokens)
            yield from self._scout.read(tokens)


class Drafter(Appender):
    """Appends tokens with drafts, of what the context holds or of a small model, and learns how long they should be."""

    def __init__(self, context: Context, scout: Scout | None = None) -> None:
        super().__init__(context)
        share = LOSS if scout is None else LOSS / 2
        self._lookup = Lookup()
        self._pace = Pace(share)
        self._scouting = None if scout is None else Scouting(scout, self._pace.costs, share)
        self._forget()

    def _forget(self) -> None:
        self._found: Draft = NOTHING
        self._bet: Bet | None = None
        self._draft: list[int] = []
        self._right = 0

    def begin(self) -> None:
        """A generation begins: the context holds its prompt."""
        super().begin()
        self._lookup.follow(self._context.tokens)
        if self._scouting is not None:
            self._scouting.begin(self._context.tokens)
        self._forget()

    def append(self, token: int, most: int) -> None:
        """Append a token that was drawn, drafting at most as many as may still come after it."""
        self._hear(token)
        if self._context.take_drafted(token):
            self._right += 1
            self.accepted += 1
            return
        self._learn(token)
        self._draft = self._choose(min(most, MOST_DRAFTED))
        started = time.perf_counter()
        self._context.append(token, self._draft)
        self._context.settle()
        self._computed(1 + len(self._draft), time.perf_counter() - started)
        self.drafted += len(self._draft)

    def ahead(self, tokens: Sequence[int]) -> Iterator[int]:
        """Get ready, while nobody waits, for a context that begins with `tokens`; yields whenever it may end."""
        if self._scouting is not None:
            yield from self._scouting.ahead(tokens)

    def _hear(self, token: int) -> None:
        lookup = self._lookup
        if len(lookup.tokens) != len(self._context.tokens):
            lookup.follow(self._context.tokens)
        lookup.add(token)
        if self._scouting is not None:
            self._scouting.appended()

    def _choose(self, most: int) -> list[int]:
        """The draft that promises most: what is looked up is there for nothing, so the small model has to be better."""
        # What a recurrent model has read on trust could not be taken back.
        may = self._context.goes_back and not self._pace.costs.wants_single()
        self._found = found = self._lookup.propose(most) if may else NOTHING
        length = self._pace.length(found.agreement, len(found.tokens))
        self._bet = None
        if self._scouting is not None and may:
            promise = self._pace.promise(found.agreement, length)
            self._bet = self._scouting.bet(self._lookup.tokens, most, promise)
        return self._bet.draft if self._bet is not None and self._bet.taken else found.tokens[:length]

    @property
    def _looked_up(self) -> bool:
        """Whether the draft, if there is one, is not the small model's."""
        return self._bet is None or not self._bet.taken

    def _computed(self, size: int, seconds: float) -> None:
        self._pace.computed(size, seconds, own=self._looked_up)
        if self._scouting is not None:
            self._scouting.computed(size, seconds, self._bet)

    def _learn(self, token: int) -> None:
        """What came of the last drafts; one that was thought of, and not evaluated, tells of its first token."""
        found, bet, right, self._right = self._found, self._bet, self._right, 0
        first = self._draft[0] if right else token
        if bet is not None and self._scouting is not None:
            self._scouting.checked(bet, *((right, token) if bet.taken else (0, first)))
        if self._draft and self._looked_up:
            self._pace.checked(found.agreement, len(self._draft), right, computed=True)
        elif found.tokens:
            self._pace.checked(found.agreement, 1, int(found.tokens[0] == first), computed=False)


def appender(loaded: Loaded, *, lookup: bool) -> Appender:
    """Whatever appends tokens to the context: with the small model's drafts, with those of `lookup`, or with none."""
    if loaded.small is not None:
        return Drafter(loaded.context, Scout(loaded.small.context, loaded.small.weights.vocabulary))
    return Drafter(loaded.context) if lookup else Appender(loaded.context)
