from __future__ import annotations

import random

import pyte
import pytest

from qwen3cli.terminal.wrap import Wrapper, clip, display_width, folded, hang


def wrap(text: str, width: int, piece: int = 1_000_000) -> str:
    wrapper = Wrapper(lambda: width)
    drawn = "".join(wrapper.feed(text[i : i + piece]) for i in range(0, len(text), piece))
    return drawn + wrapper.finish()


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 9, ["one two", "three"]),
        ("one two", 8, ["one two"]),
        ("one two", 7, ["one", "two"]),
        ("  indented text", 12, ["  indented", "text"]),
        ("a  b", 20, ["a  b"]),
        ("one \ntwo", 20, ["one", "two"]),
        ("床前明月光疑是", 9, ["床前明月", "光疑是"]),
        ("床前明月，光", 9, ["床前明", "月，光"]),  # no line begins with a comma
        ("床前明（月光）", 9, ["床前明", "（月光）"]),  # and none ends with an opening bracket
        (
            "见 https://example.org/a",
            12,
            ["见", "https://example.org/a"],
        ),  # longer than a line: the terminal's
        ("ab 👨‍👩‍👧👨‍👩‍👧", 6, ["ab 👨‍👩‍👧", "👨‍👩‍👧"]),
        ("ab 🇳🇴🇸🇪", 6, ["ab 🇳🇴", "🇸🇪"]),
        ("ab 👍🏽👍🏽", 6, ["ab 👍🏽", "👍🏽"]),
        ("été e\u0301te\u0301 x", 7, ["été", "e\u0301te\u0301 x"]),
        ("mixed中文text", 8, ["mixed中", "文text"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width).split("\n") == lines


def test_code_is_left_to_the_terminal() -> None:
    code = "```python\nx = some_function(with_many, arguments)\n```\n"
    assert wrap(code + "and some words after", 16) == code + "and some words\nafter"


def _texts(seed: int) -> str:
    draw = random.Random(seed)
    words = [
        "a",
        "word",
        "hyphen-ated",
        "床前明月光",
        "，",
        "（",
        "👨‍👩‍👧",
        "e\u0301",
        "  ",
        "\n",
        "é",
        "🇳🇴",
        "。",
        "\t",
        "```\n",
    ]
    return "".join(draw.choice(words) + draw.choice(["", " ", " ", ""]) for _ in range(60))


@pytest.mark.parametrize("seed", range(40))
def test_pieces_do_not_matter(seed: int) -> None:
    text = _texts(seed)
    assert wrap(text, 24, 1) == wrap(text, 24, 3) == wrap(text, 24)


@pytest.mark.parametrize("seed", range(40))
def test_only_white_space_changes(seed: int) -> None:
    text = _texts(seed)
    assert "".join(wrap(text, 24).split()) == "".join(text.split())


def test_no_word_is_split_and_nothing_is_drawn_twice() -> None:
    draw = random.Random(7)
    words = [draw.choice(["tiny", "middling", "considerable", "né"]) + str(n) for n in range(150)]
    screen = pyte.Screen(30, 200)
    pyte.Stream(screen).feed(wrap(" ".join(words), 30, 2).replace("\n", "\r\n"))
    assert " ".join(screen.display).split() == words


def test_column_follows_the_terminal() -> None:
    wrapper = Wrapper(lambda: 10)
    wrapper.feed("ab 床")
    wrapper.finish()
    assert wrapper.column == 5
    wrapper.feed("\nhttps://example.org/long")
    wrapper.finish()
    assert wrapper.column == 4


def test_a_resize_counts_at_once() -> None:
    width = 40
    wrapper = Wrapper(lambda: width)
    drawn = wrapper.feed("one two three ")
    width = 16
    assert drawn + wrapper.feed("four ") + wrapper.finish() == "one two three\nfour "


@pytest.mark.parametrize(
    ("text", "width", "clipped"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("床前明月", 5, "床前…"),
        ("床前明月", 8, "床前明月"),
        ("abc", 0, "…"),
    ],
)
def test_clip(text: str, width: int, clipped: str) -> None:
    assert clip(text, width) == clipped


def test_hang() -> None:
    assert hang("one two three", 10, 2) == "one two\n  three"


@pytest.mark.parametrize("blank", "\u00a0\u2007\u202f\u3000\u2800\u3164")
def test_nothing_that_has_blanks_goes_on_at_the_margin(blank: str) -> None:
    text = blank.join(["```\nerror:", "x" * 9, "Run", "it?", "y" * 9])
    lines = hang(text, 20, 6).split("\n")
    assert lines == ["```", "      error:", "      xxxxxxxxx Run", "      it? yyyyyyyyy"]
    assert "".join(hang("a /" + "path/" * 9, 20, 6).split("\n      ")) == "a/" + "path/" * 9


def test_display_width() -> None:
    assert [display_width(text) for text in ("ab", "床", "e\u0301", "👨‍👩‍👧", "")] == [2, 2, 1, 2, 0]


@pytest.mark.parametrize(
    "text", ["", "word " * 40, "x\u00a0" * 50, "床前明月光" * 20, "a\u0301" * 60, "🙂" * 30]
)
@pytest.mark.parametrize("width", [1, 7, 40])
def test_folded_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    pieces = list(folded(text, width))
    assert "".join(pieces) == text
    assert all(display_width(piece) <= max(width, 2) for piece in pieces)
