"""What a turn produces, in order; screens, pipes and scripts consume it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from qwen3cli.chat.messages import ToolCall, ToolResult

Finish = Literal["stop", "length", "interrupted", "context", "tool_calls"]


@dataclass(frozen=True)
class Stats:
    """Counts in tokens, times in seconds (`_s`); names are those of the `--json` contract.

    `evaluated_tokens` are the prompt tokens that had to be computed, `cached_tokens` those that were reused.
    """

    model: str = ""
    load_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    evaluated_tokens: int = 0
    prompt_s: float = 0.0
    ttft_s: float = 0.0
    thinking_tokens: int = 0
    output_tokens: int = 0
    output_s: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    context_used: int = 0
    context_size: int = 0

    def plus(self, later: Stats) -> Stats:
        """One turn made of several generations: work adds up, the context is the last one's."""
        return replace(
            later,
            load_s=self.load_s,
            ttft_s=self.ttft_s,
            prompt_tokens=self.prompt_tokens + later.prompt_tokens,
            cached_tokens=self.cached_tokens + later.cached_tokens,
            evaluated_tokens=self.evaluated_tokens + later.evaluated_tokens,
            prompt_s=self.prompt_s + later.prompt_s,
            thinking_tokens=self.thinking_tokens + later.thinking_tokens,
            output_tokens=self.output_tokens + later.output_tokens,
            output_s=self.output_s + later.output_s,
            drafted_tokens=self.drafted_tokens + later.drafted_tokens,
            accepted_tokens=self.accepted_tokens + later.accepted_tokens,
        )


@dataclass(frozen=True)
class Prefill:
    """The prompt is being evaluated: `done` of `total` new tokens; only for screens."""

    done: int
    total: int


@dataclass(frozen=True)
class Thinking:
    """A piece of the model's thinking."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the model's answer."""

    text: str


@dataclass(frozen=True)
class ToolCalled:
    """The model called a tool."""

    call: ToolCall


@dataclass(frozen=True)
class Working:
    """What a running tool says of its progress; only for screens."""

    text: str


@dataclass(frozen=True)
class ToolReturned:
    """A tool came back."""

    result: ToolResult


@dataclass(frozen=True)
class Notice:
    """Something the person should know: nothing is dropped, changed or guessed without one."""

    message: str


@dataclass(frozen=True)
class TurnEnded:
    """The last event of a generation and of a turn."""

    finish: Finish
    stats: Stats


Event = Prefill | Thinking | Text | ToolCalled | Working | ToolReturned | Notice | TurnEnded
