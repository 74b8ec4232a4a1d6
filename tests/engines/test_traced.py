"""Traced text behaves like the text it stands for, and knows where each character comes from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from qwen3cli.engines.traced import Marks, Traced, text_of

MARKS = Marks(["some text"])
USER = MARKS.trace("<b> A b\tC, b </b>\n\nend\n")
MIXED = "say: " + USER + " (end)\n"
TEXTS = [
    USER,
    MIXED,
    MARKS.trace("aXbXc"),
    MARKS.trace(" "),
    MARKS.read("none foreign"),
    MARKS.trace("Ünï 中\r\nx"),
]

_WITHOUT = """capitalize casefold lower upper title swapcase strip lstrip rstrip split rsplit splitlines
isspace isdigit isalpha islower isupper istitle isascii isalnum"""
_WITH_TEXT = """count find rfind startswith endswith split rsplit partition rpartition removeprefix
removesuffix strip lstrip rstrip"""
CALLS: list[tuple[str, tuple[Any, ...]]] = [
    *((name, ()) for name in _WITHOUT.split()),
    *((name, (text,)) for name in _WITH_TEXT.split() for text in ("b", "<b>", "end\n", "\n")),
    *((name, (sep, 1)) for name in ("split", "rsplit") for sep in (None, "b")),
    *((name, (60,)) for name in ("center", "ljust", "rjust", "zfill", "expandtabs")),
    ("splitlines", (True,)),
    ("startswith", (("x", "<b"),)),
    ("replace", ("b", "[long]")),
    ("replace", ("b", "")),
    ("replace", ("", "-")),
    ("replace", ("b", "c", 1)),
    ("join", (["x", "y", "z"],)),
    ("__contains__", ("A b",)),
    ("__mul__", (2,)),
    ("__rmul__", (2,)),
    ("__add__", ("tail",)),
    ("__getitem__", (3,)),
    ("__getitem__", (-1,)),
    ("__getitem__", (slice(2, -2),)),
    ("__getitem__", (slice(None, None, -1),)),
    ("translate", ({ord("b"): "BB"},)),
]
"""Every text method that gives text back or answers a question, with arguments that matter."""


def plain(value: Any) -> Any:
    """A value with all its traced texts as the texts they stand for."""
    if isinstance(value, Traced):
        return text_of(value)[0]
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))  # type: ignore[arg-type]
    return value


@pytest.mark.parametrize(("name", "arguments"), CALLS)
@pytest.mark.parametrize("text", TEXTS, ids=[ascii(plain(text)) for text in TEXTS])
def test_every_method_answers_as_on_plain_text(text: Traced, name: str, arguments: tuple[Any, ...]):
    original = plain(text)
    try:
        expected = getattr(original, name)(*arguments)
    except IndexError:
        return
    assert plain(getattr(text, name)(*arguments)) == expected


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_what_comes_of_foreign_text_is_foreign(name: str, arguments: tuple[Any, ...]):
    """What a method of wholly foreign text gives back is foreign, but for what the arguments brought."""
    result: Any = getattr(USER, name)(*arguments)
    parts: list[Any] = [*result] if isinstance(result, (list, tuple)) else [result]
    for part in parts:
        if isinstance(part, str):
            assert isinstance(part, Traced)
            text, spans = text_of(part)
            own = sum(len(text[a:b]) for a, b in spans)
            brought = {"replace": 24, "join": 3, "__add__": 4}.get(name, 0)
            assert own >= len(text) - brought


def test_the_parts_of_a_mixture_keep_their_origin():
    assert text_of(MIXED)[1] == ((5, 5 + len(USER)),)
    assert text_of(MIXED.strip())[1] == ((5, 5 + len(USER)),)
    assert text_of(MIXED[2:8])[1] == ((3, 6),)
    assert [text_of(part)[1] for part in MIXED.split(": ")] == [(), ((0, len(USER)),)]
    assert text_of(MIXED.replace("say", MARKS.trace("do")))[1] == ((0, 2), (4, 4 + len(USER)))
    assert text_of(MIXED[::-1])[1] == ((7, 7 + len(USER)),)


NATIVE: list[Callable[[str], str]] = [
    lambda text: f"<{text}>",
    lambda text: "<%s>" % text,  # noqa: UP031
    lambda text: "<{}>".format(text),  # noqa: UP032
    lambda text: "".join(["<", text, ">"]),
    lambda text: "<" + text + ">",
    lambda text: json.loads(json.dumps({"x": f"<{text}>"}))["x"],
    lambda text: str.__add__("<", str.__add__(text, ">")),
]


@pytest.mark.parametrize("native", NATIVE)
def test_native_code_keeps_the_trace(native: Callable[[str], str]):
    text, spans = text_of(MARKS.read(native(USER)))
    assert text == f"<{plain(USER)}>"
    assert spans == ((1, len(text) - 1),)


def test_representations_keep_the_trace():
    for shown in (repr([USER]), "%r" % USER, "%a" % [USER], json.dumps([USER]), f"{USER!r}", f"{USER!a}"):  # noqa: UP031
        text, spans = text_of(MARKS.read(shown))
        assert "<b>" in text
        assert any(a <= text.index("<b>") < text.index("</b>") < b for a, b in spans)


def test_comparing_and_looking_up():
    word = MARKS.trace("word")
    assert word == "word" != MARKS.trace("words")
    assert "word" == word in ["word"]
    by_word: dict[str, int] = {word: 1}
    assert by_word["word"] == {"word": 1}[word] == 1
    assert sorted([MARKS.trace("b"), "a", MARKS.trace("c")]) == ["a", "b", "c"]
    assert len(word) == 4
    assert not MARKS.trace("")
    assert [*map(plain, word)] == [*"word"]


def test_a_lost_mark_makes_its_side_foreign():
    data = str(USER)
    assert text_of(MARKS.read("own" + data[:-1] + "own"))[1] == ((3, 3 + len(USER) + 3),)
    assert text_of(MARKS.read("own" + data[1:] + "own"))[1] == ((0, 3 + len(USER)),)


def test_marks_are_new_each_time_and_never_in_the_material():
    plane = "".join(map(chr, range(0xF0000, 0xFFFFE)))
    free = random.Random(3).sample(plane, 2)
    material = plane.translate({ord(c): None for c in free})
    marks = Marks([material])
    assert {marks.begin, marks.end} == set(free)
    assert plain(marks.read("a" + marks.trace(material))) == "a" + material
    assert len({(m.begin, m.end) for m in (Marks([]) for _ in range(20))}) == 20
