"""Numbers within bounds, digit by digit.

Everything a bounded rule writes lies within the bounds, also after it was rounded to a double. Without
bounds any JSON number of a sane length goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qwen3cli.engines.schema_items import Chars, Item, Literal, Ref, Repeat
from qwen3cli.engines.schema_rules import Rules

_DIGITS = 18
"""Digits before the point: what 64 bits hold."""
_EXACT = 15
"""Decimal digits that a double always tells apart."""
_FRACTION = 6
_DIGIT = Chars(((48, 57),))
_LEADING = Chars(((49, 57),))


@dataclass(frozen=True)
class Bounds:
    """A range of numbers; None is no bound, `open` ones are not in it themselves."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False


def bounds_of(schema: Mapping[str, Any]) -> Bounds:
    """The range that a schema speaks of."""
    lows, highs = _ends(schema, "inimum"), _ends(schema, "aximum")
    low, low_open = max(lows, default=(None, False))
    high, negated = min(((value, not is_open) for value, is_open in highs), default=(None, True))
    return Bounds(low, high, low_open, not negated)


def _ends(schema: Mapping[str, Any], word: str) -> list[tuple[Decimal, bool]]:
    """The bounds on one side, each with whether it is not in the range itself."""
    inside, outside = schema.get("m" + word), schema.get("exclusiveM" + word)
    # Draft 4 has the second as a property of the first.
    both = [(inside, outside is True), (None if isinstance(outside, bool) else outside, True)]
    found: list[tuple[Decimal, bool]] = []
    for value, is_open in both:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            if exact.is_finite():
                found.append((exact, is_open))
    return found


def integer(rules: Rules, bounds: Bounds) -> Ref:
    """The integers of a range."""
    low = None if bounds.low is None else _ceiling(bounds.low, above=bounds.low_open)
    high = None if bounds.high is None else -_ceiling(bounds.high.copy_negate(), above=bounds.high_open)
    ways: list[list[Item]] = []
    if (low is None or low <= 0) and (high is None or high >= 0):
        ways.append([Literal("0")])
    if high is None or high > 0:
        ways.append([_whole(rules, max(1, low or 1), high)])
    if low is None or low < 0:
        ways.append(
            [Literal("-"), _whole(rules, max(1, -(high or -1)) if high is not None else 1, _negated(low))]
        )
    return rules.add(ways)


def number(rules: Rules, bounds: Bounds) -> Ref:
    """The numbers of a range; an exponent only where there are no bounds."""
    if bounds.low is None and bounds.high is None:
        return _free(rules)
    zero = Decimal(0)
    low, high = bounds.low, bounds.high
    ways: list[list[Item]] = []
    if high is None or high >= 0:
        up = low is not None and low >= 0
        reach = _Reach(
            low if up and low is not None else zero, high, up and bounds.low_open, bounds.high_open
        )
        ways.append([_Decimals(rules, reach).rule()])
    if low is None or low < 0:
        down = high is not None and high < 0
        near = high.copy_negate() if down and high is not None else zero
        far = None if low is None else low.copy_negate()
        reach = _Reach(near, far, not down or bounds.high_open, bounds.low_open)
        ways.append([Literal("-"), _Decimals(rules, reach).rule()])
    return rules.add(ways)


def _free(rules: Rules) -> Ref:
    whole = rules.add([[Literal("0")], [_LEADING, Repeat(_DIGIT, 0, _DIGITS - 1)]])
    sign = rules.add([[], [Literal("-")]])
    fraction = rules.add([[], [Literal("."), Repeat(_DIGIT, 1, _DIGITS)]])
    mark, signs = Chars(((69, 69), (101, 101))), Chars(((43, 43), (45, 45)))
    exponent = rules.add([[], [mark, Repeat(signs, 0, 1), Repeat(_DIGIT, 1, 2)]])
    return rules.add([[sign, whole, fraction, exponent]])


def _ceiling(value: Decimal, *, above: bool) -> int:
    whole = int(value.to_integral_value("ROUND_CEILING"))
    return whole + 1 if above and whole == value else whole


def _negated(value: int | None) -> int | None:
    return None if value is None else -value


def _whole(rules: Rules, low: int, high: int | None) -> Ref:
    """The integers from `low`, which is at least 1, to `high`."""
    most = 10 ** max(_DIGITS, len(str(low))) - 1
    end = most if high is None else min(high, most)
    if low > end:
        return rules.add(())
    first, last = str(low), str(end)
    if len(first) == len(last):
        return _between(rules, first, last)
    ways: list[list[Item]] = [[_between(rules, first, "9" * len(first))]]
    if len(last) - len(first) > 1:
        ways.append([_LEADING, Repeat(_DIGIT, len(first), len(last) - 2)])
    ways.append([_between(rules, "1" + "0" * (len(last) - 1), last)])
    return rules.add(ways)


