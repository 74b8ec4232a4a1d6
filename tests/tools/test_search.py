from __future__ import annotations

import pytest

from qwen3cli.chat.messages import ToolSpec
from qwen3cli.tools.search import ranked


def tool(name: str, description: str = "", **parameters: str) -> ToolSpec:
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    return ToolSpec(name, description, {"type": "object", "properties": properties})


TOOLS = [
    tool("read_file", "Read the complete contents of a file.", path="Where the file is."),
    tool("write_file", "Create a new file or overwrite an existing file.", path="Where.", content="What."),
    tool("searchFiles", "Search recursively for files matching a pattern.", pattern="A glob."),
    tool("git.commit", "Record changes to the repository.", message="The commit's message."),
    tool(
        "get_current_time",
        "Get the current time in a timezone.",
        timezone="IANA name, such as Europe/London.",
    ),
    tool("weather", "查询城市的天气预报", city="城市名称"),
    tool("send_mail", "发送电子邮件", to="收件人"),
]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("read a file", "read_file"),
        ("overwrite", "write_file"),
        ("find files that match a glob", "searchFiles"),
        ("search file", "searchFiles"),
        ("what time is it in London", "get_current_time"),
        ("commit my changes", "git.commit"),
        ("CURRENT TIMEZONE", "get_current_time"),
        ("天气", "weather"),
        ("北京今天的天气怎么样", "weather"),
        ("给他发邮件", "send_mail"),
    ],
)
def test_the_best_tool_comes_first(query: str, best: str) -> None:
    assert ranked(query, TOOLS)[0].name == best


@pytest.mark.parametrize("query", ["", "the of a", "quantum chromodynamics", "🙂", "\x00"])
def test_nothing_is_found_for_nothing(query: str) -> None:
    assert ranked(query, TOOLS) == []


def test_without_tools_nothing_is_found() -> None:
    assert ranked("file", []) == []


def test_the_order_is_the_same_each_time() -> None:
    twins = [tool("a", "same words"), tool("b", "same words")]
    assert [one.name for one in ranked("words", twins)] == ["a", "b"]
