"""The patterns of JSON Schema as grammar, as far as they are regular and plain.

What a translated pattern allows, Python's `re` finds as well: classes like `\\d` are narrowed to ASCII.
Not translated: back references, look-around, word borders, flags, lazy and possessive marks of any effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3cli.engines.schema_items import Ranges, Unsupported

_MOST = 1000
_LAST = 0x10FFFF
_NAMED = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
_CLASSES: dict[str, Ranges] = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 13), (32, 32)),
}


@dataclass(frozen=True)
class Class:
    """One character of these."""

    ranges: Ranges


@dataclass(frozen=True)
class Times:
    """A part, repeated."""

    part: Part
    low: int
    high: int | None


@dataclass(frozen=True)
class Row:
    """Parts one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Choice:
    """One part of several."""

    parts: tuple[Part, ...]


Part = Class | Times | Row | Choice


@dataclass(frozen=True)
class Pattern:
    """One alternative of a pattern: what it matches, and whether it is bound to the text's begin and end."""

    body: Row
    from_begin: bool
    to_end: bool


def parse(pattern: str) -> tuple[Pattern, ...]:
    """The alternatives of a pattern; raises `Unsupported`."""
    reader = _Reader(pattern)
    ways: list[Pattern] = []
    while True:
        begin = reader.take("^") or reader.take("\\A")
        row = reader.row()
        end = reader.take("$") or reader.take("\\Z")
        ways.append(Pattern(row, begin, end))
        if not reader.take("|"):
            break
    if reader.rest:
        raise reader.refusal()
    return tuple(ways)


def lengths(part: Part) -> tuple[int, int | None]:
    """How many characters it matches, at least and at most."""
    if isinstance(part, Class):
        return 1, 1
    if isinstance(part, Times):
        low, high = lengths(part.part)
        most = None if high is None or part.high is None else high * part.high
        return low * part.low, 0 if high == 0 or part.high == 0 else most
    inner = [lengths(each) for each in part.parts]
    lows, highs = [low for low, _ in inner], [high for _, high in inner if high is not None]
    whole = len(highs) == len(inner)
    if isinstance(part, Row):
        return sum(lows), sum(highs) if whole else None
    return min(lows), max(highs) if whole else None


def without(ranges: Ranges, other: Ranges) -> Ranges:
    """The characters of `ranges` that are not in `other`."""
    left = list(ranges)
    for a, b in other:
        left = [
            piece
            for low, high in left
            for piece in ((low, min(high, a - 1)), (max(low, b + 1), high))
            if piece[0] <= piece[1]
        ]
    return tuple(left)


def union(ranges: Ranges) -> Ranges:
    """The same characters, in order, in as few ranges as there can be."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _places(part: Part) -> int:
    """In how many counts of repetitions one character may stand, all of which llama.cpp keeps side by side."""
    if isinstance(part, Class):
        return 1
    if isinstance(part, Times):
        low, high = lengths(part.part)
        fixed = low == high and part.low == part.high
        return _places(part.part) * (1 if fixed else max(part.low, part.high or 1))
    return max(map(_places, part.parts), default=1)


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    @property
    def rest(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._pattern)

    def _comes(self, *texts: str) -> bool:
        """Whether one of the texts comes next."""
        return self._pattern.startswith(texts, self._at)

    def refusal(self) -> Unsupported:
        return Unsupported(f"the pattern `{self._pattern}` has more to it than a grammar can say")

    def take(self, text: str) -> bool:
        """Whether `text` comes next; then it is read."""
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise self.refusal()
        self._at += 1
        return self._pattern[self._at - 1]

    def row(self) -> Row:
        """Parts up to something that ends them."""
        parts: list[Part] = []
        while self.rest and not self._comes("|", ")", "$", "\\Z"):
            parts.append(self._times(self._part()))
        return Row(tuple(parts))

    def _part(self) -> Part:
        if self.take("("):
            return self._group()
        if self.take("["):
            return self._set()
        if self.take("."):
            return Class(((0, 9), (11, _LAST)))
        character = self._next()
        if character == "\\":
            return Class(self._escape())
        if character in "^*+?{":
            raise self.refusal()
        return Class(((ord(character), ord(character)),))

    def _group(self) -> Part:
        if not self.take("?:"):
            if self.take("?P<"):
                while self._next() != ">":
                    pass
            elif self._comes("?"):
                raise self.refusal()
        self._depth += 1
        if self._depth > 20:
            raise self.refusal()
        ways: list[Part] = [self.row()]
        while self.take("|"):
            ways.append(self.row())
        if not self.take(")"):
            raise self.refusal()
        self._depth -= 1
        return ways[0] if len(ways) == 1 else Choice(tuple(ways))

    def _times(self, part: Part) -> Part:
        low, high = self._count()
        if (low, high) == (1, 1):
            return part
        # A lazy mark changes what is found first, not what matches.
        self.take("?")
        if self._comes("*", "+", "?", "{"):
            raise self.refusal()
        if lengths(part)[0] == 0:
            # Repeating what may be empty has endless ways to say nothing.
            raise self.refusal()
        made = Times(part, low, high)
        if lengths(part) != (1, 1) and _places(made) > _MOST:
            raise self.refusal()
        return made

    def _count(self) -> tuple[int, int | None]:
        for mark, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(mark):
                return count
        if not self.take("{"):
            return 1, 1
        text = ""
        while (character := self._next()) != "}":
            text += character
        low, comma, high = text.partition(",")
        if not (low.isdecimal() and low.isascii() and (not high or (high.isdecimal() and high.isascii()))):
            raise self.refusal()
        most = int(low) if not comma else int(high) if high else None
        if max(int(low), most or 0) > _MOST or (most is not None and most < int(low)):
            raise self.refusal()
        return int(low), most

    def _escape(self) -> Ranges:
        """What a backslash and what follows stand for, as one class."""
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in ("D", "W", "S"):
            return without(((0, 127),), _CLASSES[character.lower()])
        if character in ("x", "u"):
            digits = "".join(self._next() for _ in range(2 if character == "x" else 4))
            try:
                code = int(digits, 16)
            except ValueError:
                raise self.refusal() from None
            if 0xD800 <= code <= 0xDFFF:
                # Half a pair: what it means depends on who reads the pattern.
                raise self.refusal()
            return ((code, code),)
        if character in _NAMED and not (character == "0" and self._comes(*"0123456789")):
            return ((_NAMED[character], _NAMED[character]),)
        if character.isalnum():
            raise self.refusal()
        return ((ord(character), ord(character)),)

    def _set(self) -> Class:
        """A class in brackets."""
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        broad = False
        first = True
        while first or not self.take("]"):
            first = False
            low, is_class = self._member()
            broad |= is_class
            if is_class or not self._comes("-") or self._comes("-]"):
                ranges += low
                continue
            self.take("-")
            high, is_class = self._member()
            if is_class or high[0][0] < low[0][0]:
                raise self.refusal()
            ranges.append((low[0][0], high[0][0]))
        found = union(tuple(ranges))
        if negated:
            # `\\d` outside ASCII is Python's too, so what is not `\\d` stays within ASCII.
            found = without(((0, 127 if broad else _LAST),), found)
        return Class(found)

    def _member(self) -> tuple[Ranges, bool]:
        character = self._next()
        if character == "[" and self._comes(":"):
            raise self.refusal()
        if character != "\\":
            return ((ord(character), ord(character)),), False
        if self.take("b"):
            return ((8, 8),), False
        shorthand = self._comes("d", "D", "w", "W", "s", "S")
        return self._escape(), shorthand