def _between(rules: Rules, low: str, high: str) -> Ref:
    """The texts of digits, all of one length, from `low` to `high`."""
    if not low:
        return rules.add([[]])
    if low == "0" * len(low) and high == "9" * len(low):
        return rules.add([[Repeat(_DIGIT, len(low), len(low))]])
    rest = len(low) - 1
    if low[0] == high[0]:
        return rules.add([[Literal(low[0]), _between(rules, low[1:], high[1:])]])
    ways: list[list[Item]] = [[Literal(low[0]), _between(rules, low[1:], "9" * rest)]]
    inner = _digits(int(low[0]) + 1, int(high[0]) - 1)
    if inner is not None:
        ways.append([inner, *([Repeat(_DIGIT, rest, rest)] if rest else [])])
    ways.append([Literal(high[0]), _between(rules, "0" * rest, high[1:])])
    return rules.add(ways)


def _digits(low: int, high: int) -> Chars | None:
    return Chars(((48 + low, 48 + high),)) if low <= high else None


@dataclass(frozen=True)
class _Reach:
    """A range of numbers from 0 up."""

    low: Decimal
    high: Decimal | None
    low_open: bool
    high_open: bool


class _Decimals:
    """The decimals of a range from 0 up: the digits before the point, then a fraction near or far from a bound."""

    def __init__(self, rules: Rules, reach: _Reach) -> None:
        self._rules = rules
        self._reach = reach
        self._low, self._low_rest = _parts(reach.low)
        self._high, self._high_rest = (None, None) if reach.high is None else _parts(reach.high)
        needed = max(_FRACTION, len(self._low_rest), len(self._high_rest or ""))
        # Next to a bound that is not in the range itself, a longer fraction could be rounded to it; and one that is
        # no double itself could be passed.
        for bound, is_open in ((self._low, reach.low_open), (self._high, reach.high_open)):
            if bound is not None and (is_open or len(str(bound)) > _EXACT):
                needed = max(0, min(needed, _EXACT - len(str(bound))))
        self._longest = needed

    def rule(self) -> Ref:
        """The rule that says them."""
        low, high = self._low, self._high
        if high is None:
            above = [_whole(self._rules, low + 1, None), self._fraction(None, None)]
            return self._rules.add([[Literal(str(low)), self._fraction(self._low_rest, None)], above])
        if low >= high:
            both = [[Literal(str(low)), self._fraction(self._low_rest, self._high_rest)]]
            return self._rules.add(both if low == high else ())
        ways: list[list[Item]] = [[Literal(str(low)), self._fraction(self._low_rest, None)]]
        if high - low > 1:
            ways.append([_whole(self._rules, low + 1, high - 1), self._fraction(None, None)])
        ways.append([Literal(str(high)), self._fraction(None, self._high_rest)])
        return self._rules.add(ways)

    def _fraction(self, low: str | None, high: str | None) -> Ref:
        """A point and digits, or neither; `low` and `high`: what the bounds have there, where it is still on them."""
        ways: list[list[Item]] = [[Literal("."), self._more(low, high, self._longest)]]
        return self._rules.add([*ways, []] if self._may_end(low, high) else ways)

    def _more(self, low: str | None, high: str | None, left: int) -> Ref:
        """At least one more digit, of `left` that there may be."""
        if not left:
            return self._rules.add(())
        if low is None and high is None:
            return self._rules.add([[Repeat(_DIGIT, 1, left)]])
        groups: dict[tuple[str | None, str | None], list[int]] = {}
        least = 0 if low is None else int(low[:1] or 0)
        most = 9 if high is None else int(high[:1] or 0)
        for digit in range(least, most + 1):
            key = (
                low[1:] if low is not None and digit == least else None,
                high[1:] if high is not None and digit == most else None,
            )
            groups.setdefault(key, []).append(digit)
        ways: list[list[Item]] = []
        for key, digits in groups.items():
            item = Chars(((48 + digits[0], 48 + digits[-1]),))
            ways.append([item, self._more(*key, left - 1)])
            if self._may_end(*key):
                ways.append([item])
        return self._rules.add(ways)

    def _may_end(self, low: str | None, high: str | None) -> bool:
        """Whether the number lies in the range when no digit follows."""
        above = low is None or (not low.strip("0") and not self._reach.low_open)
        return above and (high is None or bool(high.strip("0")) or not self._reach.high_open)


def _parts(value: Decimal) -> tuple[int, str]:
    """The digits before and after the point, the latter without trailing zeros."""
    text = f"{value:f}"
    whole, _, rest = text.partition(".")
    return int(whole), rest.rstrip("0")
