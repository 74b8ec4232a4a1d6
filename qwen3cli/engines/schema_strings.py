"""JSON strings: lengths, patterns, formats, and the names that an object's other properties may have.

Characters stand as they are, or escaped where JSON wants it; control characters never stand raw, and an
escaped surrogate never stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qwen3cli.engines.schema_items import Chars, Item, Literal, Ranges, Ref, Repeat, Unsupported, Way
from qwen3cli.engines.schema_regex import (
    Choice,
    Class,
    Part,
    Pattern,
    Row,
    Times,
    lengths,
    parse,
    union,
    without,
)
from qwen3cli.engines.schema_rules import Rules

_RAW: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0xA0, 0xD7FF), (0xE000, 0x10FFFF))
_ESCAPED = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_ANYTHING = Times(Class(((0, 0x10FFFF),)), 0, None)
_HEX: Ranges = ((48, 57), (65, 70), (97, 102))
_YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
_DATE = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
    r"|(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_FORMATS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}


_REWRITTEN = {
    # What zod writes for an address, with look-ahead.
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$": (
        r"^([A-Za-z0-9_'+-]+\.)*[A-Za-z0-9_'+-]*[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$"
    ),
}
"""Patterns that many schemas have, in a form that has nothing that a grammar cannot say."""


class Strings:
    """Writes the rules of strings."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        hexes = Chars(_HEX)
        single = [Literal("\\"), Chars(tuple((ord(c), ord(c)) for c in '"/\\bfnrt'))]
        plain = rules.add([
            [Chars(((48, 57), (65, 67), (69, 70), (97, 99), (101, 102))), hexes, hexes, hexes],
            [Chars(((68, 68), (100, 100))), Chars(((48, 55),)), hexes, hexes],
        ])  # fmt: skip
        d = Chars(((68, 68), (100, 100)))
        high = [d, Chars(((56, 57), (65, 66), (97, 98))), hexes, hexes]
        low = [d, Chars(((67, 70), (99, 102))), hexes, hexes]
        unicode = [[Literal("\\u"), plain], [Literal("\\u"), *high, Literal("\\u"), *low]]
        self._character = rules.add([[Chars(_RAW)], single, *unicode])

    def text(self, low: int, high: int | None) -> Ref:
        """Any string of so many characters."""
        return self._quoted(self._rules.repeat(self._character, low, high))

    def matching(self, pattern: str, low: int, high: int | None, loosen: Callable[[], None]) -> Ref:
        """The strings that have a match of `pattern`, and so many characters as far as that can be said together."""
        return self._rules.add(
            [
                [self._quoted(self._way(way, low, high, loosen))]
                for way in parse(_REWRITTEN.get(pattern, pattern))
            ]
        )

    def formatted(self, name: str, low: int, high: int | None) -> Ref | None:
        """The strings of a format; None where it is not known, or does not go with the lengths."""
        pattern = _FORMATS.get(name)
        if pattern is None or low > lengths(parse(pattern)[0].body)[0]:
            return None
        most = lengths(parse(pattern)[0].body)[1]
        if high is not None and (most is None or most > high):
            return None
        return self.matching(pattern, 0, None, lambda: None)

    def other_names(self, names: Iterable[str]) -> Ref:
        """The names, written without escapes, that are none of `names`; no empty one."""
        return self._rules.add([[Literal('"'), self._other(sorted(set(names)), 0)]])

    def _other(self, names: list[str], at: int) -> Ref:
        """What goes on from a beginning of `at` characters that `names` share, with the quote that ends it."""
        longer: dict[str, list[str]] = {}
        for name in names:
            if len(name) > at:
                longer.setdefault(name[at], []).append(name)
        free = without(_RAW, tuple((ord(character), ord(character)) for character in longer))
        ways: list[list[Item]] = [[Chars(free), Repeat(Chars(_RAW), 0, None), Literal('"')]]
        for character, those in longer.items():
            here = _both(_RAW, ((ord(character), ord(character)),))
            if here:
                ways.append([Chars(here), self._other(those, at + 1)])
        if at and all(len(name) > at for name in names):
            ways.append([Literal('"')])
        return self._rules.add(ways)

    def _quoted(self, way: Way) -> Ref:
        return self._rules.add([[Literal('"'), *way, Literal('"')]])

    def _way(self, pattern: Pattern, low: int, high: int | None, loosen: Callable[[], None]) -> Way:
        parts: list[Part] = list(pattern.body.parts)
        if not pattern.from_begin:
            parts.insert(0, _ANYTHING)
        if not pattern.to_end:
            parts.append(_ANYTHING)
        parts = _within(parts, low, high, loosen)
        return tuple(item for part in parts for item in self._part(part))

    def _part(self, part: Part) -> Way:
        if isinstance(part, Class):
            return self._class(part.ranges)
        if isinstance(part, Row):
            return tuple(item for each in part.parts for item in self._part(each))
        if isinstance(part, Choice):
            return (self._rules.add([self._part(each) for each in part.parts]),)
        if part.high != 1 and _both(_going_on(part.part), _begin(part.part)):
            # llama.cpp tries every way to cut a long token into turns: twice as many with each character.
            raise Unsupported("a pattern repeats what may go on as it begins")
        inner = self._part(part.part)
        one = inner[0] if len(inner) == 1 and isinstance(inner[0], (Chars, Ref)) else self._rules.add([inner])
        return self._rules.repeat(one, part.low, part.high)

    def _class(self, ranges: Ranges) -> Way:
        """One character of a class, the ones that JSON escapes in their escaped form."""
        raw = _both(ranges, _RAW)
        ways: list[Way] = [(Chars(raw),)] if raw else []
        ways += [(Literal(text),) for code, text in _ESCAPED.items() if _both(ranges, ((code, code),))]
        if not ways:
            # Other control characters are written only where nothing else will do.
            ways = [(Literal(f"\\u{code:04x}"),) for code in range(0xA0) if _both(ranges, ((code, code),))]
        return ways[0] if len(ways) == 1 else (self._rules.add(ways),)


