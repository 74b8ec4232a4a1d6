"""Drafting: tokens that may come next are evaluated along with the one that did, where that is faster.

What is drawn does not change: each token is drawn from the model's own logits, and a draft only decides which of them
are there already. So no acceptance rule is needed, and none can be wrong.
"""

from __future__ import annotations

import time

from qwen3cli.engines.llama.context import MOST_DRAFTED, Context
from qwen3cli.engines.llama.lookup import NOTHING, Draft, Lookup
from qwen3cli.engines.llama.pace import Pace


class Drafter:
    """Appends tokens to a context with drafts from what it holds, and learns how long they should be.

    `drafted` and `accepted` count tokens that were evaluated on trust, and those that came, since `begin`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lookup = Lookup()
        self._pace = Pace()
        self._draft: Draft = NOTHING
        self._length = self._right = 0
        self.drafted = self.accepted = 0

    def begin(self) -> None:
        """A generation begins: the context holds its prompt."""
        self._lookup.follow(self._context.tokens)
        self._draft, self._length, self._right = NOTHING, 0, 0
        self.drafted = self.accepted = 0

    def append(self, token: int, most: int) -> None:
        """Append a token that was drawn, drafting at most as many as may still come after it."""
        lookup = self._lookup
        if len(lookup) != len(self._context.tokens):
            lookup.follow(self._context.tokens)
        lookup.add(token)
        if self._context.take_drafted(token):
            self._right += 1
            self.accepted += 1
            return
        self._learn(token)
        # What a recurrent model has read on trust could not be taken back.
        self._draft = lookup.propose(min(most, MOST_DRAFTED)) if self._context.goes_back else NOTHING
        self._length = self._pace.length(self._draft.agreement, len(self._draft.tokens))
        started = time.perf_counter()
        self._context.append(token, self._draft.tokens[: self._length])
        self._context.settle()
        self._pace.computed(1 + self._length, time.perf_counter() - started)
        self.drafted += self._length

    def _learn(self, token: int) -> None:
        """What came of the last draft; one that was thought of, and not evaluated, tells of its first token."""
        draft, length, right = self._draft, self._length, self._right
        if length:
            self._pace.checked(draft.agreement, length, right, computed=True)
        elif draft.tokens:
            self._pace.checked(draft.agreement, 1, int(draft.tokens[0] == token), computed=False)
        self._right = 0
