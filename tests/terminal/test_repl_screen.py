"""The REPL in a real pseudo-terminal, its screen compared as text."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.terminal.fakes import CHINESE
from tests.terminal.screen import Tty

READY = ">>> Send a message (/? for help)"
PASTE = "\x1b[200~{}\x1b[201~"


def history(home: Path) -> list[str]:
    path = home / "history"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@contextmanager
def repl(home: Path, *arguments: str, columns: int = 80, lines: int = 24, **environ: str) -> Generator[Tty]:
    command = ["tests.terminal.fake_repl", str(home / "history"), *arguments]
    with Tty(command, columns=columns, lines=lines, HOME=str(home), **environ) as tty:
        tty.wait(">>>")
        yield tty


def settled(tty: Tty, *, status: str = "80/4,096") -> str:
    """The screen once the last turn is over and the prompt is back."""
    return tty.wait(lambda text: text.count(READY) == 1 and status in text)


def test_the_first_screen(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        lines = settled(tty, status="0/4,096").splitlines()
        assert lines[0] == READY
        assert lines[-1] == "fake · thinking · 0/4,096"
        assert [line for line in lines[1:-1] if line] == []


def test_a_turn(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("think\r")
        assert settled(tty).split(READY)[0] == (
            ">>> think\nThinking...\nLet me see.\n...done thinking.\n\nThe answer.\n\n"
        )
        assert b"\x1b[2mLet" in tty.output


def test_the_placeholder_does_not_stay(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("\r\r/think\r")
        text = tty.wait("Set 'think' mode.")
        assert settled(tty, status="0/4,096").splitlines()[:4] == [
            ">>>",
            ">>>",
            ">>> /think",
            "Set 'think' mode.",
        ]
        assert text.count(READY) <= 1


def test_ctrl_j_begins_a_line(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("one\ntwo\x1b\rthree")
        tty.wait(">>> one\n... two\n... three")
        tty.type("\r")
        assert r"got 'one\ntwo\nthree'" in settled(tty)


def test_a_block_of_several_lines(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type('"""one\r')
        tty.wait('>>> """one\n...')
        tty.type('  two"""\r')
        assert r"got 'one\n  two'" in settled(tty)


