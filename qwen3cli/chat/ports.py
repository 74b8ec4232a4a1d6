"""What the domain asks of the world: an engine, a host of tools, and the desk that slash commands talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from qwen3cli.chat.bench import Bench
from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event
from qwen3cli.chat.messages import Message, ToolCall, ToolResult, ToolSpec
from qwen3cli.chat.sampling import Sampling, SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.errors import UsageError
from qwen3cli.machine import ModelFacts

ToolChoice = Literal["auto", "required", "none"]
Making = Literal["summarise", "drop", "stop"]
"""What is done where the context has no room: the oldest turns are summed up, or dropped, or the turn is not run."""
WhenFull = Literal["ask", "summarise", "drop", "stop"]
"""The same as a setting; `ask` leaves it to the person, and stops where nobody can be asked."""


@dataclass(frozen=True)
class GenerateRequest:
    """One generation: `messages` for the template, or `raw` text that is completed as it stands.

    `thinking` is the hard switch. `think_budget` and `max_tokens` are in tokens, None without a limit. With
    `tool_choice` "required" the answer is a call of one of `tools`. `format` is a JSON Schema that the answer
    follows, which the thinking before it need not.
    """

    sampling: Sampling
    messages: tuple[Message, ...] = ()
    raw: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = "auto"
    format: Mapping[str, Any] | None = None
    thinking: bool = True
    think_budget: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Engine(Protocol):
    """Something that continues conversations; one generation at a time."""

    @property
    def context_size(self) -> int:
        """Tokens the context holds."""
        ...

    @property
    def thinking_mode(self) -> ThinkingMode:
        """What the model's own template shows of its thinking."""
        ...

    @property
    def has_template(self) -> bool:
        """Whether conversations can be rendered; without it only `raw` requests make sense."""
        ...

    @property
    def takes_tools(self) -> bool:
        """Whether the model's own template shows it the tools on offer."""
        ...

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Prefill, Thinking, Text, ToolCalled and Notice events as they come, then one TurnEnded.

        Raises `ContextFull` when the prompt does not fit, before any event.
        """
        ...

    def expect(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        thinking: bool = True,
        session: str | None = None,
    ) -> None:
        """Get ready for a prompt with these messages and another one of the user; returns at once.

        That of a `session` may be kept for other processes that go on with it.
        """
        ...

    def expected_tokens(self, patience: float = 0.0) -> int | None:
        """How many tokens the prompt begins with that `expect` was told of last; None while that is not known.

        It is waited for so many seconds.
        """
        ...

    def count_prompt(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of this request has; nothing is evaluated."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` takes as it stands; callable from any thread, also during a generation."""
        ...

    def cancel(self) -> None:
        """Stop the running generation soon, and each later one until `allow`.

        Callable from a signal handler or another thread, and just before a generation too.
        """
        ...

    def allow(self) -> None:
        """Take an earlier `cancel` back; for whoever called it, once its turn is over."""
        ...

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        ...


class PreparedCall(Protocol):
    """A call that may run: its arguments are valid, and whoever had to be asked has agreed."""

    @property
    def call(self) -> ToolCall:
        """The call as it will run."""
        ...

    def run(self, room: int, watch: Callable[[str], None]) -> ToolResult:
        """Run it; the result takes at most about `room` tokens. `watch` hears of progress, from any thread.

        A failure of the tool is a result with `is_error`. Raises `Interrupted` after `ToolHost.cancel`. Callable
        from any thread, for several calls at once.
        """
        ...

    def drop(self) -> None:
        """It will not run: the turn was stopped before."""
        ...


class ToolHost(Protocol):
    """Where tools come from, and who decides whether a call may run."""

    def tools(self) -> Sequence[ToolSpec]:
        """The tools on offer now."""
        ...

    def prepare(self, call: ToolCall) -> PreparedCall | ToolResult:
        """Check a call and ask whoever has to be asked; a refusal is a result with `is_error`."""
        ...

    def news(self) -> list[str]:
        """What the person should know since this was asked last: servers that failed, tools that changed."""
        ...

    def goes_on(self, rounds: int) -> bool:
        """Whether the turn may go on after so many rounds of calls; asked after each of them."""
        ...

    def cancel(self) -> None:
        """Stop the running calls; callable from a signal handler."""
        ...


@dataclass(frozen=True)
class Shortage:
    """A prompt that leaves too little room for an answer, in tokens; `wanted` is what an answer should have.

    `summarisable`: whether the oldest turns can be summed up; a prompt that asks for it has to fit, too.
    """

    prompt: int
    wanted: int
    size: int
    summarisable: bool


Choose = Callable[[Shortage], Making]
"""Decides what is done about it; raises `Interrupted` when the person leaves the question."""


@dataclass(frozen=True)
class ChatSettings:
    """What a person can set for a chat, on the command line or with slash commands.

    `thinking` None is the model's own default, `when_full` None asks.
    """

    thinking: bool | None = None
    think_budget: int | None = None
    sampling: SamplingChoice = field(default_factory=SamplingChoice)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tool_choice: ToolChoice = "auto"
    format: Mapping[str, Any] | None = None
    raw: bool = False
    verbose: bool = False
    when_full: WhenFull | None = None

    def __post_init__(self) -> None:
        if not all(self.stop):
            raise UsageError(
                "an empty stop text would end every answer", "give the text that ends the answer"
            )

    @property
    def at_the_end(self) -> WhenFull:
        """What is done where the context has no room."""
        return self.when_full or "ask"


class Desk(Protocol):
    """What slash commands may ask for; each change is valid as a whole or raises `UsageError`."""

    @property
    def conversation(self) -> Conversation:
        """The running conversation."""
        ...

    @property
    def settings(self) -> ChatSettings:
        """The settings in force."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """The model in use."""
        ...

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        ...

    @property
    def context_used(self) -> int:
        """Tokens that the next prompt begins with; until they are counted, those that the last turn left in use."""
        ...

    @property
    def bench(self) -> Bench | None:
        """The tools; None where there are none."""
        ...

    def change(self, settings: ChatSettings) -> None:
        """Put new settings in force, after checking them against the model."""
        ...

    def thinks(self) -> bool:
        """Whether the next turn is going to think (hard switch, soft switches and nature of the model)."""
        ...

    def carry_think(self) -> None:
        """Put `/think` into the next message, unless that has a switch itself: an earlier soft switch is in force."""
        ...

    def models(self) -> list[str]:
        """Names of the models that can be opened."""
        ...

    def switch(self, model: str) -> None:
        """Open another model and keep the conversation; on failure the old one stays."""
        ...

    def opening_notices(self) -> list[str]:
        """What a person should know of the model before the first turn with it."""
        ...

    def prepare(self) -> None:
        """Get ready for the next message; called often while a person types, and costs nothing if nothing changed."""
        ...

    def clear(self) -> None:
        """Forget the conversation; the system prompt and the settings stay."""
        ...
