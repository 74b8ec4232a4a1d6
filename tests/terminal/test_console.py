from __future__ import annotations

import io
import json

import pytest

from qwen3cli.terminal.console import Console
from qwen3cli.terminal.sanitise import sanitise, sanitise_line
from tests.terminal.fakes import Terminal, console


class Bytes(io.TextIOWrapper):
    """A stream with a buffer below, in a given encoding."""

    def __init__(self, encoding: str = "utf-8", *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def data(self) -> bytes:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("你好 é 👨‍👩‍👧 שלום", "你好 é 👨‍👩‍👧 שלום"),
        ("\x1b[2J", "␛[2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\rb", "a␍b"),
        ("\x00\x08\x7f", "␀␈␡"),
        ("\x9b31m", "\ufffd31m"),
        ("\x85", "\ufffd"),
        ("\u202eevil\u202c", "\ufffdevil\ufffd"),
        ("\u2066\u2067\u2068\u2069", "\ufffd" * 4),
        ("\u202a\u202b\u202d", "\ufffd" * 3),
        ("\ud800x\udcff", "\ufffdx\ufffd"),
    ],
)
def test_sanitise(text: str, shown: str) -> None:
    assert sanitise(text) == shown
    assert "".join(sanitise(character) for character in text) == shown


def test_every_control_character_is_replaced() -> None:
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
    assert all(sanitise(control) != control for control in controls)
    assert sanitise(sanitise("".join(controls))) == sanitise("".join(controls))


def test_sanitise_line_has_one_line() -> None:
    assert sanitise_line("a\nb\tc\u2028d") == "a␊b␉c\ufffdd"


def test_a_pipe_gets_the_text_byte_for_byte() -> None:
    out = Bytes("latin-1")
    Console(io.StringIO(), out, io.StringIO(), {"LANG": "C"}).result("é你\x1b[2J\r\n")
    assert out.data == "é你\x1b[2J\r\n".encode()


def test_a_pipe_gets_valid_utf8_even_for_surrogates() -> None:
    out = Bytes()
    Console(io.StringIO(), out, io.StringIO(), {}).result("a\ud800b\udcff")
    assert out.data.decode() == "a\ufffdb\ufffd"


def test_a_terminal_gets_what_its_encoding_has() -> None:
    out = Bytes("latin-1", terminal=True)
    Console(io.StringIO(), out, io.StringIO(), {}).result("é你")
    assert out.data == b"\xe9?"


def test_a_terminal_gets_sanitised_text() -> None:
    out, err = Terminal(), Terminal()
    screen = console(out=out, err=err, NO_COLOR="1")
    screen.result("\x1b[31m\n")
    screen.talk("\x1b[31m")
    screen.error("\x1b[31m", "\x1b[31m")
    screen.json({"text": "\x9b\u202e"})
    screen.table([("\x1b[31m", "x\ny")])
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert "\x9b" not in out.getvalue()
    assert out.getvalue().count("\n") == 3


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_codes_where_they_are_not_wanted(environ: dict[str, str]) -> None:
    err = Terminal()
    screen = console(err=err, environ=environ)
    screen.talk("talk")
    screen.notice("notice")
    screen.error("error", "hint")
    assert err.getvalue() == "talk\nnote: notice\nerror: error\nhint: hint\n"


def test_no_codes_on_what_is_no_terminal() -> None:
    err = io.StringIO()
    console(err=err).error("message", "hint")
    assert err.getvalue() == "error: message\nhint: hint\n"


def test_a_terminal_gets_colour() -> None:
    err = Terminal()
    console(err=err, NO_COLOR="").error("message")
    assert err.getvalue() == "\x1b[1;31merror:\x1b[0m message\n"


@pytest.mark.parametrize(
    ("environ", "unicode"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),  # what Python makes of LANG=C
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "C", "LC_ALL": "de_DE.utf8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": ""}, True),  # nothing said: the stream's encoding
    ],
)
def test_decorations_follow_the_locale(environ: dict[str, str], unicode: bool) -> None:
    assert console(err=Terminal(), environ=environ).err.unicode is unicode
    assert console(err=io.StringIO(), environ=environ).err.unicode


def test_quiet_leaves_results_and_errors() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = console(out=out, err=err, quiet=True)
    screen.result("result")
    screen.talk("talk")
    screen.notice("notice")
    screen.error("error")
    assert (out.getvalue(), err.getvalue()) == ("result", "error: error\n")


def test_json_is_one_line_in_utf8() -> None:
    out = io.StringIO()
    screen = console(out=out)
    screen.json({"text": "你好\n"})
    screen.json([1])
    assert out.getvalue().splitlines()[0] == '{"text": "你好\\n"}'
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [{"text": "你好\n"}, [1]]


def test_table_aligns_wide_characters() -> None:
    out = io.StringIO()
    console(out=out).table([("模型", "1"), ("a", "20")], ("NAME", "N"), right=(1,))
    assert out.getvalue() == "NAME     N\n模型     1\na       20\n"


def test_table_wraps_its_last_column_on_a_narrow_terminal() -> None:
    out = Terminal()
    console(out=out, COLUMNS="30").table([("name", "one two three four five six")])
    assert out.getvalue() == "name  one two three four five\n      six\n"


@pytest.mark.parametrize(
    ("columns", "line"),
    [(80, "8b  5 GB  Qwen/Qwen3-8B-GGUF:Q4_K_M\n"), (34, "8b  5 GB  Qwen/Qwen3-…GGUF:Q4_K_M\n")],
)
def test_table_squeezes_columns_on_a_narrow_terminal(columns: int, line: str) -> None:
    row = ("8b", "5 GB", "Qwen/Qwen3-8B-GGUF:Q4_K_M")
    out = Terminal()
    console(out=out, COLUMNS=str(columns)).table([row], squeezed=(0, 2))
    assert out.getvalue().replace("    ", "  ") == line
    pipe = io.StringIO()
    console(out=pipe, COLUMNS=str(columns)).table([row], squeezed=(0, 2))
    assert row[2] in pipe.getvalue()


def test_error_lines_cannot_pass_for_ours() -> None:
    err = io.StringIO()
    console(err=err).error("first\nerror: second")
    assert err.getvalue() == "error: first\n       error: second\n"


def test_messages_wrap_at_words() -> None:
    err = Terminal()
    console(err=err, COLUMNS="18", NO_COLOR="1").notice("one two three four five")
    assert err.getvalue() == "note: one two\n      three four\n      five\n"


def test_talk_begins_on_a_line_of_its_own() -> None:
    out = err = Terminal()
    screen = console(out=out, err=err, NO_COLOR="1")
    screen.result("half a line")
    screen.talk("talk")
    assert out.getvalue() == "half a line\ntalk\n"


def test_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", None)
    screen = Console(environ={})
    screen.result("x")
    screen.error("y")
    assert not screen.stdin_is_terminal
