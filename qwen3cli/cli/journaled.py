"""A desk whose conversation is written down as it goes."""

from __future__ import annotations

from collections.abc import Iterator

from qwen3cli.chat.events import Event, Notice, Prefill, Text, Thinking, TurnEnded
from qwen3cli.cli.desk import ChatDesk
from qwen3cli.cli.opening import RunOptions
from qwen3cli.cli.resuming import reference_of
from qwen3cli.errors import UsageError
from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.snapshot import Lasting, Snapshot, lasting


class JournaledDesk(ChatDesk):
    """A desk that remembers: `go_on` comes first."""

    _journal: Journal
    _model: str
    _options: RunOptions

    def go_on(self, journal: Journal, model: str, options: RunOptions) -> None:
        """Begin with what was said before, and write down what comes; `model` and `options` are what is open."""
        if self._settings.raw and journal.name is not None:
            raise UsageError(
                f"`{self._facts.name}` completes text, and a session is a conversation",
                "name a model that chats",
            )
        self._journal, self._model, self._options = journal, reference_of(model), options
        before = journal.before
        if before is not None:
            self._conversation.append(*before.messages)
            self._conversation.condense(*before.condensed)
            if before.settings.carries_think:
                self.carry_think()
        self._note()

    def say(self, text: str, *, typed: bool = True) -> Iterator[Event]:
        """One turn; what was said in it is on the disk before it ends."""
        try:
            for event in super().say(text, typed=typed):
                # A reply is part of the conversation when it is whole.
                if not isinstance(event, (Prefill, Text, Thinking)):
                    self._note()
                if isinstance(event, TurnEnded):
                    self._journal.sync()
                    yield from map(Notice, self._journal.notices())
                yield event
        finally:
            self._note()
            self._journal.sync()

    @property
    def session(self) -> str | None:
        """What this conversation is kept as; None as long as there is nothing to keep."""
        return self._journal.name if self._conversation.turns else None

    def prepare(self) -> None:
        """As every desk; what commands have changed is written down, too."""
        self._note()
        super().prepare()

    def switch(self, model: str) -> None:
        """Open another model and keep the conversation; on failure the old one stays."""
        super().switch(model)
        self._model = reference_of(model)
        self._note()

    def close(self) -> None:
        """Free the model, and end the servers; what the next process goes on with is kept."""
        self._note()
        if self.session is not None:
            super().prepare()
        super().close()

    def _note(self) -> None:
        """Write down what has changed."""
        conversation, options = self._conversation, self._options
        self._journal.follow(
            Snapshot(
                self._model,
                conversation.system or None,
                Lasting(lasting(self._settings), self._carries_think, options.context, options.kv_type),
                conversation.turns,
                conversation.condensed,
            )
        )