def _both(ranges: Ranges, other: Ranges) -> Ranges:
    return union(tuple((max(a, c), min(b, d)) for a, b in ranges for c, d in other if max(a, c) <= min(b, d)))


def _within(parts: list[Part], low: int, high: int | None, loosen: Callable[[], None]) -> list[Part]:
    """The parts with the lengths in force, which they can be where one part alone has no fixed length."""
    least, most = lengths(Row(tuple(parts)))
    if least >= low and (high is None or (most is not None and most <= high)):
        return parts
    loose = [n for n, part in enumerate(parts) if lengths(part)[0] != lengths(part)[1]]
    part = parts[loose[0]] if len(loose) == 1 else None
    if not isinstance(part, Times) or lengths(part.part) != (1, 1):
        loosen()
        return parts
    fixed = least - part.low
    fewest = max(part.low, low - fixed)
    ends = [end for end in (part.high, None if high is None else high - fixed) if end is not None]
    if ends and min(ends) < fewest:
        raise Unsupported("no string of that length has that pattern")
    return [*parts[: loose[0]], Times(part.part, fewest, min(ends, default=None)), *parts[loose[0] + 1 :]]


def _begin(part: Part) -> Ranges:
    """The characters that a match of a part can begin with."""
    if isinstance(part, Class):
        return part.ranges
    if isinstance(part, Times):
        return _begin(part.part)
    found: Ranges = ()
    for each in part.parts:
        found += _begin(each)
        if isinstance(part, Row) and lengths(each)[0] > 0:
            break
    return found


def _going_on(part: Part) -> Ranges:
    """The characters with which a match of a part can go on where it could also end."""
    if isinstance(part, Class):
        return ()
    if isinstance(part, Times):
        return _going_on(part.part) + (_begin(part.part) if part.low != part.high else ())
    if isinstance(part, Choice):
        return tuple(each for way in part.parts for each in _going_on(way))
    found: Ranges = ()
    for each in reversed(part.parts):
        found += _going_on(each)
        if lengths(each)[0] > 0:
            break
    return found
