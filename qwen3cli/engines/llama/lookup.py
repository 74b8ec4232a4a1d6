"""Prompt-lookup drafting: how a text goes on that has begun like one in the context.

Who quotes, edits or rewrites repeats what was read. The idea is that of "Prompt Lookup Decoding" (Saxena, 2023);
llama.cpp knows it as ngram-simple and ngram-map (common/ngram-map.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from qwen3cli.engines.llama.prefix import common_prefix

_KEY = 3
"""Tokens that have to agree at least: two agree by chance in any text."""
_LATEST = 4
"""Earlier places that are looked at, the latest first."""
_FAR = 16
"""Agreement beyond which more means nothing."""


@dataclass(frozen=True)
class Draft:
    """Tokens that may come next; `agreement` is how many before them were the same where they come from."""

    tokens: list[int]
    agreement: int


NOTHING = Draft([], 0)


class Lookup:
    """An index of what a context holds, kept up to date token by token."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], list[int]] = {}

    def follow(self, tokens: Sequence[int]) -> None:
        """Take over what the context holds now; what it has in common with before costs nothing."""
        kept = common_prefix(self._tokens, tokens)
        # Places that no longer are what they were stay in the index: each is compared before it is believed.
        del self._tokens[kept:]
        for token in tokens[kept:]:
            self.add(token)

    @property
    def tokens(self) -> Sequence[int]:
        """What it knows."""
        return self._tokens

    def add(self, token: int) -> None:
        """One token more."""
        tokens = self._tokens
        tokens.append(token)
        if len(tokens) >= _KEY:
            ends = self._ends.setdefault(tuple(tokens[-_KEY:]), [])
            if not ends or ends[-1] != len(tokens):
                ends.append(len(tokens))

    def propose(self, most: int) -> Draft:
        """What came at the place that agrees longest with the end of the context; perhaps nothing.

        Where that has come twice, one right after the other, it may come again and again.
        """
        tokens = self._tokens
        best, agreement = 0, _KEY - 1
        for end in self._places():
            same = self._agreement(end)
            if same > agreement:
                best, agreement = end, same
        if not best:
            return NOTHING
        came = tokens[best : best + most]
        if len(came) <= agreement:
            # Else it would end where the text does, and of the shortest loop be one token.
            came = [*islice(cycle(came), most)]
        return Draft(came, agreement)

    def _places(self) -> list[int]:
        tokens = self._tokens
        ends = self._ends.get(tuple(tokens[-_KEY:]), [])
        return [end for end in reversed(ends[-_LATEST - 1 :]) if end < len(tokens)]

    def _agreement(self, end: int) -> int:
        """How many tokens before `end` are the same as the last ones."""
        tokens = self._tokens
        same = 0
        while same < _FAR and same < end and tokens[end - 1 - same] == tokens[-1 - same]:
            same += 1
        return same
