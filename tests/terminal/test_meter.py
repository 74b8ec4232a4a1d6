from __future__ import annotations

from dataclasses import replace

import pytest

from qwen3cli.chat.ports import WhenFull
from qwen3cli.terminal.command import Seat
from qwen3cli.terminal.meter import added_by, sentence, status_line
from qwen3cli.terminal.wrap import display_width
from tests.terminal.fakes import FakeDesk, Terminal, console


def seat_at(used: int, *, name: str = "demo", when_full: WhenFull = "ask", **variables: str) -> Seat:
    desk = FakeDesk()
    desk.context_used = used
    desk.facts = replace(desk.facts, name=name)
    desk.settings = replace(desk.settings, when_full=when_full)
    return Seat(desk, console(out=Terminal(), environ=variables))


@pytest.mark.parametrize(
    ("used", "typed", "calm", "loud"),
    [
        (0, 0, "demo · thinking · 0/4,096", ""),
        (800, 37, "demo · thinking · 800+37/4,096", ""),
        (3276, 0, "demo · thinking · 3,276/4,096", ""),
        (3200, 77, "demo · thinking · ", "3,200+77/4,096 · nearly full, then asks"),
        # With what the thinking and the answer should have: 512 of 4,096.
        (3584, 0, "demo · thinking · ", "3,584/4,096 · nearly full, then asks"),
        (3584, 1, "demo · thinking · ", "3,584+1/4,096 · full: asks"),
        (4300, 0, "demo · thinking · ", "4,300/4,096 · full: asks"),
    ],
)
def test_the_meter(used: int, typed: int, calm: str, loud: str) -> None:
    assert status_line(seat_at(used), 80, typed) == (calm, loud)


@pytest.mark.parametrize(
    ("when_full", "short", "long"),
    [
        ("ask", "asks", "you are asked what makes way"),
        ("summarise", "sums up", "the oldest turns are summed up"),
        ("drop", "drops", "the oldest turns are dropped"),
        ("stop", "stops", "nothing more is sent"),
    ],
)
def test_what_is_about_to_happen_is_said(when_full: WhenFull, short: str, long: str) -> None:
    seat = seat_at(3300, when_full=when_full)
    assert status_line(seat, 80)[1].endswith(f" · nearly full, then {short}")
    assert sentence(seat.desk) == (
        f"3,300 of the context's 4,096 tokens are in use; when it is full, {long}."
    )
    assert sentence(seat_at(3000).desk) == ""


@pytest.mark.parametrize("columns", range(1, 81))
@pytest.mark.parametrize(("used", "typed"), [(800, 0), (3300, 0), (3300, 250), (4000, 1234)])
@pytest.mark.parametrize("name", ["demo", "千问Qwen3-30B-A3B-Instruct-2507-Q4_K_M"])
def test_the_meter_fits_any_window(columns: int, used: int, typed: int, name: str) -> None:
    line = "".join(status_line(seat_at(used, name=name), columns, typed))
    assert display_width(line) <= columns
    if columns >= 40:
        assert f"{used:,}{f'+{typed:,}' if typed else ''}/4,096" in line
        assert ("full" in line) == (used > 3000)
    if columns == 40 and not typed:
        assert line[0] == name[0]


def test_an_ascii_locale_has_no_dots() -> None:
    assert status_line(seat_at(3300, LANG="C"), 80) == (
        "demo - thinking - ",
        "3,300/4,096 - nearly full, then asks",
    )


def test_texts_that_are_completed_do_not_add_up() -> None:
    seat = seat_at(4000)
    seat.desk.change(replace(seat.desk.settings, raw=True))
    assert status_line(seat, 80) == ("demo · completing · 4,000/4,096", "")


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), (" \n", 0), ("/set think on", 0), ("four", 4), ("x" * 30000, 0)]
)
def test_what_is_typed_is_counted_where_that_costs_nothing(text: str, tokens: int) -> None:
    assert added_by(FakeDesk(), text) == tokens
