"""Tools in `qwen3 chat`: the real program, the demo model, a real server, a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.terminal.screen import Tty
from tests.tools.hosts import SERVERS
from tests.tools.servers.web import site

QUESTION = "What will the weather be in Paris?"
ANSWER = "Paris: sunny, 21 degrees in Paris"
WEATHER = {"command": sys.executable, "args": [str(SERVERS / "weather.py")]}
DYING = {"command": sys.executable, "args": ["-c", "import sys; sys.exit('no licence')"]}
PROMPT = ">>> "


@pytest.fixture
def home(shared_home: Path, tmp_path: Path) -> Path:
    """A home with the converted demo and one server."""
    folder = tmp_path / "home"
    shutil.copytree(shared_home / "cache", folder / "cache")
    servers(folder, weather=WEATHER)
    return folder


def servers(home: Path, **named: Any) -> None:
    (home / "mcp.json").write_text(json.dumps({"mcpServers": named}), encoding="utf-8")


@contextmanager
def chatting(home: Path, *options: str, columns: int = 100) -> Generator[Tty]:
    arguments = ["qwen3cli", "chat", "demo", "--temperature", "0", *options]
    with Tty(arguments, columns=columns, lines=50, QWEN3_HOME=str(home)) as terminal:
        terminal.wait(PROMPT)
        yield terminal


def records(home: Path) -> list[dict[str, Any]]:
    text = (home / "tools" / "audit.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_call_is_asked_for_runs_and_its_result_is_used(home: Path) -> None:
    with chatting(home) as terminal:
        terminal.type(f"{QUESTION}\r")
        screen = terminal.wait("[d]eny [REASON]:")
        assert '→ get_weather(city="Paris")' in screen
        assert "The model wants to call `weather.get_weather`" in screen
        assert "city: Paris" in screen
        assert str(SERVERS / "weather.py") in screen
        terminal.type("o\r")
        screen = terminal.wait(lambda text: ANSWER in text and text.count(PROMPT) == 2)
        assert screen.index("← sunny, 21 degrees in Paris") < screen.index(ANSWER)
        # Once is once.
        terminal.type(f"{QUESTION}\r")
        terminal.wait(lambda text: text.count("[d]eny [REASON]:") == 2)
        terminal.type("a\r")
        terminal.wait(lambda text: text.count(ANSWER) == 2)
        terminal.type("\x04")
        assert terminal.end() == 0
    (home / "config.toml").write_text("[tools]\nrounds = 1\n", encoding="utf-8")
    with chatting(home) as terminal:
        for number, (said, then) in enumerate(
            (("y\r", ANSWER), ("n\r", "called tools in 1 round without an answer"), ("\x03", "interrupted")),
            1,
        ):
            terminal.type(f"{QUESTION}\r")
            terminal.wait(lambda text, wanted=number: text.count("Go on? [y/N]") == wanted)
            terminal.type(said)
            terminal.wait(lambda text, wanted=number: text.count(PROMPT) == wanted + 1)
            assert then in terminal.text
        assert "[d]eny" not in terminal.text
    assert [one["by"] for one in records(home) if one.get("event") == "decided"] == [
        "person",
        "person, always",
        *["always"] * 3,
    ]


def test_a_denial_and_its_reason_reach_the_model(home: Path) -> None:
    with chatting(home, "--max-tokens", "60") as terminal:
        terminal.type(f"{QUESTION}\r")
        terminal.wait("[d]eny [REASON]:")
        terminal.type("\r")
        terminal.wait("Type o, s, a, or d")
        terminal.type("d too dear\r")
        terminal.wait("Paris: The user denied it. Reason: too dear")
        terminal.wait(lambda text: text.count(PROMPT) == 2)
        terminal.type(f"{QUESTION.replace('Paris', 'Oslo')} /no_think\r")
        terminal.wait(lambda text: text.count("[d]eny [REASON]:") == 3)
        terminal.type("no\r")
        terminal.wait("Oslo: The user denied it.")
    decided = [one for one in records(home) if one.get("event") == "decided"]
    assert [one["decision"] for one in decided] == ["denied", "denied"]
    assert "too dear" in decided[0]["reason"]


def test_ctrl_c_at_the_question_stops_the_turn(home: Path) -> None:
    with chatting(home) as terminal:
        terminal.type(f"{QUESTION}\r")
        terminal.wait("[d]eny [REASON]:")
        terminal.type("\x03")
        screen = terminal.wait(lambda text: text.count(PROMPT) == 2)
        assert "interrupted" in screen
        terminal.type("What is 2 + 3? /no_think\r")
        terminal.wait("2 + 3 = 5.")


def test_keys_pressed_before_the_question_are_no_answer(home: Path) -> None:
    with chatting(home) as terminal:
        terminal.type(f"{QUESTION}\ro\ro\r")
        terminal.wait("[d]eny [REASON]:")
        assert ANSWER not in terminal.text
        terminal.type("s\r")
        terminal.wait(ANSWER)


def test_the_tools_of_a_chat_are_looked_at_and_switched(home: Path) -> None:
    with chatting(home) as terminal:
        terminal.type("/tools\r")
        screen = terminal.wait(lambda text: "weather.get_weather" in text and text.count(PROMPT) == 2)
        assert "ready" in screen
        terminal.type("/tools show get_weather\r")
        screen = terminal.wait('"required"')
        assert "Get the current weather of a city." in screen
        terminal.type("/tools disable weather\r")
        terminal.wait("disabled: weather.get_weather")
        terminal.type(f"{QUESTION} /no_think\r")
        screen = terminal.wait(lambda text: text.count(PROMPT) == 5)
        assert "get_weather(" not in screen
        terminal.type("/tools reconnect weather\r")
        terminal.wait(lambda text: text.count(PROMPT) == 6)
        terminal.type("/tools enable weather.*\r")
        terminal.wait("enabled: weather.get_weather")
        terminal.type("/tools paint it\r")
        terminal.wait("is not understood")


def complete(terminal: Tty, typed: str, completed: str) -> None:
    """Nobody waits for what a completion may be: a key that brought nothing is pressed again."""
    for _ in range(30):
        terminal.type(f"\x15{typed}\t")
        # An older line of the same words is on the screen, too.
        if terminal.shows(lambda text: text.rpartition(PROMPT)[2].split("\n")[0] == completed, 2):
            return
    pytest.fail(f"the screen never showed {completed!r}:\n{terminal.text}")


def test_prompts_and_resources_of_servers(home: Path) -> None:
    with chatting(home, "--yes") as terminal:
        terminal.type("/tools\r")
        terminal.wait("weather.get_weather")
        terminal.type("/mcp:weather:ask_weather Paris\r")
        assert f"weather, you say:\n  {QUESTION}\n" in terminal.wait(ANSWER)
        complete(terminal, "/mcp:weather:ask", "/mcp:weather:ask_weather")
        complete(terminal, "看@weather:n", "看@weather:note://greeting")
        terminal.type("\x15")
        terminal.type("/mcp:weather:ask_weather\r")
        terminal.wait("needs place")
        terminal.type("/mcp:weather:nothing\r")
        terminal.wait("/mcp:weather:ask_weather")
        terminal.type("Hello! /no_think @weather:note://nowhere\r")
        terminal.wait("cannot be attached")
        terminal.type("/set verbose\r")
        terminal.wait(lambda text: text.count(PROMPT) >= 6)


def test_a_resource_is_part_of_the_message(home: Path, qwen3: Run) -> None:
    with chatting(home, "--stats") as terminal:
        terminal.type("/tools disable weather\r")
        terminal.wait("disabled: weather.get_weather")
        lines = (
            "Hello! /no_think x",
            "Hello! /no_think @weather:note://greeting.",
            "Hello! /no_think 看@weather:note://greeting吧。",
            "/mcp:weather:attach",
        )
        counts: list[int] = []
        for text in lines:
            terminal.type("/clear\r")
            terminal.wait("Cleared")
            terminal.type("\x0c")
            terminal.wait(lambda text: "Cleared" not in text and PROMPT in text)
            terminal.type(f"{text}\r")
            terminal.wait(lambda _: len(_counts(terminal)) == 1)
            counts += _counts(terminal)
        without, attached, in_chinese, said = counts
    # Named alone it takes tokens, too: what counts is what was below.
    assert min(attached, in_chinese) > said + 8
    assert said > without
    # Where nobody has typed it, it is text: in what a server's prompt says, or in a pipe.
    options = ("--tools", "--stats", "--max-tokens", "4")
    done = qwen3("chat", "demo", *options, input="@nobody:note://greeting", env=env(home))
    same = qwen3("chat", "demo", *options, input="@weather:note://greeting", env=env(home))
    assert (done.returncode, same.returncode) == (0, 0), same.stderr
    assert abs(_prompt_tokens(same.stderr) - _prompt_tokens(done.stderr)) < 4
    assert "`@weather:note://greeting` is text here" in same.stderr
    assert "is text here" not in done.stderr


def _counts(terminal: Tty) -> list[int]:
    """Prompt tokens of the turns on the screen."""
    return [
        sum(map(int, re.findall(r"\d+", line.replace(",", ""))))
        for line in terminal.text.splitlines()
        if line.startswith("prompt eval count:")
    ]


def _prompt_tokens(text: str) -> int:
    line = next(one for one in text.splitlines() if one.startswith("prompt eval count:"))
    return sum(map(int, re.findall(r"\d+", line)))


def env(home: Path) -> dict[str, str]:
    return {"QWEN3_HOME": str(home)}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_gets_the_answer_and_the_script_the_events(home: Path, qwen3: Run) -> None:
    done = qwen3("chat", "demo", QUESTION, "--tools", "--yes", "--temperature", "0", env=env(home))
    assert (done.returncode, done.stdout) == (0, ANSWER), done.stderr
    done = qwen3("chat", "demo", QUESTION, "--tools", "--yes", "--json", "--seed", "1", env=env(home))
    kinds = [
        one["event"] for one in events(done.stdout) if one["event"] not in ("thinking", "text", "notice")
    ]
    assert kinds == ["tool_call", "tool_result", "end"]
    call = next(one for one in events(done.stdout) if one["event"] == "tool_call")
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})


def test_in_a_pipe_nothing_runs_that_nobody_agreed_to(home: Path, qwen3: Run) -> None:
    options = ("--tools", "--json", "--temperature", "0", "--max-tokens", "40")
    done = qwen3("chat", "demo", QUESTION, *options, env=env(home))
    result = next(one for one in events(done.stdout) if one["event"] == "tool_result")
    assert result["is_error"]
    assert any("`--yes`" in one["message"] for one in events(done.stdout) if one["event"] == "notice")
    (home / "config.toml").write_text('[tools]\nallow = ["weather.*"]\n', encoding="utf-8")
    done = qwen3("chat", "demo", QUESTION, *options, env=env(home))
    result = next(one for one in events(done.stdout) if one["event"] == "tool_result")
    assert not result["is_error"]


def test_a_prompt_alone_starts_no_servers(home: Path, qwen3: Run) -> None:
    done = qwen3("chat", "demo", "What is 2 + 3?", "--no-think", "--temperature", "0", env=env(home))
    assert (done.returncode, done.stdout) == (0, "2 + 3 = 5.")
    assert not (home / "tools").exists()


def test_a_login_is_shown_above_what_is_typed_and_while_servers_are_waited_for(home: Path) -> None:
    with site("login") as web:
        servers(home, web={"type": "http", "url": f"{web.url}/mcp"})
        with chatting(home, columns=400) as terminal:
            for number, keys in ((1, "half a mess"), (2, "/tools reconnect web\r")):
                terminal.type(keys)
                text = terminal.wait(lambda text, wanted=number: text.count("/authorize?") == wanted)
                if number == 1:
                    assert f"{PROMPT}half a mess" in [line.rstrip() for line in text.splitlines()]
                    terminal.type("\x03")
                address = re.findall(r"^http\S+/authorize\S+", text, re.MULTILINE)[-1]
                urllib.request.urlopen(address).close()
                terminal.type("/tools\r")
                terminal.wait(lambda text, wanted=number: text.count("web.fine") == wanted)
                web.token = "another"
            assert terminal.text.count("Open this address in a browser, for a server asks it") == 2


def test_a_dead_server_is_a_notice_unless_tools_are_demanded(home: Path, qwen3: Run) -> None:
    servers(home, dead=DYING)
    options = ("--no-think", "--temperature", "0")
    done = qwen3("chat", "demo", "What is 2 + 3?", "--tools", *options, env=env(home))
    assert (done.returncode, done.stdout) == (0, "2 + 3 = 5."), done.stderr
    assert "no licence" in done.stderr
    done = qwen3("chat", "demo", QUESTION, "--tool-choice", "required", *options, env=env(home))
    assert (done.returncode, done.stdout) == (8, ""), done.stderr
    assert "no licence" in done.stderr
    (home / "mcp.json").unlink()
    done = qwen3("chat", "demo", QUESTION, "--tool-choice", "required", env=env(home))
    assert done.returncode == 8
    assert "`qwen3 mcp add" in done.stderr


def test_a_demanded_call_is_made(home: Path, qwen3: Run) -> None:
    options = ("--tool-choice", "required", "--yes", "--json", "--temperature", "0", "--max-tokens", "80")
    done = qwen3("chat", "demo", "What is 2 + 3?", *options, env=env(home))
    assert "tool_call" in [one["event"] for one in events(done.stdout)], done.stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--no-tools", "--tool-choice", "required"),
        ("--no-tools", "--mcp", "x.json"),
        ("--tools", "--tool-choice", "none"),
        ("--tools", "--raw"),
        ("--tool-choice", "perhaps"),
        ("--mcp", "absent.json"),
        ("--format", "~nosuch/absent.json"),
        ("--format", "json", "--raw"),
        ("--yes",),
    ],
)
def test_wishes_that_make_no_sense(home: Path, qwen3: Run, options: tuple[str, ...]) -> None:
    done = qwen3("chat", "demo", "x", *options, env=env(home))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr


def test_an_answer_follows_its_schema(home: Path, qwen3: Run, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}, "sure": {"type": "boolean"}},
        "required": ["sum", "sure"],
        "additionalProperties": False,
    }
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    for thinking in ("--think", "--no-think"):
        done = qwen3(
            "chat", "demo", "What is 2 + 3?", "--format", str(path), thinking, "--seed", "1", env=env(home)
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert set(answer) == {"sum", "sure"}
        assert isinstance(answer["sure"], bool)
    done = qwen3("chat", "demo", "x", "--format", str(path), "--max-tokens", "9", "--no-think", env=env(home))
    assert done.returncode == 1, done.stderr
    assert "the answer was cut, so it is no whole JSON" in done.stderr
    path.write_text('{"type": "nonsense"}', encoding="utf-8")
    assert qwen3("chat", "demo", "x", "--format", str(path), env=env(home)).returncode == 4
    path.write_text("[1, 2", encoding="utf-8")
    assert qwen3("chat", "demo", "x", "--format", str(path), env=env(home)).returncode == 4


def test_servers_end_with_the_program(home: Path) -> None:
    with chatting(home) as terminal:
        terminal.type("/tools\r")
        terminal.wait("weather.get_weather")
        program = terminal.child.pid
        assert program is not None
        children = _below(program)
        assert any(str(SERVERS / "weather.py") in line for line in children.values())
        os.kill(program, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(map(_alive, children)) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not [line for pid, line in children.items() if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """State, parent and so on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()


