"""How long a draft pays: what batches cost here, against how often drafts were right so far.

A batch of some tokens costs more than one token and less than as many; how much is a matter of machine, model and
quantization, so it is measured while generating. What trying costs is bounded, too: losses are counted, and beyond
their share of all time nothing is tried.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from statistics import median

_KEPT = 9
"""Measurements of a size whose median counts: what others do with the machine makes outliers."""
_GAIN = 1.05
"""What a draft has to promise, as a multiple: below it the estimate's own error decides."""
_GUESS_SLOPE = 0.3
"""What one token more costs, in single tokens, before anything was measured: between a GPU's and two cores'."""
_LIKELY = 0.7
_TRIED = 3
"""Tokens of a draft that is tried although it promises nothing, if it is likely to be right: estimates may be wrong."""
_LOSS = 0.01
"""Share of all time that drafts may lose."""
_FORGETS = 0.9
_FORGETS_TIME = 0.999
_PRIOR = 0.6, 3.0
"""Acceptance before there was any draft, and how many drafted tokens that opinion is worth."""


class Costs:
    """Seconds that batches took, by their size."""

    def __init__(self) -> None:
        self._taken: dict[int, deque[float]] = {}
        self._median: dict[int, float] = {}
        self._sizes: list[int] = []

    def note(self, size: int, seconds: float) -> None:
        """A batch of `size` tokens was computed; the first of a size is not counted, for it lays out its memory."""
        if size not in self._taken:
            self._taken[size] = deque(maxlen=_KEPT)
            return
        self._taken[size].append(seconds)
        if size not in self._median:
            self._sizes = sorted([*self._sizes, size])
        self._median[size] = median(self._taken[size])

    @property
    def largest(self) -> int:
        """The largest size that was counted."""
        return self._sizes[-1] if self._sizes else 1

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
    """How often drafted tokens were right, apart for drafts of different agreement."""

    def __init__(self) -> None:
        self._right: dict[int, float] = {}
        self._tried: dict[int, float] = {}

    def note(self, agreement: int, drafted: int, accepted: int) -> None:
        """A draft was checked; tokens after the first wrong one say nothing."""
        kind, tried = agreement.bit_length(), min(drafted, accepted + 1)
        self._right[kind] = self._right.get(kind, _PRIOR[0] * _PRIOR[1]) * _FORGETS**tried + accepted
        self._tried[kind] = self._tried.get(kind, _PRIOR[1]) * _FORGETS**tried + tried

    def of(self, agreement: int) -> float:
        """The chance that a drafted token is right if those before it were."""
        kind = agreement.bit_length()
        return self._right.get(kind, _PRIOR[0] * _PRIOR[1]) / self._tried.get(kind, _PRIOR[1])


class Pace:
    """Decides how many tokens to draft, and learns from what came of it."""

    def __init__(self) -> None:
        self._costs = Costs()
        self._acceptance = Acceptance()
        self._won = self._spent = 0.0

    def length(self, agreement: int, most: int) -> int:
        """How many tokens to draft so that a token costs least; 0 when none pays."""
        if not most or not self._costs.seconds(1) or self._won < -_LOSS * self._spent:
            return 0
        chance = self._acceptance.of(agreement)
        # One step after the other into what was not measured.
        most = min(most, max(_TRIED, 2 * self._costs.largest - 1))
        best, gain, expected, power = 0, _GAIN, 1.0, 1.0
        for length in range(1, most + 1):
            power *= chance
            expected += power
            if (promised := expected / self._costs.of(length + 1)) > gain:
                best, gain = length, promised
        return best or (min(_TRIED, most) if chance >= _LIKELY else 0)

    def computed(self, size: int, seconds: float) -> None:
        """A batch of `size` tokens was computed."""
        self._costs.note(size, seconds)
        self._won *= _FORGETS_TIME
        self._spent = self._spent * _FORGETS_TIME + seconds
        if size > 1 and (single := self._costs.seconds(1)):
            # No batch costs more than its tokens one by one: what is above is somebody else's doing.
            self._won += single - min(seconds, size * single)

    def checked(self, agreement: int, drafted: int, accepted: int, *, computed: bool) -> None:
        """How many drafted tokens came; not `computed` are those that were thought of only."""
        self._acceptance.note(agreement, drafted, accepted)
        if computed:
            self._won += accepted * self._costs.seconds(1)
