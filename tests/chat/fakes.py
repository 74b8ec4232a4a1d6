"""An engine that follows a script: the domain is tested without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event as Event_

from qwen3cli.chat.events import Event, Finish, Stats, TurnEnded
from qwen3cli.chat.messages import Message, ToolCall, ToolResult, ToolSpec
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.errors import QwenError


class ScriptedEngine:
    """Plays one list of events a generation; an error in the list is raised there."""

    def __init__(
        self, *rounds: Sequence[Event | QwenError], mode: ThinkingMode = ThinkingMode.HYBRID
    ) -> None:
        self._rounds = list(rounds)
        self.requests: list[GenerateRequest] = []
        self.expected: list[tuple[tuple[Message, ...], tuple[ToolSpec, ...], bool]] = []
        self.sessions: list[str | None] = []
        self.context_size = 4096
        self.beginning: int | None = None
        self.filler = 0
        """What a prompt takes besides the characters of its messages."""
        self.thinking_mode = mode
        self.has_template = True

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        self.requests.append(request)
        for event in self._rounds.pop(0):
            if isinstance(event, QwenError):
                raise event
            yield event

    takes_tools = True

    def count_tokens(self, text: str) -> int:
        return len(text)

    def expect(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        thinking: bool = True,
        session: str | None = None,
    ) -> None:
        self.expected.append((tuple(messages), tuple(tools), thinking))
        self.sessions.append(session)

    def expected_tokens(self, patience: float = 0.0) -> int | None:
        return self.beginning

    def count_prompt(self, request: GenerateRequest) -> int:
        return self.filler + sum(len(message.content) for message in request.messages)

    def cancel(self) -> None:
        """Nothing runs."""

    def allow(self) -> None:
        """Nothing was cancelled."""

    def close(self) -> None:
        """Nothing to free."""


@dataclass
class FakeCall:
    """A call that may run, and what `host` makes of it."""

    call: ToolCall
    host: FakeTools

    def run(self, room: int, watch: Callable[[str], None]) -> ToolResult:
        self.host.rooms.append(room)
        return self.host.answer(self.call, watch)

    def drop(self) -> None:
        self.host.dropped.append(self.call)


Answer = Callable[[ToolCall, Callable[[str], None]], ToolResult]


def _noon(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
    return ToolResult(call.name, "12:00")


class FakeTools:
    """A tool host with one tool, `now`; `answer` runs it, `refuse` is the reason why it may not."""

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        refuse: str = "",
        patience: int = 20,
    ) -> None:
        self.calls: list[ToolCall] = []
        self.rooms: list[int] = []
        self.dropped: list[ToolCall] = []
        self.cancelled = Event_()
        self.told: list[str] = []
        self.asked: list[int] = []
        self._refuse = refuse
        self._patience = patience
        self.answer = answer or _noon

    def tools(self) -> list[ToolSpec]:
        return [ToolSpec("now", "The time", {"type": "object", "properties": {}})]

    def prepare(self, call: ToolCall) -> FakeCall | ToolResult:
        self.calls.append(call)
        return ToolResult(call.name, self._refuse, is_error=True) if self._refuse else FakeCall(call, self)

    def news(self) -> list[str]:
        told, self.told = self.told, []
        return told

    def goes_on(self, rounds: int) -> bool:
        self.asked.append(rounds)
        return len(self.asked) < self._patience

    def cancel(self) -> None:
        self.cancelled.set()


def ended(finish: Finish = "stop", **figures: int) -> TurnEnded:
    return TurnEnded(finish, Stats(model="m", **figures))  # type: ignore[arg-type]
