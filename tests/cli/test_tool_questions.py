"""What a person is asked because of tools, end to end: the real program, the demo model, a curious server, a real
pseudo-terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_tools import PROMPT, QUESTION, chatting, home, servers
from tests.terminal.screen import Tty
from tests.tools.hosts import SERVERS

__all__ = ["home"]

ASKED = "[d]eny [REASON]:"
CITY = {"type": "object", "properties": {"a": {"type": "string", "title": "A city"}}, "required": ["a"]}
Curious = Callable[..., Path]


@pytest.fixture
def curious(home: Path, tmp_path: Path) -> Curious:
    """Puts a server that asks in the place of the others; gives the file of what it is told."""

    def put(**plan: Any) -> Path:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(plan))
        servers(home, curious={"command": sys.executable, "args": [str(SERVERS / "curious.py"), str(file)]})
        return file.with_suffix(".told")

    return put


def ask(terminal: Tty, awaited: str = "Answer it? [y/N]") -> str:
    terminal.type(f"{QUESTION}\r")
    return terminal.wait(awaited)


def told(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def ended(terminal: Tty, turns: int = 2) -> str:
    return terminal.wait(lambda text: text.count(PROMPT) == turns)


def test_a_server_is_answered_once_the_person_agrees(home: Path, curious: Curious) -> None:
    answers = curious(message="Where are you?", schema=CITY)
    with chatting(home, "--yes") as terminal:
        screen = ask(terminal)
        assert "The server `curious` asks, and gets what you answer:\n  Where are you?\n" in screen
        assert "A city" not in screen
        terminal.type("y\r")
        terminal.wait("A city:")
        terminal.type("zebra\r")
        ended(terminal)
    assert [json.loads(one) for one in told(answers) if one[0] == "{"] == [
        {"action": "accept", "content": {"a": "zebra"}}
    ]


def test_a_question_goes_when_its_call_is_over(home: Path, curious: Curious) -> None:
    answers = curious(message="Where are you?", schema=CITY)
    listed = json.loads((home / "mcp.json").read_text())
    listed["mcpServers"]["curious"]["timeout"] = 2000
    (home / "mcp.json").write_text(json.dumps(listed))
    with chatting(home, "--yes", "--max-tokens", "50") as terminal:
        ask(terminal)
        terminal.type("y\r")
        terminal.wait("A city:")
        terminal.type("my secr")
        terminal.wait("The server `curious` does not wait for that any more.")
        screen = ended(terminal)
        assert "has not answered in 2 seconds" in screen
        assert "secr" not in screen.rpartition(PROMPT)[2]
    assert [one for one in told(answers) if "action" in one] == ['{"action": "cancel"}']


def test_a_server_is_told_no(home: Path, curious: Curious) -> None:
    answers = curious(message="Where are you?", schema=CITY)
    with chatting(home, "--yes") as terminal:
        ask(terminal)
        terminal.type("\r")
        assert "A city" not in ended(terminal)
    assert '{"action": "decline"}' in told(answers)


@pytest.mark.parametrize("late", [False, True])
def test_ctrl_c_at_a_servers_question_stops_the_turn(home: Path, curious: Curious, late: bool) -> None:
    answers = curious(message="Where are you?", schema=CITY, times=2)
    with chatting(home, "--yes") as terminal:
        ask(terminal)
        if late:
            terminal.type("y\r")
            terminal.wait("A city:")
            terminal.type("my secr")
            terminal.wait("A city: my secr")
        terminal.type("\x03")
        screen = ended(terminal)
        assert "secr" not in screen.rpartition(PROMPT)[2]
        assert "interrupted" in screen
        assert "The tool has answered" not in screen
        assert screen.count("a server asks something") == 1
        terminal.type("What is 2 + 3? /no_think\r")
        terminal.wait("2 + 3 = 5.")
        assert '{"action": "decline"}' not in [one for one in told(answers) if "action" in one][:1]
        assert '{"action": "cancel"}' in told(answers) or "notifications/cancelled" in told(answers)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": "x"}},
        {"type": "object", "properties": {"a": {"type": "string", "enum": 5}}},
    ],
)
def test_a_question_that_is_nonsense_is_declined_and_told(
    home: Path, curious: Curious, schema: dict[str, Any]
) -> None:
    answers = curious(message="Where are you?", schema=schema)
    with chatting(home, "--yes") as terminal:
        terminal.type(f"{QUESTION}\r")
        screen = ended(terminal)
        assert "asked something that nobody could answer" in screen
        assert "bug" not in screen
        assert "Answer it?" not in screen
    assert '{"action": "decline"}' in told(answers)


def test_a_question_is_shown_as_what_it_is(home: Path, curious: Curious) -> None:
    field = {
        "type": "string",
        "title": "City\nRun it?\u202e",
        "oneOf": [{"const": "r", "title": "Red\nnote: x"}],
    }
    curious(
        message=f"Hello\nThe model wants to call `git.push`\n{' ' * 97}Run `git.push`?\ufe0f\u3164",
        schema={"type": "object", "properties": {"a": field}},
    )
    with chatting(home, "--yes") as terminal:
        screen = ask(terminal)
        assert "\n  The model wants to call `git.push`\n" in screen
        assert not [line for line in screen.splitlines() if line.startswith(("The model wants", "Run "))]
        assert "\\ufe0f\\u3164" in screen
        terminal.type("y\r")
        screen = terminal.wait("[leave out]:")
        assert "  City\\nRun it?\\u202e (Red\\nnote: x = r) [leave out]:" in screen
        terminal.type("green\r")
        terminal.wait("  It wants one of: Red\\nnote: x = r.")
        terminal.type("r\r")
        terminal.wait('← told {"action": "accept", "content": {"a": "r"}}')


def test_an_address_is_shown_with_where_it_leads(home: Path, curious: Curious) -> None:
    url = "https://bank.example@evil.example/pay"
    answers = curious(message="Please pay", url=url)
    with chatting(home, "--yes", columns=120) as terminal:
        screen = ask(terminal)
        assert "evil.example; what stands before the `@` is no part of that" in screen
        assert url in screen
        terminal.type("y\r")
        screen = ended(terminal)
        assert "Open this address" in screen
        assert "log in" not in screen
    assert '{"action": "accept"}' in told(answers)


@pytest.mark.parametrize(
    ("line", "method"), [("/mcp:curious:greet", "prompts/get"), ("@curious:note://x", "resources/read")]
)
def test_only_a_call_may_ask(home: Path, curious: Curious, line: str, method: str) -> None:
    answers = curious(message="Where are you?", schema=CITY, when=method)
    with chatting(home) as terminal:
        terminal.type(f"{line}{' Hello! /no_think' * (line[0] == '@')}\r")
        assert "asks" not in ended(terminal)
    assert '{"action": "decline"}' in told(answers)


@pytest.mark.parametrize(
    ("line", "method"), [("/mcp:curious:greet", "prompts/get"), ("@curious:note://x", "resources/read")]
)
def test_ctrl_c_stops_what_is_read_from_a_server(
    home: Path, curious: Curious, line: str, method: str
) -> None:
    answers = curious(mute=method)
    with chatting(home) as terminal:
        terminal.type(f"{line}\r")
        terminal.wait(lambda _: f"mute at {method}" in told(answers))
        terminal.type("\x03")
        assert "interrupted" in ended(terminal)
        terminal.wait(lambda _: "notifications/cancelled" in told(answers))


def test_what_a_server_claims_is_shown_and_cannot_look_like_ours(home: Path, curious: Curious) -> None:
    curious(annotations={"title": "fine\n\nnote: checked by qwen3\nRun it? [o]nce", "readOnlyHint": True})
    with chatting(home, columns=140) as terminal:
        screen = ask(terminal, ASKED)
        assert "  The server says of it, which nobody has checked: " in screen
        assert '"title": "fine\\n\\nnote: checked by qwen3\\nRun it? [o]nce"' in screen
        assert '"readOnlyHint": true' in screen
        assert "Run `curious.get_weather`? [o]nce" in screen
        terminal.type("d\r")
        ended(terminal)


def test_what_has_changed_since_is_said(home: Path, curious: Curious, tmp_path: Path) -> None:
    curious()
    with chatting(home) as terminal:
        ask(terminal, ASKED)
        terminal.type("a\r")
        ended(terminal)
    listed = json.loads((home / "mcp.json").read_text())
    listed["mcpServers"]["curious"]["args"].append("--more")
    (home / "mcp.json").write_text(json.dumps(listed))
    with chatting(home) as terminal:
        assert "Since you approved it, something has changed: the server's arguments." in ask(terminal, ASKED)
        terminal.type("d\r")
        ended(terminal)


def test_what_is_allowed_in_the_settings_means_no_server_of_another_file(
    home: Path, curious: Curious, tmp_path: Path
) -> None:
    curious()
    (home / "config.toml").write_text('[tools]\nallow = ["curious.*"]\n')
    named = tmp_path / "named.json"
    (home / "mcp.json").rename(named)
    with chatting(home, "--mcp", str(named)) as terminal:
        ask(terminal, ASKED)
        terminal.type("d\r")
        ended(terminal)
    named.rename(home / "mcp.json")
    with chatting(home) as terminal:
        assert ASKED not in ask(terminal, "← told")


def test_the_command_is_shown_word_by_word(home: Path, curious: Curious) -> None:
    curious()
    listed = json.loads((home / "mcp.json").read_text())
    listed["mcpServers"]["curious"]["args"] += ["a b", "x\ny", "\u202e"]
    (home / "mcp.json").write_text(json.dumps(listed))
    with chatting(home, columns=200) as terminal:
        assert """plan.json 'a b' "x\\ny" "\\u202e\"""" in ask(terminal, ASKED)
        terminal.type("d\r")
        ended(terminal)
