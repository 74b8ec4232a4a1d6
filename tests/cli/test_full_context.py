"""A full context as a person and a script meet it: the real program, the demo model, a small context."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.terminal.screen import Tty

LONG = "Hello there, my friend. " * 8
ANSWER = "Give me a small sum to add."
ASKED = "[s]ummarise the oldest turns, [d]rop them or s[t]op, this time or `always`?"
SIZE = 600
READY = ">>> Send a message"


@contextmanager
def chat(
    home: Path, *arguments: str, size: int = SIZE, columns: int = 100, lines: int = 60, **environ: str
) -> Generator[Tty]:
    command = ["qwen3cli", "chat", "demo", "--temperature", "0", "--no-think", "--ctx", str(size), *arguments]
    with Tty(command, columns=columns, lines=lines, QWEN3_HOME=str(home), **environ) as terminal:
        terminal.wait(lambda screen: screen.rstrip().endswith(">>>") or READY in screen)
        yield terminal


def words(screen: str) -> str:
    """What is on the screen, however it is broken into lines."""
    return " ".join(screen.split())


def say(terminal: Tty, text: str, awaited: str = f"/{SIZE}") -> str:
    """Type a line, and wait for the prompt or what else is to come after it."""
    terminal.type(text)
    terminal.wait(lambda screen: READY not in screen)
    terminal.type("\r")
    return words(
        terminal.wait(lambda screen: awaited in words(screen) and (awaited == ASKED or READY in screen))
    )


def fill(terminal: Tty) -> None:
    """Turns up to the next one, which has no room."""
    for number in range(5):
        say(terminal, f"{number} {LONG}")
    terminal.wait("full: asks")


def test_a_person_chooses_what_makes_way(shared_home: Path) -> None:
    with chat(shared_home, "--system", "Be brief.") as terminal:
        fill(terminal)
        # What is typed counts, and does not when it is taken back.
        terminal.type("four words of text")
        terminal.wait("+6/600 · full: asks")
        terminal.type("\x03")
        screen = say(terminal, LONG, ASKED)
        assert "note: the context is full: the prompt has " in screen
        # Left, and stopped: the message is not sent, and nothing has changed.
        terminal.type("\x03")
        terminal.wait(lambda text: READY in text and "Your message is taken back" in text)
        say(terminal, LONG, ASKED)
        terminal.type("what\r")
        terminal.wait("Type s, d or t; ")
        terminal.wait(lambda text: words(text).endswith(ASKED))
        terminal.type("t\r")
        terminal.wait(lambda text: READY in text and "have the oldest turns make way" in words(text))
        assert "messages 11" in say(terminal, "/show context")
        say(terminal, LONG, ASKED)
        terminal.type("s\r")
        screen = words(terminal.wait(lambda text: READY in text and text.count(ANSWER) > 1))
        assert "the model sums up the oldest 3 turns (" in screen
        assert "in their place it sees a summary of " in screen
        assert "older messages; in their place a summary" in say(terminal, "/show context")
        assert "There is no" not in say(terminal, "/show system")
        say(terminal, "/clear")
        terminal.wait(lambda text: "full" not in text.splitlines()[-1])
        assert "not seen" not in say(terminal, "/show context").partition("Cleared session context.")[2]


def test_an_answer_can_be_kept_for_the_chat_in_a_narrow_window(shared_home: Path) -> None:
    with chat(shared_home, columns=40, lines=50) as terminal:
        fill(terminal)
        assert terminal.text.splitlines()[-1].startswith("demo · ")
        say(terminal, LONG, ASKED)
        terminal.type("d always\r")
        terminal.wait(lambda text: READY in text and "any more" in text)
        screen = say(terminal, "/show context")
        assert "when full the oldest turns are dropped" in screen
        say(terminal, LONG)
        screen = say(terminal, LONG)
        assert ASKED not in screen.partition("/show context")[2]


def test_a_terminal_without_a_status_line_is_told_before_the_prompt(shared_home: Path) -> None:
    with chat(shared_home, "--when-full", "drop", TERM="dumb") as terminal:
        for number in range(6):
            terminal.type(f"{number} {LONG}\r")
            terminal.wait(lambda text, n=number: text.count(ANSWER) > n and text.rstrip().endswith(">>>"))
        screen = words(terminal.text)
        assert (
            "of the context's 600 tokens are in use; when it is full, the oldest turns are dropped." in screen
        )
        assert "the model does not see the oldest" in screen
        assert b"\x1b" not in terminal.output


def test_a_reply_that_is_cut_by_the_context_makes_room_for_the_next(shared_home: Path) -> None:
    with chat(shared_home, "--when-full", "drop", size=120) as terminal:
        for text in ("Who are you?", "Who are you?", "你是谁？"):
            screen = say(terminal, text, "/120")
        assert "the reply was cut: the context of 120 tokens is full" in screen
        assert "the model does not see the oldest turn (" in screen
        assert "2 + 3 = 5." in say(terminal, "What is 2 + 3?", "/120")
        assert "messages 6" in say(terminal, "/show context", "/120")


def test_a_pipe_is_not_asked(qwen3: Run, tmp_path: Path) -> None:
    say = ["chat", "demo", "--session", "tea", "--ctx", str(SIZE), "--no-think", "--temperature", "0"]
    home = {"QWEN3_HOME": str(tmp_path)}
    for _ in range(2):
        assert qwen3(*say, LONG * 3, env=home).returncode == 0
    full = qwen3(*say, LONG * 3, env=home)
    assert (full.returncode, full.stdout) == (7, "")
    assert "error: the context is full: the prompt has " in full.stderr
    assert "--when-full drop" in full.stderr
    events = [json.loads(line) for line in qwen3(*say, "--json", LONG * 3, env=home).stdout.splitlines()]
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("error", 7)
    dropped = qwen3(*say, "--when-full", "drop", LONG * 3, env=home)
    assert (dropped.returncode, ANSWER in dropped.stdout) == (0, True)
    assert "the model does not see the oldest 2 turns (" in dropped.stderr
    # What was said is still there, and that the model does not see it holds for the next run.
    assert qwen3("sessions", "show", "tea", env=home).stdout.count(LONG.strip()) >= 3
    assert qwen3(*say, "--when-full", "ask", "Who are you?", env=home).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--system", LONG * 5, "hi"], "the system prompt takes "),
        ([LONG * 5], "the prompt has "),
    ],
)
def test_what_can_never_fit_is_refused_with_figures(qwen3: Run, arguments: list[str], said: str) -> None:
    done = qwen3("chat", "demo", "--ctx", "256", *arguments)
    assert (done.returncode, done.stdout) == (7, "")
    assert f"error: {said}" in done.stderr
    assert "tokens and the context holds 256" in done.stderr


def test_a_choice_that_is_none_is_a_usage_error(qwen3: Run) -> None:
    done = qwen3("chat", "demo", "--when-full", "often", "hi")
    assert done.returncode == 2
    assert "`--when-full` takes ask, summarise, drop or stop, not `often`" in done.stderr
