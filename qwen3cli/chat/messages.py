"""Frozen values of a conversation: messages, tool calls, tool results, tool descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

ERROR_MARK = "Error: "
"""Begins the content of a result in which a tool says that it failed: templates have no other place for that."""


@dataclass(frozen=True)
class ToolSpec:
    """A tool the model may call; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """One call the model made."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave back, as text for the model."""

    name: str
    content: str
    is_error: bool = False


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    `thinking` belongs to assistant messages. It is kept so that a running tool loop can render it;
    the template drops it from history (QwenLM/Qwen3, "best practices": no thinking content in history).
    """

    role: Role
    content: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = field(default=())
