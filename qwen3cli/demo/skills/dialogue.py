"""Whole dialogues with the reply that the demo model should give: what it is trained on.

An `Example` is rendered by the chat template; here is only what is said. Pure functions of a seeded `Random`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from qwen3cli.demo.skills import beyond, tools, words
from qwen3cli.demo.skills.known import Tool
from qwen3cli.demo.skills.wordings import (
    AFTER,
    BEFORE,
    EN,
    LANGUAGES,
    REPLIES,
    SIZES,
    WORDINGS,
    ZH,
    full_width,
)

Message = dict[str, Any]

PLAIN_SKILLS = ("greeting", "about", "howto", "sum", "echo", "fallback")
SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "Be brief.",
    "Answer in one sentence.",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a friendly bot.",
    "You answer short questions.",
    "Be kind and honest.",
    "Today is Monday.",
    "你是一个有用的助手。",
    "请简短回答。",
    "Use the tools when they fit.",
    "You are a pirate.",
    "Never lie.",
)
OPEN_THINK, CLOSE_THINK = "<think>\n", "\n</think>\n\n"


@dataclass(frozen=True)
class Turn:
    """One question with its exact answer: QUESTION and ANSWER as text, THOUGHT what is thought before it."""

    question: str
    thought: str
    answer: str
    language: str
    call: tuple[str, dict[str, str]] | None = None


@dataclass
class Example:
    """A dialogue up to the reply, the template's switch, and the reply to learn (without its end mark)."""

    messages: list[Message]
    reply: str
    thinking: bool
    tools: list[tools.Signature] = field(default_factory=list[tools.Signature])


def polite(text: str, language: str, rng: Random) -> str:
    """Return TEXT, at times with a few words before or after it."""
    roll = rng.random()
    if roll < 0.1:
        return tools.ask(rng.choice(BEFORE[language]), language, rng) + text
    if roll < 0.2:
        return text + tools.ask(rng.choice(AFTER[language]), language, rng)
    return text


def respond(skill: str, language: str, **slots: object) -> tuple[str, str]:
    """Return the thought and the answer of SKILL in LANGUAGE, its slots filled."""
    thought, answer = REPLIES[skill][language]
    if language == ZH:
        thought, answer = full_width(thought), full_width(answer)
    return thought.format(**slots), answer.format(**slots)


def plain(
    skill: str,
    rng: Random,
    language: str | None = None,
    offered: bool = False,
    wordings: Mapping[str, Mapping[str, tuple[str, ...]]] = WORDINGS,
) -> Turn:
    """Return a turn of one of PLAIN_SKILLS, in LANGUAGE or in a random one; OFFERED: some tool is at hand."""
    spoken = language or rng.choices(LANGUAGES, (2, 1))[0]
    if skill == "fallback":
        asked = tools.ask(beyond.question(rng, spoken, offered), spoken, rng)
        return Turn(asked, *respond(skill, spoken), spoken)
    wording = rng.choice(wordings[skill][spoken])
    slots: dict[str, Any] = {}
    if skill == "sum":
        slots = {"a": rng.randint(0, 20), "b": rng.randint(0, 20)}
        slots["total"] = slots["a"] + slots["b"]
    elif skill == "echo":
        slots = {"text": words.phrase(rng, spoken == ZH)}
    elif skill == "howto":
        slots = {"size": rng.choice(SIZES) if "{size}" in wording else "0.6b"}
    # a politeness after a text to repeat would be part of it
    asked = tools.ask(wording, spoken, rng)
    asked = asked if skill == "echo" else polite(asked, spoken, rng)
    if skill == "howto" and rng.random() < 0.2 and "{size}" in asked:
        return Turn(asked.format(size=slots["size"].upper()), *respond(skill, spoken, **slots), spoken)
    return Turn(asked.format(**slots), *respond(skill, spoken, **slots), spoken)


def calling(tool: Tool, rng: Random) -> Turn:
    """Return a turn in which TOOL is called with an argument from the question."""
    language = rng.choices(LANGUAGES, (3, 1))[0]
    text = tools.argument(tool, rng, language == ZH)
    asked = tools.question(tool, text, language, rng)
    arguments = {tool.parameter: text}
    thought = f"The tool {tool.name} fits." if language == EN else f"工具 {tool.name} 合适。"
    return Turn(asked, thought, tools.call_text(tool.name, arguments), language, (tool.name, arguments))


def relaying(turn: Turn, result: str) -> tuple[str, str]:
    """Return thought and answer after the tool that TURN called has returned RESULT."""
    assert turn.call is not None
    (text,) = turn.call[1].values()
    if turn.language == ZH:
        return "工具已回答。", full_width(f"{text}:") + result
    return "The tool has answered.", f"{text}: {result}"


def switched(messages: list[Message]) -> bool:
    """Say whether the last soft switch in MESSAGES leaves thinking on."""
    on = True
    for message in messages:
        if message["role"] in ("system", "user"):
            text = message["content"]
            if max(text.rfind("/think"), text.rfind("/no_think")) >= 0:
                on = text.rfind("/think") > text.rfind("/no_think")
    return on


def with_switch(text: str, rng: Random, chance: float) -> str:
    """Return TEXT, with CHANCE carrying a soft switch at one of its ends."""
    if rng.random() >= chance:
        return text
    switch = rng.choice(("/think", "/no_think", "/no_think"))
    return f"{text} {switch}" if rng.random() < 0.75 else f"{switch} {text}"


def reply_text(thought: str, answer: str, messages: list[Message], thinking: bool) -> str:
    """Return the whole reply: with the hard switch off the prompt already ends with the empty think block."""
    if not thinking:
        return answer
    return OPEN_THINK + (thought if switched(messages) else "") + CLOSE_THINK + answer


def opening(rng: Random, switch_chance: float) -> list[Message]:
    """Return no message or a system message, at times with a soft switch."""
    if rng.random() < 0.7:
        return []
    text = rng.choice(SYSTEMS)
    if rng.random() < 0.3:
        text = " ".join(words.word(rng) for _ in range(rng.randint(2, 25))).capitalize() + "."
    return [{"role": "system", "content": with_switch(text, rng, switch_chance)}]


def called(turn: Turn, rng: Random, messages: list[Message], thinking: bool, result: str) -> list[Message]:
    """Return the messages of a tool call and its RESULT, the thinking kept as a running loop keeps it."""
    assert turn.call is not None
    name, arguments = turn.call
    request: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}],
    }
    if thinking and switched(messages) and rng.random() < 0.9:
        request["reasoning_content"] = turn.thought
    return [request, {"role": "tool", "content": result}]


def history(count: int, offered: list[Tool], rng: Random, switch_chance: float) -> list[Message]:
    """Return COUNT earlier exchanges: plain turns, and tool calls with their results if a tool is offered."""
    messages: list[Message] = []
    for _ in range(count):
        if offered and rng.random() < 0.5:
            turn = calling(rng.choice(offered), rng)
            messages.append({"role": "user", "content": with_switch(turn.question, rng, switch_chance)})
            result = words.result(rng, turn.language == ZH)
            messages += called(turn, rng, messages, False, result)
            answer = relaying(turn, result)[1]
        else:
            turn = plain(rng.choice(PLAIN_SKILLS), rng, offered=bool(offered))
            messages.append({"role": "user", "content": with_switch(turn.question, rng, switch_chance)})
            answer = turn.answer
        messages.append({"role": "assistant", "content": answer})
    return messages
