"""Tools to offer the demo model, the questions that call for them, and questions that only look like it.

Half of the tools are made up, name, description and parameter, so that the model has to read the signature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from qwen3cli.demo.skills import words
from qwen3cli.demo.skills.wordings import EN, ZH, full_width

Signature = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A tool with one text argument: its signature's parts and the questions, with the slot `{x}`, that fit it."""

    name: str
    parameter: str
    description: str
    questions: Mapping[str, tuple[str, ...]]
    lower: bool = False  # the argument is a common word, not a name
    topic: str = ""  # two tools of one topic are never offered together


KNOWN: tuple[Tool, ...] = (
    Tool(
        "get_weather",
        "city",
        "Get the current weather of a city.",
        {
            EN: (
                "What is the weather in {x}?",
                "What's the weather in {x}?",
                "How is the weather in {x}?",
                "How's the weather in {x} today?",
                "Weather in {x}",
                "Weather in {x}, please.",
                "weather {x}",
                "Is it raining in {x}?",
                "Is it sunny in {x}?",
                "Is it cold in {x}?",
                "Tell me the weather in {x}.",
                "Give me the weather of {x}.",
                "What is the weather like in {x}?",
                "I travel to {x}. How is the weather?",
                "Do I need an umbrella in {x}?",
                "Check the weather in {x}.",
                "Will it snow in {x}?",
                "How warm is it in {x}?",
                "Show the weather for {x}.",
            ),
            ZH: (
                "{x}的天气怎么样?",
                "{x}天气如何?",
                "{x}今天天气怎么样?",
                "查一下{x}的天气",
                "{x}下雨吗?",
                "请问{x}的天气",
                "告诉我{x}的天气",
                "{x}冷吗?",
                "我要去{x},天气怎么样?",
                "{x}天气",
            ),
        },
    ),
    Tool(
        "get_time",
        "place",
        "Tell the local time at a place.",
        {
            EN: (
                "What time is it in {x}?",
                "What's the time in {x}?",
                "Time in {x}",
                "Tell me the time in {x}.",
                "What is the local time in {x}?",
                "What time is it now in {x}?",
                "Current time in {x}, please.",
                "Check the time in {x}.",
                "time {x}",
                "How late is it in {x}?",
                "Give me the time of {x}.",
                "Do you know the time in {x}?",
                "I call someone in {x}. What time is it there?",
            ),
            ZH: (
                "{x}现在几点?",
                "{x}几点了?",
                "{x}的时间是多少?",
                "告诉我{x}的时间",
                "查一下{x}的时间",
                "请问{x}现在几点?",
                "{x}时间",
                "现在{x}是几点?",
            ),
        },
    ),
    Tool(
        "search",
        "query",
        "Search the web for a query.",
        {
            EN: (
                "Search for {x}",
                "Search for {x}.",
                "Search the web for {x}.",
                "Look up {x}",
                "Look up {x} for me.",
                "Find {x} on the web.",
                "Find something about {x}.",
                "Google {x}",
                "Can you search for {x}?",
                "Please look up {x}.",
                "Search {x}",
                "Web search: {x}",
                "I want to find {x} on the web.",
            ),
            ZH: ("搜索{x}", "搜一下{x}", "查一下{x}", "请搜索{x}", "帮我搜{x}", "上网查{x}", "在网上找{x}"),
        },
    ),
    Tool(
        "translate",
        "word",
        "Translate a word into French.",
        {
            EN: (
                "Translate {x}",
                "Translate {x}.",
                "Translate {x} into French.",
                "What is {x} in French?",
                'Translate "{x}".',
                'Translate the word "{x}".',
                "How do you say {x} in French?",
                "{x} in French",
                "Translate the word {x}, please.",
                'How do I say "{x}" in French?',
                "French for {x}?",
            ),
            ZH: (
                "翻译{x}",
                "请翻译{x}",
                "把{x}翻译成法语",
                "{x}用法语怎么说?",
                "{x}的法语是什么?",
                "翻译一下{x}",
            ),
        },
        lower=True,
    ),
    Tool(
        "define",
        "term",
        "Look up the definition of a term.",
        {
            EN: (
                "Define {x}",
                "Define {x}.",
                'Define "{x}".',
                "What is the definition of {x}?",
                "Definition of {x}",
                "Give me the definition of {x}.",
                "What does {x} mean?",
                'What does "{x}" mean?',
                "Please define {x}.",
            ),
            ZH: ("{x}的定义是什么?", "定义{x}", "{x}是什么意思?", "请给出{x}的定义", "{x}什么意思"),
        },
        lower=True,
    ),
    Tool(
        "find_phone",
        "person",
        "Find the phone number of a person.",
        {
            EN: (
                "What is the phone number of {x}?",
                "Phone number of {x}",
                "Find the phone number of {x}.",
                "How can I call {x}?",
                "I need the number of {x}.",
                "What's {x}'s phone number?",
                "Give me {x}'s number.",
            ),
            ZH: ("{x}的电话是多少?", "{x}的电话号码", "查{x}的电话", "怎么打电话给{x}?", "我要{x}的电话号码"),
        },
    ),
    Tool(
        "stock_price",
        "company",
        "Get the stock price of a company.",
        {
            EN: (
                "What is the stock price of {x}?",
                "Stock price of {x}",
                "How is the stock of {x}?",
                "{x} stock price",
                "Tell me the share price of {x}.",
                "How much is a share of {x}?",
                "Check the stock of {x}.",
            ),
            ZH: ("{x}的股价是多少?", "{x}股价", "查一下{x}的股价", "{x}的股票多少钱?", "告诉我{x}的股价"),
        },
    ),
    Tool(
        "read_file",
        "path",
        "Read a file and return its text.",
        {
            EN: (
                "Read the file {x}",
                "Read {x}",
                "Show me the file {x}.",
                "Open the file {x}.",
                "What is in the file {x}?",
                "Print the file {x}.",
                "Read file {x}, please.",
            ),
            ZH: ("读文件{x}", "打开文件{x}", "读一下文件{x}", "文件{x}里有什么?"),
        },
    ),
)

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


COMMON_NOUNS = [
    "price",
    "age",
    "height",
    "color",
    "owner",
    "address",
    "distance",
    "status",
    "size",
    "recipe",
    "author",
    "length",
    "speed",
    "title",
    "news",
    "score",
    "rating",
    "language",
    "currency",
    "area",
    "balance",
    "schedule",
    "level",
    "version",
    "email",
    "code",
    "map",
    "photo",
    "summary",
    "history",
    "menu",
]
COMMON_PARAMETERS = [
    "city",
    "place",
    "name",
    "item",
    "text",
    "query",
    "word",
    "person",
    "id",
    "key",
    "topic",
    "location",
    "input",
    "value",
    "country",
    "user",
    "book",
    "url",
]


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
