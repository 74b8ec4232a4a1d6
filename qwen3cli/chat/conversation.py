"""A conversation: an immutable list of messages behind a few named changes."""

from __future__ import annotations

from qwen3cli.chat.messages import Message


class Conversation:
    """The messages so far, the system prompt apart because a person may change it at any time."""

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self._turns: tuple[Message, ...] = ()

    @property
    def turns(self) -> tuple[Message, ...]:
        """Everything but the system prompt."""
        return self._turns

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the template renders: the system prompt, if any, and all turns."""
        head = (Message("system", self.system),) if self.system else ()
        return head + self._turns

    def append(self, *messages: Message) -> None:
        """Add messages at the end."""
        self._turns += messages

    def rewind(self, length: int) -> None:
        """Keep the first `length` turns: takes back what failed before anything was answered."""
        self._turns = self._turns[:length]

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self._turns = ()
