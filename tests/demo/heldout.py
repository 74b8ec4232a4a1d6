"""The frozen held-out prompts as values, and how a reply is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from qwen3cli.chat.events import Event, Text, Thinking, ToolCalled
from qwen3cli.chat.messages import Message, ToolCall, ToolSpec

HELDOUT = Path(__file__).parent / "heldout.jsonl"


@dataclass(frozen=True)
class Case:
    """One held-out prompt; due are `answer` or `call`, and thinking (not empty) exactly if `thinks`."""

    skill: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    thinking: bool
    thinks: bool
    wording: str
    names: tuple[str, ...]
    answer: str
    call: ToolCall | None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    thinking: str
    text: str
    calls: tuple[ToolCall, ...]


def _message(raw: dict[str, Any]) -> Message:
    calls = (entry["function"] for entry in raw.get("tool_calls", ()))
    return Message(
        role=raw["role"],
        content=raw["content"],
        thinking=raw.get("reasoning_content", ""),
        tool_calls=tuple(ToolCall(call["name"], call["arguments"]) for call in calls),
    )


def _tool(raw: dict[str, Any]) -> ToolSpec:
    function = raw["function"]
    return ToolSpec(function["name"], function["description"], function["parameters"])


def _case(raw: dict[str, Any]) -> Case:
    call = raw.get("call")
    return Case(
        skill=raw["skill"],
        messages=tuple(_message(message) for message in raw["messages"]),
        tools=tuple(_tool(tool) for tool in raw["tools"]),
        thinking=raw["thinking"],
        thinks=raw["thinks"],
        wording=raw["wording"],
        names=tuple(raw["names"]),
        answer=raw.get("answer", ""),
        call=ToolCall(call["name"], call["arguments"]) if call else None,
    )


def load() -> dict[str, list[Case]]:
    """All cases, by skill."""
    skills: dict[str, list[Case]] = {}
    with HELDOUT.open(encoding="utf-8") as lines:
        for line in lines:
            case = _case(json.loads(line))
            skills.setdefault(case.skill, []).append(case)
    return skills


def sample(skills: dict[str, list[Case]], each: int, seed: int = 0) -> dict[str, list[Case]]:
    """At most EACH cases of every skill, the same ones for the same SEED."""
    rng = Random(seed)
    return {skill: rng.sample(cases, min(each, len(cases))) for skill, cases in skills.items()}


def collect(events: list[Event]) -> Reply:
    """The reply that EVENTS of one generation make."""
    return Reply(
        thinking="".join(event.text for event in events if isinstance(event, Thinking)).strip(),
        text="".join(event.text for event in events if isinstance(event, Text)),
        calls=tuple(event.call for event in events if isinstance(event, ToolCalled)),
    )


def exact(case: Case, reply: Reply) -> bool:
    """Whether REPLY is what CASE calls for: answer or call to the letter, thinking as switched."""
    due = ("", (case.call,)) if case.call else (case.answer, ())
    return (reply.text, reply.calls) == due and bool(reply.thinking) == case.thinks
