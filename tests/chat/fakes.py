"""An engine that follows a script: the domain is tested without a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qwen3cli.chat.events import Event, Finish, Stats, TurnEnded
from qwen3cli.chat.messages import ToolCall, ToolResult, ToolSpec
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
        self.context_size = 4096
        self.thinking_mode = mode
        self.has_template = True

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        self.requests.append(request)
        for event in self._rounds.pop(0):
            if isinstance(event, QwenError):
                raise event
            yield event

    def cancel(self) -> None:
        """Nothing runs."""

    def allow(self) -> None:
        """Nothing was cancelled."""

    def close(self) -> None:
        """Nothing to free."""


class Clock:
    """A tool host with one tool."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []

    def tools(self) -> list[ToolSpec]:
        return [ToolSpec("now", "The time", {"type": "object", "properties": {}})]

    def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        return ToolResult(call.name, "12:00")


def ended(finish: Finish = "stop", **figures: int) -> TurnEnded:
    return TurnEnded(finish, Stats(model="m", **figures))  # type: ignore[arg-type]
