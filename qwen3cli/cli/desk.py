"""The desk of a chat: one conversation, one model, the settings in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3cli.chat.bench import Bench
from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, TurnEnded, Working
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import ChatSettings, Engine, Making, Shortage
from qwen3cli.chat.requests import advice, switch, thinks_next
from qwen3cli.chat.thinking import soft_switch
from qwen3cli.chat.turn import make_room, run_turn
from qwen3cli.cli.suits import check_settings, completes
from qwen3cli.errors import QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.reference import DEMO
from qwen3cli.models.store import ModelStore

if TYPE_CHECKING:
    from qwen3cli.cli.answers import AnswerCheck
    from qwen3cli.cli.tooling import Tooling

Open = Callable[[str], tuple[ModelFacts, Engine]]
AskWhenFull = Callable[[Shortage], tuple[Making, bool]]
"""Asks a person what makes way at the end of the context, and whether that holds for the whole chat."""


class ChatDesk:
    """Implements `Desk` for the slash commands and says turns for the screens."""

    def __init__(
        self,
        facts: ModelFacts,
        engine: Engine,
        settings: ChatSettings,
        *,
        system: str | None,
        open_model: Open,
        store: ModelStore,
        tools: Tooling | None = None,
        attaches: bool = False,
        check: AnswerCheck | None = None,
        when_full: AskWhenFull | None = None,
    ) -> None:
        """With `attaches`, `@server:uri` in a message stands for a resource: only where a person has typed it.

        `check` judges answers; what it finds is told. `when_full` asks what makes way where the context has no room.
        """
        self._facts = facts
        self._engine = engine
        self._open = open_model
        self._store = store
        self._tools = tools
        self._attaches = attaches
        self._check = check
        self._when_full = when_full
        self._conversation = Conversation(system)
        self._settings = ChatSettings()
        self._asked_raw = settings.raw
        self._told: set[str] = set()
        self._carries_think = False
        self._expected: object = None
        self._used = 0
        self.change(settings)
        if tools is not None:
            tools.use(engine)

    @property
    def conversation(self) -> Conversation:
        """The running conversation."""
        return self._conversation

    @property
    def settings(self) -> ChatSettings:
        """The settings in force."""
        return self._settings

    @property
    def facts(self) -> ModelFacts:
        """The model in use."""
        return self._facts

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._engine

    @property
    def context_used(self) -> int:
        """Tokens that the next prompt begins with; until they are counted, those that the last turn left in use."""
        counted = self._engine.expected_tokens()
        return self._used if counted is None else counted

    @property
    def bench(self) -> Bench | None:
        """The tools; None where there are none."""
        return self._tools

    def cancel(self) -> None:
        """Stop what runs, model and tools, soon; callable from a signal handler."""
        self._engine.cancel()
        if self._tools is not None:
            self._tools.cancel()

    def allow(self) -> None:
        """Take an earlier `cancel` back."""
        self._engine.allow()

    def change(self, settings: ChatSettings) -> None:
        """Put new settings in force, after checking them against the model."""
        check_settings(settings, self._facts, self._engine)
        self._settings = replace(settings, raw=completes(settings, self._facts, self._engine))
        self._carries_think &= settings.thinking is True

    def thinks(self) -> bool:
        """Whether the next turn is going to think."""
        return thinks_next(self._engine, self._settings, self._with(""))

    def carry_think(self) -> None:
        """Put `/think` into the next message, unless that has a switch itself: an earlier soft switch is in force."""
        self._carries_think = True

    def models(self) -> list[str]:
        """Names of the models that can be opened."""
        return [entry.name for entry in self._store.entries()] + [DEMO]

    def switch(self, model: str) -> None:
        """Open another model and keep the conversation; on failure the old one stays."""
        facts, engine = self._open(model)
        try:
            check_settings(replace(self._settings, raw=self._asked_raw), facts, engine)
        except UsageError:
            engine.close()
            raise
        old, self._facts, self._engine = self._engine, facts, engine
        old.close()
        self._used = 0
        if self._tools is not None:
            self._tools.use(engine)
        self.change(replace(self._settings, raw=self._asked_raw))

    def clear(self) -> None:
        """Forget the conversation; the system prompt and the settings stay."""
        self._conversation.clear()
        self._carries_think = False
        self._used = 0

    @property
    def session(self) -> str | None:
        """What this conversation is kept as; None if it is not."""
        return None

    def prepare(self) -> None:
        """Have the engine evaluate what the next prompt begins with; costs nothing if that is the same as before."""
        if self._settings.raw:
            return
        tools = self._tools if self._settings.tool_choice != "none" else None
        specs = tuple(tools.tools()) if tools is not None else ()
        expected = self._engine, self._conversation.messages, specs, switch(self._engine, self._settings)
        if expected != self._expected:
            self._expected = expected
            _, messages, _, thinking = expected
            self._engine.expect(messages, specs, thinking=thinking, session=self.session)

    def opening_notices(self) -> list[str]:
        """What a person should know before the first turn."""
        lines: list[str] = []
        if self._facts.base:
            lines.append(f"`{self._facts.name}` is a base model: it completes text and does not chat")
        elif not self._engine.has_template:
            lines.append(f"`{self._facts.name}` has no chat template: it completes text and does not chat")
        elif self._tools is not None and not self._engine.takes_tools:
            lines.append(f"the chat template of `{self._facts.name}` knows no tools: it is not told of them")
        if self._settings.raw and self._conversation.system:
            lines.append("the system prompt is not used: text is completed as it stands")
        if self._settings.raw and self._tools is not None:
            lines.append("the tools are not used: text is completed as it stands")
        return lines

    def say(self, text: str, *, typed: bool = True) -> Iterator[Event]:
        """One turn; see `run_turn`. What nobody `typed` attaches no resources."""
        # It ends what is got ready, and may leave nothing behind that would be got ready in its place.
        self._expected = None
        messages = self._with(text)
        for line in advice(self._settings, thinking=thinks_next(self._engine, self._settings, messages)):
            if line not in self._told:
                self._told.add(line)
                yield Notice(line)
        tools = None if self._settings.raw else self._tools
        content = messages[-1].content
        if tools is not None:
            yield from tools.starting()
            if tools.waited_enough:
                # Ctrl-C meant the servers, not the message.
                self._engine.allow()
            if self._attaches and typed:
                content = tools.attached(content, self._engine.context_size - self.context_used)
            elif typed and (named := tools.named(content)):
                yield Notice(
                    f"`{named[0]}` is text here: resources are attached to what is typed in the REPL"
                )
            if self._settings.tool_choice == "required":
                tools.demand()
        try:
            yield from self._turn(content, tools)
        finally:
            if tools is not None:
                tools.end_turn()
        said = soft_switch([Message("user", text)])
        self._carries_think &= said is None and soft_switch(self._conversation.messages) is False

    def _turn(self, text: str, tools: Tooling | None) -> Iterator[Event]:
        if self._check is not None:
            self._check.begin()
        for event in run_turn(
            self._engine,
            self._conversation,
            text,
            self._settings,
            quantized=self._facts.quantized,
            tools=tools,
            choose=self._choose if self._when_full else None,
        ):
            if self._check is not None:
                self._check.hear(event)
            if isinstance(event, TurnEnded):
                self._used = event.stats.context_used
                yield from self._judged()
            elif isinstance(event, Working) and tools is not None:
                yield from tools.visits()
            yield event

    def make_room(self) -> Iterator[Event]:
        """Make room for the next message, after a reply that ran into the end of the context."""
        if self._settings.raw:
            return
        yield from make_room(
            self._engine,
            self._conversation,
            self._settings,
            quantized=self._facts.quantized,
            tools=self._tools,
            choose=self._choose if self._when_full else None,
        )

    def _choose(self, shortage: Shortage) -> Making:
        """What the person wants done; they may say so for the whole chat."""
        assert self._when_full is not None, "nobody is there to be asked"
        making, always = self._when_full(shortage)
        if always:
            self.change(replace(self._settings, when_full=making))
        return making

    def _judged(self) -> Iterator[Event]:
        """What is wrong with the answer, if somebody judges it."""
        if self._check is not None:
            try:
                self._check.check()
            except QwenError as error:
                yield Notice(error.message)

    def _with(self, text: str) -> tuple[Message, ...]:
        """The messages as they are when `text` is said next, the switch that it carries included."""
        message = Message("user", text)
        if self._carries_think and soft_switch([message]) is None:
            message = Message("user", f"{text} /think")
        return (*self._conversation.messages, message)

    def close(self) -> None:
        """Free the model, and end the servers."""
        if self._tools is not None:
            self._tools.close()
        self._engine.close()
