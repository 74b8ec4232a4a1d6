"""A conversation: an immutable list of messages behind a few named changes."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3cli.chat.messages import Message


class Conversation:
    """The messages so far, the system prompt apart because a person may change it at any time.

    What was said stays as it was, in `turns`; what the model sees of it may begin with something else.
    """

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self._turns: tuple[Message, ...] = ()
        self._stand_in: tuple[Message, ...] = ()
        self._replaced = 0

    @property
    def turns(self) -> tuple[Message, ...]:
        """Everything that was said, but the system prompt."""
        return self._turns

    @property
    def seen(self) -> tuple[Message, ...]:
        """What the model sees of that: the latest messages, after what stands in for the oldest."""
        return self._stand_in + self._turns[self._replaced :]

    @property
    def condensed(self) -> tuple[int, tuple[Message, ...]]:
        """How many of the turns the model does not see, and what it sees in their place."""
        return self._replaced, self._stand_in

    @property
    def summary(self) -> str | None:
        """What the model has written in place of turns that it does not see; None if it has not."""
        return next((one.content for one in self._stand_in if one.role == "assistant"), None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the template renders: the system prompt, if any, and what the model sees of the turns."""
        head = (Message("system", self.system),) if self.system else ()
        return head + self.seen

    def append(self, *messages: Message) -> None:
        """Add messages at the end."""
        self._turns += messages

    def condense(self, count: int, stand_in: Sequence[Message] = ()) -> None:
        """Let the model see `stand_in` in place of the first `count` messages that it sees now."""
        rest = self._stand_in[count:]
        self._replaced += max(0, count - len(self._stand_in))
        self._stand_in = (*stand_in, *rest)

    def rewind(self, length: int) -> None:
        """Keep the first `length` turns: takes back what failed before anything was answered.

        The model sees all of them again if some that something stands in for are among those taken back.
        """
        self._turns = self._turns[:length]
        if length < self._replaced:
            self._stand_in, self._replaced = (), 0

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self._turns = self._stand_in = ()
        self._replaced = 0