def test_a_paste_is_one_message(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type(PASTE.format("one\r/clear\r\rthree"))
        tty.wait("... three")
        tty.type("\r")
        assert r"got 'one\n/clear\n\nthree'" in settled(tty)
        assert history(tmp_path) == ["one\n/clear\n\nthree"]


def test_ctrl_c_stops_the_reply_and_keeps_it(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("slow\r")
        tty.wait("word5")
        tty.type("\x03")
        # The first words may have scrolled away; none between the others may be missing.
        words = [int(number) for number in re.findall(r"word(\d+)", settled(tty).split("interrupted")[0])]
        assert words == list(range(words[0], words[-1] + 1))
        assert "^C" not in tty.text
        tty.type("hello\r")
        assert "got 'hello'" in tty.wait("got 'hello'")


def test_a_second_ctrl_c_ends_a_reply_that_does_not_listen(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("stuck\r")
        tty.wait("word3")
        tty.type("\x03")
        tty.wait("word20")
        tty.type("\x03")
        tty.wait("interrupted")
        settled(tty, status="0/4,096")


def test_ctrl_c_on_an_empty_line_says_how_to_leave_and_twice_leaves(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("\x03")
        tty.wait("Use Ctrl-D or /bye to leave.")
        tty.type("\x03")
        assert tty.end() == 130


def test_what_is_typed_in_between_starts_the_count_again(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("\x03")
        tty.wait("Use Ctrl-D or /bye to leave.")
        tty.type("hello\r")
        settled(tty)
        tty.type("\x03")
        tty.wait(lambda text: text.count("Use Ctrl-D or /bye to leave.") == 2)
        tty.type("\x04")
        assert tty.end() == 0


def test_ctrl_c_clears_the_line(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("half a thought")
        tty.wait(">>> half a thought")
        tty.type("\x03")
        settled(tty, status="0/4,096")
        assert "Use Ctrl-D" not in tty.text
        tty.type("whole\r")
        assert "got 'whole'" in settled(tty)


@pytest.mark.parametrize("keys", ["\x04", "/bye\r", "/exit\r"])
def test_leaving(tmp_path: Path, keys: str) -> None:
    with repl(tmp_path) as tty:
        tty.type(keys)
        assert tty.end() == 0
        assert READY not in tty.text


def test_ctrl_d_with_text_in_the_line_does_not_leave(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("abc\x01\x04\r")
        assert "got 'bc'" in settled(tty)


def test_history_comes_back(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("first one\r")
        settled(tty)
        tty.type("line a\nline b\r")
        tty.wait(r"got 'line a\nline b'")
        tty.type("\x04")
        tty.end()
    assert history(tmp_path) == ["first one", "line a\nline b"]
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600
    with repl(tmp_path) as tty:
        tty.type("\x12first")
        tty.wait(">>> first one")
        tty.type("\r")
        tty.wait(lambda text: "I-search" not in text and "4,096" in text)
        tty.type("\r")
        assert "got 'first one'" in settled(tty)
        tty.type("\x1b[A\x1b[A")
        tty.wait(">>> line a\n... line b")


def test_nothing_is_recorded_after_nohistory(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("/set nohistory\r")
        tty.wait("is not kept")
        tty.type("secret\r")
        settled(tty)
        tty.type("\x1b[A")
        tty.wait(lambda text: text.count(">>> /set nohistory") == 2)
    assert history(tmp_path) == ["/set nohistory"]


def test_the_editor(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "edited\\nlines" > "$1"\n')
    editor.chmod(0o700)
    with repl(tmp_path, VISUAL=str(editor), EDITOR=str(editor)) as tty:
        tty.type("draft\x07")
        tty.wait(">>> edited\n... lines")
        tty.type("\r")
        assert r"got 'edited\nlines'" in settled(tty)


def test_help_and_unknown_commands(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("/?\r")
        tty.wait("/help keys lists the keys.")
        assert "/no_think" in tty.text
        tty.type("/hlep\r")
        tty.wait("did you mean `/help`?")


def test_completion(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with repl(tmp_path) as tty:
        tty.type("/mo\t")
        tty.wait(">>> /model")
        tty.type(" ot\t")
        tty.wait(">>> /model other")
        tty.type("\r")
        tty.wait("Now talking to `other`.")
        tty.wait("other · thinking")
        tty.type("read ~/no\t")
        tty.wait("read ~/notes.txt")
        tty.type("\x03/s\t")
        tty.wait(lambda text: "/set" in text and "/show" in text.split(">>> /s")[-1])


def test_the_status_line_follows_the_mode(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("/no_think\r")
        tty.wait("fake · not thinking · 0/4,096")


def test_keys_typed_during_a_reply_wait_for_the_prompt(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with repl(tmp_path, QWEN3_TEST_GATE=str(gate)) as tty:
        tty.type("busy\r")
        # The first word is drawn when its end has come; the turn is on once the toolbar is gone.
        tty.wait(lambda text: "busy" in text and "4,096" not in text)
        tty.type("ahead")
        gate.touch()
        text = tty.wait(">>> ahead")
        assert "busy no more" in text
        assert text.count("ahead") == 1


def test_statistics(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("/set verbose\rhello\r")
        tty.wait("eval rate:            25.00 tokens/s")


def test_hidden_thinking(tmp_path: Path) -> None:
    with repl(tmp_path, "--hide-thinking") as tty:
        tty.type("think\r")
        assert settled(tty).split(READY)[0] == ">>> think\nThe answer.\n\n"


def test_what_a_model_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with repl(tmp_path) as tty:
        tty.type("evil\r")
        assert "a␛[2Jb␇c\ufffdd" in settled(tty)


def test_a_narrow_window(tmp_path: Path) -> None:
    with repl(tmp_path, columns=40, lines=15) as tty:
        tty.type("/hlep\r")
        tty.wait("put a space before it")
        assert "\n      help; to send it as a message," in tty.text
        tty.type("x" * 60)
        tty.wait(">>> " + "x" * 36 + "\n    " + "x" * 24)
        tty.type("\x03chinese\r")
        text = settled(tty).split(">>> chinese\n")[1].split(READY)[0]
        assert "".join(text.split()) == CHINESE
        assert not any(line.startswith(("，", "。")) for line in text.splitlines())
        assert text.splitlines()[-2:-1] != [""]
        assert all(len(line) <= 19 for line in text.splitlines())


def test_typing_wide_characters(tmp_path: Path) -> None:
    with repl(tmp_path, columns=40, lines=15) as tty:
        tty.type("你好世界")
        tty.wait(">>> 你好世界")
        tty.type("\x1b[D\x7f")  # left, backspace
        tty.wait(">>> 你好界")
        tty.type("\r")
        assert "got '你好界'" in settled(tty)


def test_a_dumb_terminal(tmp_path: Path) -> None:
    with repl(tmp_path, TERM="dumb") as tty:
        tty.type("think\r")
        tty.wait("The answer.")
        tty.type('"""one\r')
        tty.wait('"""one\n...')
        tty.type('two"""\r')
        tty.wait(r"got 'one\ntwo'")
        tty.type("\x03")
        tty.wait("Use Ctrl-D or /bye to leave.")
        tty.type("\x04")
        assert tty.end() == 0
        assert b"\x1b" not in tty.output
    assert history(tmp_path) == ["think", '"""one\ntwo"""']


def test_an_ascii_locale(tmp_path: Path) -> None:
    with repl(tmp_path, LANG="C") as tty:
        tty.wait("fake - thinking - 0/4,096")
        tty.type("hello\r")
        tty.wait("got 'hello'")
        assert all(byte < 0x80 for byte in tty.output)


def test_no_color(tmp_path: Path) -> None:
    with repl(tmp_path, NO_COLOR="1") as tty:
        tty.type("think\r")
        settled(tty)
        assert b"\x1b[2m" not in tty.output
        assert b"\x1b[38" not in tty.output
