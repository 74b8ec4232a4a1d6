"""Cutting a rendered prompt where text of the conversation looks like a special token.

Knows which characters come from the conversation, not why. With SentencePiece vocabularies, which put a
blank before every text, a cut also reads as a blank; byte-level ones such as Qwen's lose and gain nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Rendering:
    """A rendered prompt; `spans` are the ranges that come from the conversation, in order, not touching."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def foreign(self, start: int, end: int) -> int | None:
        """The first position in `start` to `end` whose character comes from the conversation."""
        at = bisect_right(self.spans, (start, len(self.text) + 1)) - 1
        if at >= 0 and start < self.spans[at][1]:
            return start
        if at + 1 < len(self.spans) and self.spans[at + 1][0] < end:
            return self.spans[at + 1][0]
        return None


def cut(rendering: Rendering, markup: frozenset[str]) -> tuple[str, ...]:
    """The text in pieces, none of which holds a text of `markup` that the conversation has a part in.

    A tag that the template wrote whole stays whole; without a look-alike there is one piece.
    """
    cuts = {0, len(rendering.text)}
    for start, end in _occurrences(rendering.text, markup):
        foreign = rendering.foreign(start, end)
        if foreign is not None:
            # Beside a character of the conversation, so never within a tag that the template wrote.
            cuts.add(foreign if foreign > start else start + 1)
    bounds = sorted(cuts)
    return tuple(rendering.text[a:b] for a, b in pairwise(bounds))


def _occurrences(text: str, markup: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Every place, overlapping or not, where a text of `markup` stands."""
    lengths: dict[str, set[int]] = {}
    for tag in markup:
        lengths.setdefault(tag[0], set()).add(len(tag))
    for first, sizes in lengths.items():
        at = text.find(first)
        while at >= 0:
            for size in sizes:
                if text[at : at + size] in markup:
                    yield at, at + size
            at = text.find(first, at + 1)
