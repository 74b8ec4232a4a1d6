"""The tools that exist elsewhere too, each with the questions that fit it: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qwen3cli.demo.skills.wordings import EN, ZH


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