def _below(parent: int) -> dict[int, str]:
    """The command lines of all processes that a process has started, and these, by their numbers."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        try:
            if int(_stat(pid)[1]) == parent:
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found |= {pid: line, **_below(pid)}
        except (OSError, IndexError):
            continue
    return found


def test_what_only_checking_afterwards_can_tell_is_told(home: Path, qwen3: Run, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    schema = {"type": "integer", "multipleOf": 7, "minimum": 1000003, "maximum": 1000003}
    path.write_text(json.dumps(schema), encoding="utf-8")
    done = qwen3("chat", "demo", "x", "--format", str(path), "--no-think", env=env(home))
    assert (done.returncode, done.stdout) == (1, "1000003"), done.stderr
    assert "does not fit the schema of `--format`" in done.stderr
    with chatting(home, "--no-tools", "--no-think", "--format", str(path)) as terminal:
        for number in (1, 2):
            terminal.type("x\r")
            terminal.wait(lambda text, wanted=number: text.count("note: the answer does not fit") == wanted)


def test_a_server_without_its_variables_does_not_keep_anybody_from_chatting(home: Path, qwen3: Run) -> None:
    servers(home, weather=WEATHER, secret={**WEATHER, "env": {"TOKEN": "${NO_SUCH_VARIABLE}"}})
    with chatting(home) as terminal:
        terminal.type("/tools\r")
        screen = terminal.wait("weather.get_weather")
        assert "NO_SUCH_VARIABLE" in screen
    # Who asks for tools is told at once.
    done = qwen3("chat", "demo", QUESTION, "--tools", env=env(home))
    assert (done.returncode, done.stdout) == (2, "")
    assert "NO_SUCH_VARIABLE" in done.stderr


def test_a_mute_server_is_waited_for_as_long_as_a_person_wants(home: Path) -> None:
    servers(home, mute={"command": sys.executable, "args": ["-c", "import time; time.sleep(600)"]})
    with chatting(home) as terminal:
        terminal.type("What is 2 + 3? /no_think\r")
        terminal.wait("starting mute")
        terminal.type("\x03")
        terminal.wait("2 + 3 = 5.")
        terminal.type("What is 3 + 4?\r")
        terminal.wait("3 + 4 = 7.")
