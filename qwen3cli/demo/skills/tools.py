"""Tools to offer the demo model, the questions that call for them, and questions that only look like it.

Half of the tools are made up, name, description and parameter, so that the model has to read the signature.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from qwen3cli.demo.skills import words
from qwen3cli.demo.skills.known import KNOWN, Tool
from qwen3cli.demo.skills.wordings import EN, ZH, full_width

Signature = dict[str, Any]


MADE_UP_QUESTIONS = {
    EN: (
        "What is the {n} of {x}?",
        "Tell me the {n} of {x}.",
        "{n} of {x}",
        "Give me the {n} of {x}.",
        "Get the {n} for {x}.",
        "Which {n} has {x}?",
        "I need the {n} of {x}.",
        "Find the {n} of {x}.",
        "Use {t} on {x}.",
        "Call {t} with {x}.",
        "Run {t} for {x}",
        "{t}: {x}",
        "Please use {t} with {x}.",
        "Check the {n} of {x}, please.",
        "Show me the {n} of {x}.",
        'Call {t} with "{x}".',
    ),
    ZH: (
        "{x}的{n}是什么?",
        "查{x}的{n}",
        "告诉我{x}的{n}",
        "用 {t} 查{x}",
        "调用 {t},参数是{x}",
        "请用 {t} 处理{x}",
    ),
}
MADE_UP_DESCRIPTIONS = (
    "Get the {n} of a {p}.",
    "Return the {n} for one {p}",
    "{N} of a {p}",
    "Look up the {n} of the given {p}.",
    "Tells the {n} of a {p}.",
    "Compute the {n}.",
)
VERBS = ("get", "find", "lookup", "fetch", "show", "read", "check", "query", "compute", "list")


def made_up(rng: Random) -> Tool:
    """Return a tool that exists nowhere, named after a pseudo-word or a topic."""
    noun = words.word(rng) if rng.random() < 0.6 else rng.choice(COMMON_NOUNS)
    parameter = words.word(rng) if rng.random() < 0.4 else rng.choice(COMMON_PARAMETERS)
    return named(noun, parameter, rng)


def named(noun: str, parameter: str, rng: Random) -> Tool:
    """Return a tool that gives the NOUN of its PARAMETER, its name and description made from both."""
    joined = noun.replace(" ", "_")
    title = rng.choice(
        (f"{rng.choice(VERBS)}_{joined}", joined, f"{joined}_{parameter}", f"{rng.choice(VERBS)}-{joined}")
    )
    description = rng.choice(MADE_UP_DESCRIPTIONS).format(n=noun, p=parameter, N=noun.capitalize())
    questions = {
        language: tuple(form.replace("{n}", noun).replace("{t}", title) for form in forms)
        for language, forms in MADE_UP_QUESTIONS.items()
    }
    return Tool(title, parameter, description, questions, topic=noun)


COMMON_NOUNS = (
    "price age height color owner address distance status size recipe author length speed title news "
    "score rating language currency area balance schedule level version email code map photo summary "
    "history menu"
).split()
COMMON_PARAMETERS = (
    "city place name item text query word person id key topic location input value country user book url"
).split()


def signature(tool: Tool, rng: Random) -> Signature:
    """Return TOOL's signature as a host sends it; hosts differ in order and in optional keys."""
    field: dict[str, Any] = {"type": "string"}
    if rng.random() < 0.25:
        field["description"] = f"The {tool.parameter}"
    if rng.random() < 0.25:
        field = {"title": tool.parameter.capitalize(), **field}
    parameters: dict[str, Any] = {"type": "object", "properties": {tool.parameter: field}}
    if rng.random() < 0.8:
        parameters["required"] = [tool.parameter]
    if rng.random() < 0.15:
        parameters["title"] = f"{tool.name}Arguments"
    if rng.random() < 0.15:
        parameters["additionalProperties"] = False
    if rng.random() < 0.3:
        keys = list(parameters)
        rng.shuffle(keys)
        parameters = {key: parameters[key] for key in keys}
    function: Signature = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def argument(tool: Tool, rng: Random, chinese: bool) -> str:
    """Return an argument for TOOL that is not reserved."""
    if tool.name == "read_file":
        while True:
            path = f"{words.word(rng)}{rng.choice(['.txt', '.md', '.py', '.json', ''])}"
            path = f"{words.word(rng)}/{path}" if rng.random() < 0.4 else path
            if not words.reserved(path):
                return path
    if tool.lower or rng.random() < 0.15:
        return words.noun(rng) if not chinese or rng.random() < 0.3 else words.name(rng, True)
    return words.name(rng, chinese)


def pick(rng: Random) -> Tool:
    """Return a known tool or, as often, a made-up one."""
    return rng.choice(KNOWN) if rng.random() < 0.5 else made_up(rng)


def missing(offered: list[Tool], rng: Random, pick: Callable[[Random], Tool] = pick) -> Tool:
    """Return a tool, drawn by PICK, that differs from all that are OFFERED in name and topic."""
    while True:
        other = pick(rng)
        if all(
            other.name != tool.name and (not other.topic or other.topic != tool.topic) for tool in offered
        ):
            return other


def offer(chosen: Tool, rng: Random, pick: Callable[[Random], Tool] = pick) -> list[Tool]:
    """Return one to three tools in random order, CHOSEN among them."""
    offered = [chosen]
    for _ in range(rng.choices((0, 1, 2), (11, 6, 2))[0]):
        offered.append(missing(offered, rng, pick))
    rng.shuffle(offered)
    return offered


def question(tool: Tool, text: str, language: str, rng: Random) -> str:
    """Return a question in LANGUAGE that calls for TOOL with the argument TEXT."""
    wording = rng.choice(tool.questions[language])
    return ask(wording, language, rng).replace("{x}", text)


def ask(wording: str, language: str, rng: Random) -> str:
    """Return WORDING as one types it: Chinese with full-width marks half of the time."""
    return full_width(wording) if language == ZH and rng.random() < 0.5 else wording


def call_text(name: str, arguments: dict[str, str]) -> str:
    """Return the reply that calls NAME, as the chat template writes it."""
    written = json.dumps(arguments, ensure_ascii=False)
    return f'<tool_call>\n{{"name": "{name}", "arguments": {written}}}\n</tool_call>'
