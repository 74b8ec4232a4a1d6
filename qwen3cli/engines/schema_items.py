"""What the rules of a grammar consist of."""

from __future__ import annotations

import re
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]


MALFORMED = (TypeError, ValueError, AttributeError, KeyError, RecursionError, re.error)
"""What a schema that is none, or has no end, comes to when it is read."""


class Unsupported(Exception):
    """A schema cannot be made into a grammar; the message is a clause of a sentence."""


@dataclass(frozen=True)
class Literal:
    """Characters as they are."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character of any of the ranges."""

    ranges: Ranges


@dataclass(frozen=True)
class Marker:
    """A tag: one token where the vocabulary has it, its characters where not."""

    text: str


@dataclass(frozen=True)
class Ref:
    """Another rule."""

    number: int


@dataclass(frozen=True)
class Repeat:
    """`item` at least `low` and at most `high` times, None without an end."""

    item: Chars | Ref
    low: int
    high: int | None


Item = Literal | Chars | Marker | Ref | Repeat
Way = tuple[Item, ...]


def target_of(item: Item) -> int | None:
    """The rule that an item refers to, once or repeated."""
    inner = item.item if isinstance(item, Repeat) else item
    return inner.number if isinstance(inner, Ref) else None
