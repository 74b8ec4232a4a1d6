"""What there is to know of a conversation at one moment, whatever it is kept in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import ChatSettings

LOST = "The program ended before this call came back."
"""Told of calls whose results were never written down."""


@dataclass(frozen=True)
class Lasting:
    """The settings that belong to a conversation, not to one run of the program; None is as it comes.

    Of `chat` it is `thinking`, `think_budget`, `sampling`, `max_tokens`, `stop` and `when_full`. With `carries_think`
    the next message carries `/think`. `context`, in tokens, and `kv_type` are how the model is opened.
    """

    chat: ChatSettings = field(default_factory=ChatSettings)
    carries_think: bool = False
    context: int | None = None
    kv_type: str | None = None


def lasting(settings: ChatSettings) -> ChatSettings:
    """What of the settings of a chat belongs to its conversation: not what one answer has to be."""
    return ChatSettings(
        settings.thinking,
        settings.think_budget,
        settings.sampling,
        settings.max_tokens,
        settings.stop,
        when_full=settings.when_full,
    )


@dataclass(frozen=True)
class Snapshot:
    """A conversation at one moment: `model` is what opens its model, `messages` all that was said.

    `condensed` is how many of them the model does not see, and what it sees in their place.
    """

    model: str = ""
    system: str | None = None
    settings: Lasting = field(default_factory=Lasting)
    messages: tuple[Message, ...] = ()
    condensed: tuple[int, tuple[Message, ...]] = (0, ())

    @property
    def turns(self) -> int:
        """How often the person has said something."""
        return sum(message.role == "user" for message in self.messages)

    @property
    def begins(self) -> str:
        """What the person has said first; "" where that is nothing."""
        return next((message.content for message in self.messages if message.role == "user"), "")

    def mended(self) -> Snapshot:
        """The same as one can go on with it, whenever the program ended: no question without an answer or a call.

        A call that did not come back has a result that says so.
        """
        conversation = self.conversation()
        while conversation.turns and conversation.turns[-1].role == "user":
            conversation.rewind(len(conversation.turns) - 1)
        messages = conversation.turns
        last = next((n for n in reversed(range(len(messages))) if messages[n].role != "tool"), 0)
        owed = len(messages[last].tool_calls) - (len(messages) - last - 1) if messages else 0
        conversation.append(*(Message("tool", LOST),) * owed)
        return replace(self, messages=conversation.turns, condensed=conversation.condensed)

    def conversation(self) -> Conversation:
        """The conversation itself."""
        conversation = Conversation(self.system)
        conversation.append(*self.messages)
        conversation.condense(*self.condensed)
        return conversation
