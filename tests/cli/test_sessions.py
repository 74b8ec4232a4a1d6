"""Sessions as people and scripts meet them: the real program, the demo model, a real pseudo-terminal."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.cli import main
from qwen3cli.sessions.folder import SessionFolder
from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.snapshot import Snapshot
from qwen3cli.terminal.wrap import display_width
from tests.conftest import Run
from tests.terminal.fakes import Terminal, console
from tests.terminal.screen import Tty

PROMPT = ">>> "


@pytest.fixture
def home(shared_home: Path, tmp_path: Path) -> Path:
    """A home with the converted demo and no sessions."""
    folder = tmp_path / "home"
    shutil.copytree(shared_home / "cache", folder / "cache", ignore=shutil.ignore_patterns("prefixes"))
    return folder


def said(home: Path, name: str) -> list[str]:
    found = SessionFolder(home / "sessions").get(name).snapshot
    assert found is not None
    return [message.content for message in found.messages]


def test_pipes_go_on_with_a_session(qwen3: Run, home: Path) -> None:
    def chat(*arguments: str, input: str | None = None) -> tuple[str, str]:
        done = qwen3("chat", *arguments, input=input, env={"QWEN3_HOME": str(home)})
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    out, err = chat("demo", "What is 2 + 3?", "--session", "茶", "--no-think", "--temperature", "0")
    assert (out, err) == ("2 + 3 = 5.", "new session `茶`\n")
    (kept,) = json.loads(qwen3("cache", "list", "--json", env={"QWEN3_HOME": str(home)}).stdout)
    # The model and the settings are those of before.
    out, err = chat("--session", "茶", "--json", input="What is 4 + 5?")
    first, *_, last = map(json.loads, out.splitlines())
    assert (kept["session"], last["stats"]["cached_tokens"]) == ("茶", kept["tokens"])
    assert first == {"event": "notice", "message": "session `茶`: 1 turn, used just now"}
    assert (last["stats"]["model"], last["stats"]["thinking_tokens"], err) == ("demo", 0, "")
    assert chat("--continue", "-p", "What is 1 + 1?", "--quiet") == ("1 + 1 = 2.", "")
    questions = ("What is 2 + 3?", "What is 4 + 5?", "What is 1 + 1?")
    assert said(home, "茶")[::2] == [*questions]
    # A chat that nobody has named and that has a prompt is no session.
    chat("demo", "Hello!", "--no-think")
    assert SessionFolder(home / "sessions").names() == ["茶"]
    assert "session 茶" in qwen3("cache", "list", env={"QWEN3_HOME": str(home)}).stdout
    done = qwen3("sessions", "rm", "茶", "--yes", env={"QWEN3_HOME": str(home)})
    assert (done.returncode, done.stderr) == (0, "removed 茶\n")
    assert [path.suffix for path in home.rglob("*") if path.suffix in (".jsonl", ".prefix")] == []


def say(terminal: Tty, text: str, prompts: int) -> str:
    terminal.type(f"{text}\r")
    return terminal.wait(lambda screen: screen.count(PROMPT) >= prompts)


def chatting(home: Path, *arguments: str) -> Tty:
    return Tty(["qwen3cli", "chat", *arguments], columns=100, lines=40, QWEN3_HOME=str(home))


def test_a_chat_survives_its_process_and_goes_on(qwen3: Run, home: Path) -> None:
    with chatting(home, "demo", "--no-think", "--temperature", "0") as terminal:
        terminal.wait(PROMPT)
        assert not (home / "sessions").exists()
        assert "2 + 3 = 5." in say(terminal, "What is 2 + 3?", 2)
        say(terminal, "/set system Be brief.", 3)
        (name,) = SessionFolder(home / "sessions").names()
        busy = qwen3("chat", "--session", name, "-p", "x", env={"QWEN3_HOME": str(home)})
        assert (busy.returncode, f"`{name}` is open in another process" in busy.stderr) == (1, True)
        terminal.child.kill(signal.SIGKILL)
        assert terminal.end() == -signal.SIGKILL
    with chatting(home, "--continue") as terminal:
        screen = terminal.wait(PROMPT)
        assert f"session `{name}`: 1 turn, used just now" in screen
        assert "Be brief." in say(terminal, "/show system", 2)
        assert "4 + 5 = 9." in say(terminal, "What is 4 + 5?", 3)
        terminal.type("/bye\r")
        assert terminal.end() == 0
    assert said(home, name) == ["What is 2 + 3?", "2 + 3 = 5.", "What is 4 + 5?", "4 + 5 = 9."]
    with chatting(home, "--session", "new one", "demo") as terminal:
        terminal.wait("new session `new one`")
        terminal.wait(PROMPT)
        terminal.type("\x04")
        assert terminal.end() == 0
    assert SessionFolder(home / "sessions").names() == [name]
    with chatting(home, "demo", "--no-think") as terminal:
        terminal.wait(PROMPT)
        say(terminal, "Hello!", 2)
        terminal.type("\x04")
        assert terminal.end() == 0
        (latest, _) = SessionFolder(home / "sessions").names()
        assert f"kept as `{latest}`; `qwen3 chat --continue` goes on with it" in " ".join(
            terminal.text.split()
        )


Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Ran:
    """Runs `qwen3 sessions` in this process; with `columns` its results go to a terminal."""

    def run_one(*arguments: str, columns: int = 0) -> tuple[int, str, str]:
        out, err = Terminal() if columns else io.StringIO(), io.StringIO()
        here = console(out=out, err=err, QWEN3_HOME=str(tmp_path), COLUMNS=str(columns), NO_COLOR="1")
        return main(["sessions", *arguments], here), out.getvalue(), err.getvalue()

    return run_one


MODEL = "/models/some where/very-long-name-of-a-model.gguf"
CALL = ToolCall("get_weather", {"city": "\x1b[2JParis"})
SAID = (
    Message("user", "\x1b[31mWhat will\nthe weather be?\x07"),
    Message("assistant", "", "They ask about the weather.", (CALL,)),
    Message("tool", "sunny, 21 degrees\u202e"),
    Message("assistant", "Sunny.\x9b2J"),
    Message("user", "谢谢"),
    Message("assistant", "不客气。" * 30),
)


def write(tmp_path: Path, name: str = "tea", messages: tuple[Message, ...] = SAID) -> Path:
    journal = Journal.open(tmp_path / "sessions", name)
    journal.follow(Snapshot(MODEL, "Be\x1b brief.", messages=messages))
    journal.close()
    return tmp_path / "sessions" / f"{name}.jsonl"


def test_they_are_listed(run: Ran, tmp_path: Path) -> None:
    assert run("list") == (0, "", "there are no sessions; `qwen3 chat --session NAME` begins one\n")
    assert run("list", "--json")[1] == "[]\n"
    write(tmp_path)
    (tmp_path / "sessions" / "damaged.jsonl").write_text("x\x1b[2J\nx\n{}\n")
    code, out, err = run("list")
    assert (code, err.startswith("note: the session `damaged` is damaged at line 1")) == (0, True)
    header, *rows = (line.split() for line in out.splitlines())
    assert header == ["NAME", "USED", "TURNS", "MODEL", "BEGINS"]
    assert rows[0] == ["damaged", "just", "now", "(cannot", "be", "read)"]
    assert rows[1][:5] == ["tea", "just", "now", "2", "very-long-name-of-a-model.gguf"]
    damaged, tea = json.loads(run("list", "--json")[1])
    assert (tea["turns"], tea["model"], tea["problem"]) == (2, MODEL, None)
    assert (damaged["turns"], "line 1" in damaged["problem"]) == (None, True)


@pytest.mark.parametrize("columns", [40, 62, 100])
def test_a_list_fits_its_window(run: Ran, tmp_path: Path, columns: int) -> None:
    write(tmp_path, "一个很长的会话名字" * 4)
    write(tmp_path, "tea", (Message("user", "写一首关于茶的诗。" * 20), Message("assistant", "茶")))
    _, out, _ = run("list", columns=columns)
    assert "\x1b" not in out and "tea" in out
    assert all(display_width(line) < columns for line in out.splitlines())
    assert len(out.splitlines()) == (3 if columns > 60 else len(out.splitlines()))


def test_what_was_said_is_shown_and_steers_no_terminal(run: Ran, tmp_path: Path) -> None:
    write(tmp_path)
    code, out, _ = run("show", "tea", columns=80)
    assert code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(out)
    shown = [
        *("System prompt: Be␛ brief.", ">>> ␛[31mWhat will", "... the weather be?␇", "Thinking..."),
        *("They ask about the weather.", '→ get_weather(city="', "← sunny, 21 degrees", "Sunny.", ">>> 谢谢"),
    ]
    places = [out.index(text) for text in shown]
    assert places == sorted(places)
    _, out, _ = run("show", "tea", "--json")
    value = json.loads(out)
    assert [one["role"] for one in value["messages"]] == [message.role for message in SAID]
    assert value["messages"][1]["tool_calls"] == [{"name": CALL.name, "arguments": CALL.arguments}]
    code, out, err = run("show", "coffee")
    assert (code, out, "there is no session `coffee`" in err) == (2, "", True)
    write(tmp_path).write_text("x\nx\n{}\n")
    code, out, err = run("show", "tea")
    assert (code, out, "`tea` is damaged" in err) == (4, "", True)


def test_they_are_removed_when_somebody_agrees(run: Ran, tmp_path: Path) -> None:
    for name in ("tea", "coffee", "water"):
        write(tmp_path, name)
    code, _, err = run("rm", "tea")
    assert (code, "`--yes` removes without asking" in err) == (2, True)
    for answer, left in (("\r", 3), ("y\r", 1)):
        arguments = ["qwen3cli", "sessions", "rm", "tea", "coffee"]
        with Tty(arguments, QWEN3_HOME=str(tmp_path)) as terminal:
            terminal.wait("Remove `tea`, `coffee`? [y/N]")
            terminal.type(answer)
            assert terminal.end() == 0
        assert len(SessionFolder(tmp_path / "sessions").names()) == left
    assert run("rm", "water", "tea", "--yes")[0] == 2
    assert run("rm", "water", "--yes", "--json")[:2] == (0, '{"removed": ["water"]}\n')
    assert run("list", "--json")[1] == "[]\n"
