"""How long a draft that costs nothing pays: what batches cost here, against how often drafts were right so far.

A batch of some tokens costs more than one token and less than as many; how much is a matter of machine, model and
quantization, so it is measured while generating. What trying costs is bounded, too: losses are counted, and beyond
their share of all time nothing is tried.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from statistics import median

_KEPT = 9
"""Measurements of a size whose median counts: what others do with the machine makes outliers."""
_OLD, _FRESH = 200, 3
"""Batches after which it is old what a token takes alone, and how many of these are computed to know it again."""
GAIN = 1.05
"""What a draft has to promise, as a multiple: below it the estimate's own error decides."""
_GUESS_SLOPE = 0.3
"""What one token more costs, in single tokens, before anything was measured: between a GPU's and two cores'."""
_LIKELY = 0.7
TRIED = 3
"""Tokens of a draft that is tried although it promises nothing, if it is likely to be right: estimates may be wrong."""
LOSS = 0.01
"""Share of all time that drafts may lose."""
_FORGETS = 0.9
_FORGETS_TIME = 0.999
_PRIOR = 0.6, 3.0
"""Acceptance before there was any draft, and how many drafted tokens that opinion is worth."""


class Costs:
    """Seconds that batches took, by their size."""

    def __init__(self) -> None:
        self._since_single = self._wanted = 0
        self._taken: dict[int, deque[float]] = {}
        self._median: dict[int, float] = {}
        self._sizes: list[int] = []

    def note(self, size: int, seconds: float) -> None:
        """A batch of `size` tokens was computed; the first of a size is not counted, for it lays out its memory."""
        self._since_single = 0 if size == 1 else self._since_single + 1
        self._wanted -= size == 1 and self._wanted > 0
        if size not in self._taken:
            self._taken[size] = deque(maxlen=_KEPT)
            return
        self._taken[size].append(seconds)
        if size not in self._median:
            self._sizes = sorted([*self._sizes, size])
        self._median[size] = median(self._taken[size])

    @property
    def within_reach(self) -> int:
        """How long a draft may be: one step after the other into what was not measured."""
        return max(TRIED, 2 * (self._sizes[-1] if self._sizes else 1) - 1)

    def wants_single(self) -> bool:
        """Whether a token should be computed alone: all goes by what that takes, and machines get faster and slower."""
        if self._since_single >= _OLD and 1 in self._taken:
            self._since_single, self._wanted = 0, _FRESH
            self._taken[1].clear()
        return self._wanted > 0

    def forget(self, *, but: int = 0) -> None:
        """What was measured of other sizes than `but` is not so any more."""
        for size in [size for size in self._taken if size != but]:
            del self._taken[size]
            self._median.pop(size, None)
        self._sizes = sorted(self._median)

    def seconds(self, size: int) -> float:
        """What such a batch took; 0 if none was counted."""
        return self._median.get(size, 0.0)

    def of(self, size: int) -> float:
        """What a batch costs, in single tokens, once these have been counted: at least one, and at most its size."""
        return max(1.0, min(self._estimate(size), size))

    def _estimate(self, size: int) -> float:
        single = self.seconds(1)
        at = bisect_left(self._sizes, size)
        if at < len(self._sizes) and self._sizes[at] == size:
            return self.seconds(size) / single
        low = self._sizes[at - 1]
        below = self.seconds(low) / single
        if at == len(self._sizes):
            # Beyond what was measured the last slope goes on.
            slope = (below - 1) / (low - 1) if low > 1 else _GUESS_SLOPE
            return below + slope * (size - low)
        high = self._sizes[at]
        share = (size - low) / (high - low)
        return below + (self.seconds(high) / single - below) * share


class Acceptance:
    """How often drafted tokens were right, apart for drafts of different kinds."""

    def __init__(
        self, prior: Callable[[int], float] = lambda _kind: _PRIOR[0], forgets: float = _FORGETS
    ) -> None:
        """`prior` says it of a kind before there was any, `forgets` what is left of an opinion after a token."""
        self._prior = prior
        self._forgets = forgets
        self._right: dict[int, float] = {}
        self._tried: dict[int, float] = {}

    def note(self, kind: int, drafted: int, accepted: int) -> None:
        """A draft was checked; tokens after the first wrong one say nothing."""
        tried = min(drafted, accepted + 1)
        left = self._forgets**tried
        self._right[kind] = self._right.get(kind, self._prior(kind) * _PRIOR[1]) * left + accepted
        self._tried[kind] = self._tried.get(kind, _PRIOR[1]) * left + tried

    def of(self, kind: int) -> float:
        """The chance that a drafted token is right if those before it were."""
        return self._right[kind] / self._tried[kind] if kind in self._tried else self._prior(kind)


class Account:
    """What a way of drafting has won, in seconds; it may lose a share of all time, and no more."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._won = self._spent = 0.0

    def trust(self, seconds: float) -> None:
        """Lose from now on as much as later, where every batch takes at least so many seconds."""
        self._spent = seconds / (1 - _FORGETS_TIME)

    def passed(self, seconds: float) -> None:
        """Time passes, whatever was done."""
        self._won *= _FORGETS_TIME
        self._spent = self._spent * _FORGETS_TIME + seconds

    def won(self, seconds: float) -> None:
        """So much was won, or lost."""
        self._won += seconds

    def checked_batch(self, size: int, seconds: float, single: float) -> None:
        """A draft was evaluated in a batch of `size`, where a token alone takes `single` seconds."""
        if single:
            # No batch costs more than its tokens one by one: what is above is somebody else's doing.
            self._won += single - min(seconds, size * single)

    def affords(self, seconds: float = 0.0) -> bool:
        """Whether so much may be lost now; of nothing, whether anything may be tried."""
        return self._won - seconds >= -self._share * self._spent


class Pace:
    """Decides how many tokens to draft, and learns from what came of it."""

    def __init__(self, share: float = LOSS) -> None:
        """Of all time `share` may be lost."""
        self.costs = Costs()
        self._acceptance = Acceptance()
        self._account = Account(share)

    def length(self, agreement: int, most: int) -> int:
        """How many tokens to draft so that a token costs least; 0 when none pays."""
        if not most or not self.costs.seconds(1) or not self._account.affords():
            return 0
        chance = self._acceptance.of(agreement.bit_length())
        most = min(most, self.costs.within_reach)
        best, gain, expected, power = 0, GAIN, 1.0, 1.0
        for length in range(1, most + 1):
            power *= chance
            expected += power
            if (promised := expected / self.costs.of(length + 1)) > gain:
                best, gain = length, promised
        return best or (min(TRIED, most) if chance >= _LIKELY else 0)

    def promise(self, agreement: int, length: int) -> float:
        """How many times as fast such a draft is expected to make it; 0 of none."""
        chance = self._acceptance.of(agreement.bit_length())
        expected = sum(chance**power for power in range(length + 1))
        return expected / self.costs.of(length + 1) if length else 0.0

    def computed(self, size: int, seconds: float, *, own: bool = True) -> None:
        """A batch of `size` tokens was computed; one with a draft that was not its `own` is others' business."""
        self.costs.note(size, seconds)
        self._account.passed(seconds)
        if own and size > 1:
            self._account.checked_batch(size, seconds, self.costs.seconds(1))

    def checked(self, agreement: int, drafted: int, accepted: int, *, computed: bool) -> None:
        """How many drafted tokens came; not `computed` are those that were thought of only."""
        self._acceptance.note(agreement.bit_length(), drafted, accepted)
        if computed:
            self._account.won(accepted * self.costs.seconds(1))
