from __future__ import annotations

import io
from pathlib import Path

import pytest

from qwen3cli.errors import ExitCode
from qwen3cli.terminal.history import HistoryFile
from qwen3cli.terminal.repl import run_repl
from tests.terminal.fakes import FakeDesk, Terminal, console


class Typist(io.StringIO):
    """Lines from a person who may press Ctrl-C instead of finishing one: the line `^C`."""

    def readline(self, size: int = -1, /) -> str:
        line = super().readline(size)
        if line == "^C\n":
            raise KeyboardInterrupt
        return line


def talk(typed: str, history: Path | None = None) -> tuple[ExitCode, str, FakeDesk]:
    desk, both = FakeDesk(), Terminal()
    screen = console(out=both, err=both, NO_COLOR="1")
    screen.stdin = Typist(typed)
    return run_repl(desk, screen, history), both.getvalue(), desk


def test_a_conversation() -> None:
    code, text, _ = talk("hello\nthink\n")
    assert code == ExitCode.DONE
    assert text == (
        ">>> got 'hello'\n\n>>> Thinking...\nLet me see.\n...done thinking.\n\nThe answer.\n\n>>> \n"
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ('"""first\nsecond"""\n', "first\nsecond"),
        ('"""\nfirst\n  second\n"""\n', "first\n  second"),
        ("/think hard\n", "/think hard"),
        (" /help\n", " /help"),
        ("/etc/passwd what is this\n", "/etc/passwd what is this"),
    ],
)
def test_messages(typed: str, said: str) -> None:
    assert [turn.content for turn in talk(typed)[2].conversation.turns] == [said]


def test_empty_lines_say_nothing() -> None:
    assert talk("\n   \n")[2].conversation.turns == ()


def test_a_command_of_several_lines() -> None:
    code, text, desk = talk('/set system """You\nare brief"""\n/bye\nnever read\n')
    assert desk.conversation.system == "You\nare brief"
    assert text.count(">>> ") == 2
    assert code == ExitCode.DONE


def test_an_error_is_a_sentence_and_the_chat_goes_on() -> None:
    _, text, desk = talk("too long\n/hlep\n/model nonsense\nhello\n")
    assert "error: the prompt has 5,000 tokens and the context holds 4,096\n" in text
    assert "hint: did you mean `/help`?" in text
    assert "error: there is no model `nonsense`\n" in text
    assert [turn.content for turn in desk.conversation.turns] == ["hello"]


def test_verbose_prints_statistics() -> None:
    assert "eval rate:" in talk("/set verbose\nhello\n")[1]
    assert "eval rate:" not in talk("hello\n")[1]


def test_ctrl_c_twice_leaves() -> None:
    code, text, _ = talk("^C\n^C\nnever\n")
    assert code == ExitCode.INTERRUPTED
    assert text.count("Use Ctrl-D or /bye to leave.") == 1
    code, text, _ = talk("^C\nhello\n^C\n")
    assert code == ExitCode.DONE
    assert text.count("Use Ctrl-D or /bye to leave.") == 2


def test_history(tmp_path: Path) -> None:
    path = tmp_path / "history"
    talk('hello\n\n"""a\nb"""\n/set nohistory\nsecret\n/set history\nagain\n', path)
    assert HistoryFile(path, console()).entries() == ["hello", '"""a\nb"""', "/set nohistory", "again"]


def test_model_text_cannot_steer_the_terminal() -> None:
    assert "a␛[2Jb␇c\ufffdd" in talk("evil\n")[1]
