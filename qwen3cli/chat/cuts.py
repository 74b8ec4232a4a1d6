"""What can make way at the beginning of a conversation, and what is left then: counted with the engine's own prompts.

Knows no settings and asks nobody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.thinking import ThinkingMode, soft_switch
from qwen3cli.errors import ContextFull


class Cuts:
    """The cuts that a conversation can have: between turns, before the latest one.

    The messages of a request are those of the conversation, and maybe one that is not part of it yet. A cut is how many
    messages are before it, of those that the model sees; `pair` is what it sees in their place.
    """

    def __init__(self, engine: Engine, conversation: Conversation) -> None:
        self._engine = engine
        self._conversation = conversation

    @property
    def head(self) -> int:
        """How many messages come before the turns: the system prompt, or none."""
        return len(self._conversation.messages) - len(self._conversation.seen)

    def all(self) -> list[int]:
        """Where turns begin that have something before them."""
        seen = self._conversation.seen
        return [number for number, message in enumerate(seen) if number and message.role == "user"]

    def first(
        self, request: GenerateRequest, frees: Sequence[int], pair: tuple[Message, ...] = ()
    ) -> int | None:
        """The first cut that leaves so many tokens free, of `frees` the first that any of them leaves."""
        cuts = self.all()
        for free in frees:
            most = self._engine.context_size - free
            at = bisect_left(cuts, True, key=lambda cut: self.left(request, cut, pair) <= most)
            if at < len(cuts):
                return cuts[at]
        return None

    def left(self, request: GenerateRequest, cut: int, pair: tuple[Message, ...] = ()) -> int:
        """How many tokens the prompt has then."""
        return self._engine.count_prompt(self._made(request, cut, pair)[0])

    def make(self, request: GenerateRequest, cut: int, pair: tuple[Message, ...] = ()) -> GenerateRequest:
        """Have the conversation cut, and return the request that comes of it."""
        request, count, stand_in = self._made(request, cut, pair)
        self._conversation.condense(count, stand_in)
        return request

    def _made(
        self, request: GenerateRequest, cut: int, pair: tuple[Message, ...]
    ) -> tuple[GenerateRequest, int, tuple[Message, ...]]:
        """The request with the cut, and how many messages something else stands in for."""
        seen, known, head = self._conversation.seen, self._conversation.messages, self.head
        count, stand_in = cut, pair
        if self._engine.thinking_mode is ThinkingMode.HYBRID:
            off = _is_off(known)
            if off != _is_off((*known[:head], *seen[cut:])):
                # The soft switch in force was given before the cut: the message after it carries it on.
                carried = f"{seen[cut].content} {'/no_think' if off else '/think'}"
                count, stand_in = cut + 1, (*pair, replace(seen[cut], content=carried))
        messages = (*request.messages[:head], *stand_in, *request.messages[head + count :])
        return replace(request, messages=messages), count, stand_in

    def named(self, request: GenerateRequest, cut: int) -> str:
        """What is before a cut, and its tokens, in words."""
        turns = sum(message.role == "user" for message in self._conversation.seen[:cut])
        parts: list[str] = []
        if self._conversation.summary is not None:
            # It is the oldest turn that the model sees, and nobody has said it.
            parts, turns = ["the earlier summary"], turns - 1
        if turns:
            parts.append("the oldest turn" if turns == 1 else f"the oldest {turns:,} turns")
        tokens = self._engine.count_prompt(request) - self.left(request, cut)
        return f"{' and '.join(parts)} ({tokens:,} tokens)"

    def refusal(self, request: GenerateRequest) -> ContextFull:
        """What there is to say about a prompt for which no cut makes room."""
        size, head = self._engine.context_size, self.head
        bare = self._engine.count_prompt(
            replace(request, messages=(*request.messages[:head], Message("user", "")))
        )
        if bare >= size:
            parts = [
                name for name, there in (("the system prompt", head), ("the tools", request.tools)) if there
            ]
            return ContextFull(
                bare,
                size,
                f"{' and '.join(parts) or 'an empty message'} {'take' if request.tools else 'takes'} {bare:,} tokens"
                f" and the context holds {size:,}",
                "shorten the system prompt, switch tools off, or give a larger `--ctx`",
            )
        if cuts := self.all():
            alone = self.left(request, cuts[-1])
            return ContextFull(
                alone,
                size,
                f"even without what was said before, the prompt has {alone:,} tokens and the context holds {size:,}",
            )
        return ContextFull(self._engine.count_prompt(request), size)


def _is_off(messages: Iterable[Message]) -> bool:
    return soft_switch(messages) is False
