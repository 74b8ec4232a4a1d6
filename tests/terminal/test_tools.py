"""`/tools`, prompts and resources of servers, as a person types them; the tools behind them are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.chat.messages import Message
from qwen3cli.cli.addresses import Addresses
from qwen3cli.errors import UsageError
from qwen3cli.terminal.repl import run_repl
from qwen3cli.terminal.slash import complete_line, run_line
from tests.terminal.fakes import Terminal, console
from tests.terminal.test_slash import Room


@dataclass(frozen=True)
class Tool:
    label: str
    enabled: bool = True
    offered: bool = True
    tokens: int = 1234
    description: str = "Does \x1b[2J things.\nIn two lines."
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    annotations: Mapping[str, Any] = field(default_factory=lambda: {"readOnlyHint": True})


@dataclass(frozen=True)
class Server:
    name: str
    state: str = "ready"
    tools: int = 2
    reason: str = ""
    log: Path = Path("x.log")


@dataclass(frozen=True)
class Argument:
    name: str
    required: bool = True


@dataclass(frozen=True)
class Prompt:
    server: str
    name: str
    description: str = "Says it."
    arguments: Sequence[Argument] = ()


@dataclass(frozen=True)
class Resource:
    server: str
    uri: str
    name: str = "a note"
    description: str = ""


class FakeBench:
    """Keeps what it was asked for."""

    def __init__(self) -> None:
        self.offers = [Tool("git.log"), Tool("git.push", enabled=False), Tool("web.get", offered=False)]
        self.there = [Server("git"), Server("web", "failed", 0, "it died\x1b")]
        self.notes = [
            Resource("git", "log://一/b"),
            Resource("web", "http://x/y"),
            Resource("web", "two words"),
        ]
        self.asked: list[tuple[str, str]] = []
        self.given: Mapping[str, str] = {}
        self.addresses = Addresses(None)
        self.said = [
            Message("user", "first"),
            Message("assistant", "then"),
            Message(
                "user", "got it\nnote: all is well\n" + "x\u00a0" * 90 + "\n" + "\t" * 9 + "      note: tabs"
            ),
        ]

    def wait(self) -> None:
        self.asked.append(("wait", ""))

    def descriptions(self) -> Sequence[Tool]:
        return self.offers

    def servers(self) -> Sequence[Server]:
        return self.there

    def enable(self, which: str) -> list[str]:
        self.asked.append(("enable", which))
        return [which, "\x1b"]

    def disable(self, which: str) -> list[str]:
        self.asked.append(("disable", which))
        return [which]

    def reconnect(self, server: str) -> None:
        self.asked.append(("reconnect", server))

    def prompts(self) -> Sequence[Prompt]:
        both = (Argument("one"), Argument("two", required=False))
        return [Prompt("git", "sum", arguments=both), Prompt("git", "bad\x1b"), Prompt("git", "two words")]

    known_prompts = prompts

    def prompt(self, server: str, name: str, arguments: Mapping[str, str]) -> Sequence[Message]:
        self.given = arguments
        return self.said

    def resources(self) -> Sequence[Resource]:
        return self.notes

    known_resources = resources


@pytest.fixture
def bench() -> FakeBench:
    return FakeBench()


@pytest.fixture
def room(bench: FakeBench) -> Room:
    room = Room(columns=80)
    room.desk.bench = bench
    return room


def test_without_servers_there_is_nothing_to_list() -> None:
    room = Room()
    assert "no MCP server is configured" in room.run("/tools")
    with pytest.raises(UsageError, match="there are no prompts"):
        room.run("/mcp:git:sum")
    assert complete_line(room.desk, "see @gi") == ("@gi", [])


@pytest.mark.parametrize("line", ["/tools", "/tools list"])
def test_all_that_servers_offer_is_listed(room: Room, line: str) -> None:
    text = room.run(line)
    assert "\x1b" not in text
    rows = [row.split() for row in text.splitlines()]
    assert [row[:2] for row in rows if row and row[0] in "*-?"] == [
        ["*", "git.log"],
        ["-", "git.push"],
        ["?", "web.get"],
        ["-", "is"],
    ]
    assert "1,234" in text
    assert "What web wrote is in x.log" in text
    assert "/mcp:git:sum" in text
    assert "@web:http://x/y" in text


def test_what_else_servers_offer_is_listed_where_there_is_no_tool(room: Room, bench: FakeBench) -> None:
    bench.offers = []
    text = room.run("/tools")
    assert "No server offers a tool now." in text
    assert "/mcp:git:sum" in text and "@web:http://x/y" in text


def test_a_narrow_window_has_two_lines_for_each(bench: FakeBench) -> None:
    room = Room(columns=40)
    room.desk.bench = bench
    text = room.run("/tools") + room.run("/help tools")
    assert "- git.push (1,234 tokens)\n    Does ␛[2J things. In two lines.\n" in text
    assert "RESOURCE, FOR A MESSAGE\n@git:log://一/b\n    a note\n" in text
    assert "@SERVER:URI\n    in a message" in text
    assert all(len(line) < 40 for line in text.splitlines())


def test_of_what_has_no_room_beside_its_name_the_beginning_is_shown(bench: FakeBench) -> None:
    room = Room(columns=70)
    room.desk.bench = bench
    long = "Counts slowly, and says so while it does, until somebody stops it."
    bench.offers = [Tool("git.log_of_many_words", description=long)]
    bench.notes = [Resource("git", "note://of/many/words/and/more", description=long)]
    lines = room.run("/tools").splitlines()
    (tool,) = [line for line in lines if line.startswith("*")]
    (note,) = [line for line in lines if line.startswith("@")]
    assert all("  Counts slow" in line and line.endswith("...") for line in (tool, note))
    assert len(tool) == len(note) == 69
    assert "…" not in tool + note


def test_a_tool_is_shown_whole(room: Room) -> None:
    text = room.run("/tools show git.push")
    assert "disabled or denied" in text
    assert "readOnlyHint" in text
    assert "\n  Does ␛[2J things.\n  In two lines.\n" in text
    assert '"type": "object"' in text
    assert room.run("/tools show push").startswith("tool")
    with pytest.raises(UsageError, match="no tool `git`"):
        room.run("/tools show git")


def test_tools_are_switched_and_servers_started_again(room: Room, bench: FakeBench) -> None:
    assert "enabled: git.*, ␛" in room.run("/tools enable git.*")
    assert "disabled: git" in room.run("/tools disable git")
    text = room.run("/tools reconnect web")
    assert "it died␛" in text
    assert "git" not in text
    # Only a server that is to be started again is not waited for before.
    assert bench.asked == [
        ("wait", ""),
        ("enable", "git.*"),
        ("wait", ""),
        ("disable", "git"),
        ("reconnect", "web"),
    ]


@pytest.mark.parametrize(
    ("rest", "what"),
    [
        ("paint it", "is not understood"),
        ("enable", "needs a name"),
        ("show", "needs a name"),
        ("list them", "is not understood"),
    ],
)
def test_what_is_not_understood_is_said_with_what_would_be(room: Room, rest: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        room.run(f"/tools {rest}")
    assert f"`/tools {rest}` {what}" in caught.value.message
    assert "enable|disable|show|reconnect" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("/tools ", "", ["list", "enable", "disable", "show", "reconnect"]),
        ("/tools show g", "g", ["git.log", "git.push"]),
        ("/tools disable w", "w", ["web", "web.get"]),
        ("/tools reconnect ", "", ["git", "web"]),
        ("/tools list x", "x", []),
        ("/tools show git.log g", "g", []),
        ("/mcp:g", "/mcp:g", ["/mcp:git:sum"]),
        ("look at @", "@", ["@git:log://一/b", "@web:http://x/y"]),
        ("请看@we", "@we", ["@web:http://x/y"]),
        ("@git:l", "@git:l", ["@git:log://一/b"]),
        ("@git:log://一", "@git:log://一", ["@git:log://一/b"]),
        ("me@we", "me@we", []),
        ("@nobody", "@nobody", []),
    ],
)
def test_completion(room: Room, text: str, word: str, choices: list[str]) -> None:
    assert complete_line(room.desk, text) == (word, choices)


def test_completion_waits_for_no_server(room: Room, bench: FakeBench) -> None:
    bench.there = [Server("git", "starting")]
    assert complete_line(room.desk, "/mcp:g")[1] == complete_line(room.desk, "@g")[1] == []
    assert bench.asked == []


@pytest.mark.parametrize(
    ("rest", "arguments"),
    [
        ("a", {"one": "a"}),
        ("a b c", {"one": "a", "two": "b c"}),
        ("two=b 'a a'", {"one": "a a", "two": "b"}),
        ("x=1", {"one": "x=1"}),
    ],
)
def test_arguments_of_prompts(room: Room, bench: FakeBench, rest: str, arguments: dict[str, str]) -> None:
    room.run(f"/mcp:git:sum {rest}")
    assert bench.given == arguments


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/mcp:git:sum", "needs one"),
        ("/mcp:git:sum 'a", "No closing quotation"),
        ("/mcp:git:none", "no prompt `/mcp:git:none`"),
    ],
)
def test_prompts_that_cannot_be_said(room: Room, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_line(room.seat, line)
    assert room.seat.said == ()


@pytest.mark.parametrize("line", ["/mcp:git:none", "/mcp:gti:sum", "/mcp:git"])
def test_prompts_that_are_not_there_are_answered_with_those_that_are(room: Room, line: str) -> None:
    with pytest.raises(UsageError, match=f"no prompt `{line}`") as caught:
        run_line(room.seat, line)
    assert "/mcp:git:sum" in (caught.value.hint or "")


def test_what_a_prompt_says_is_shown_whole_and_cannot_look_like_ours(room: Room) -> None:
    text = room.run("/mcp:git:sum a")
    assert "git, you say:\n  first\n" in text
    assert "git, the model is taken to have said:\n  then\n" in text
    assert "\n  note: all is well\n" in text
    assert (text.count("x"), text.count("\u00a0")) == (90, 0)
    own = [line for line in text.splitlines() if not line.startswith("  ")]
    assert all(line.startswith("git, ") for line in own)
    assert all(len(line) < 80 for line in text.splitlines())
    assert "\t" not in text


def test_a_prompt_that_is_not_answered_leaves_nothing_behind(bench: FakeBench) -> None:
    room = Room()
    room.desk.bench = bench
    typed = console(out=Terminal(), err=Terminal(), stdin="/mcp:git:sum a\n")
    run_repl(room.desk, typed)
    assert [turn.content for turn in room.desk.conversation.turns[:2]] == ["first", "then"]
    room.desk.conversation.clear()
    bench.said[-1] = Message("user", "too long")
    run_repl(room.desk, console(out=Terminal(), err=Terminal(), stdin="/mcp:git:sum a\n"))
    assert room.desk.conversation.turns == ()
