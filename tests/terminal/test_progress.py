from __future__ import annotations

import io
import time
from collections.abc import Callable

import pyte
import pytest

from qwen3cli.terminal.figures import count, duration, size
from qwen3cli.terminal.progress import LiveLine, Progress, progress_text
from qwen3cli.terminal.wrap import display_width
from tests.terminal.fakes import Terminal, console


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shown(stream: io.StringIO) -> list[str]:
    screen = pyte.Screen(80, 10)
    pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


def test_progress_text() -> None:
    text = progress_text("loading", 6.2e9, 9.3e9, 100, unit="bytes", width=79, unicode=True)
    assert text == "loading  67% ▕██████████████████         ▏  6.2 GB/9.3 GB  62 MB/s  50 s left"
    assert progress_text("loading", 0.5, 1, 2, unit="share", width=79, unicode=False).startswith(
        "loading  50% [####"
    )
    assert progress_text("x", 5, 0, 65, unit="bytes", width=79, unicode=True) == "x 1 min 05 s"
    assert progress_text("x", 2, 2, 0, unit="tensors", width=16, unicode=True) == "x 100%"
    text = progress_text("c", 1e6, 2e6, 1, unit="bytes", width=79, unicode=False, detail="7/310 tensors")
    assert text.endswith("]  7/310 tensors  1.0 MB/2.0 MB  1.0 MB/s  1 s left")
    text = progress_text("x", 3e6, 4e6, 1, unit="bytes", width=79, unicode=False, resumed=2e6)
    assert "75%" in text
    assert "1.0 MB/s  1 s left" in text
    assert "/s" not in progress_text("x", 2, 4, 0, unit="tensors", width=79, unicode=True)


@pytest.mark.parametrize("width", range(10, 100, 3))
def test_progress_text_fits(width: int) -> None:
    for unit in ("bytes", "tensors", "share"):
        text = progress_text("converting 模型.gguf", 123456, 9999999, 7, unit=unit, width=width, unicode=True)
        assert display_width(text) <= width


FILE = "Qwen3-30B-A3B-Instruct-2507-UD-Q4_K_XL.gguf"


@pytest.mark.parametrize(
    ("width", "unicode", "text"),
    [
        (79, True, "Qwen3-30B-A3B-Ins…-UD-Q4_K_XL.gguf  33%  6.2 GB/19 GB  62 MB/s  3 min 20 s left"),
        (79, False, "Qwen3-30B-A3B-In...UD-Q4_K_XL.gguf  33%  6.2 GB/19 GB  62 MB/s  3 min 20 s left"),
        (59, True, "Qwen3-3…L.gguf  33%  6.2 GB/19 GB  62 MB/s  3 min 20 s left"),
        (39, True, "Qwen3-30…_XL.gguf  33%  3 min 20 s left"),
        (25, True, "Qwen3-30B-…K_XL.gguf  33%"),
    ],
)
def test_a_long_label_shrinks_before_a_figure_goes(width: int, unicode: bool, text: str) -> None:
    found = progress_text(FILE, 6.2e9, 18.6e9, 100, unit="bytes", width=width, unicode=unicode)
    assert found == text
    assert display_width(found) <= width


def test_wide_characters_of_a_label_count_double() -> None:
    found = progress_text("通义千问" * 6, 6.2e9, 18.6e9, 100, unit="bytes", width=59, unicode=True)
    assert found == "通义千…义千问  33%  6.2 GB/19 GB  62 MB/s  3 min 20 s left"
    assert progress_text("通义千问" * 6, 5, 0, 65, unit="bytes", width=29, unicode=True).endswith(
        " 1 min 05 s"
    )


def test_what_a_label_hides_is_measured_as_it_is_drawn() -> None:
    err = Terminal()
    with Progress(console(err=err, COLUMNS="40", NO_COLOR="1"), "模型\x1b" * 30, delay=0) as bar:
        bar.update(1, 2)
        until(lambda: "50%" in err.getvalue())
        assert max(map(display_width, err.getvalue().split("\r"))) < 40


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (6.8e6, "6.8 MB"), (999.6e6, "1.0 GB"), (1.8e10, "18 GB")],
)
def test_size(number: float, text: str) -> None:
    assert size(number) == text


def test_duration_and_count() -> None:
    assert [duration(s) for s in (0.4, 59.9, 60, 3661)] == ["0 s", "59 s", "1 min 00 s", "1 h 01 min"]
    assert [count(n) for n in (12, 3_400_000, 8_190_000_000)] == ["12", "3.4 M", "8.2 B"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_where_no_line_can_live(stream: type[io.StringIO]) -> None:
    err = stream()
    term = "dumb" if stream is Terminal else "xterm"
    with Progress(console(err=err, TERM=term), "loading", delay=0) as bar:
        bar.update(0.5)
    with LiveLine(console(err=err, quiet=True), lambda _: "x"):
        pass
    assert err.getvalue() == ""


def test_a_live_line_is_drawn_below_what_is_said_and_erased() -> None:
    err = Terminal()
    screen = console(err=err)
    words = "first"
    with LiveLine(screen, lambda _: words):
        until(lambda: shown(err) == ["first"])
        words = "2nd"
        until(lambda: shown(err) == ["2nd"])
        screen.notice("said meanwhile")
        until(lambda: shown(err) == ["note: said meanwhile", "2nd"])
    assert shown(err) == ["note: said meanwhile"]
    assert screen.screen.live is None


def test_a_live_line_needs_no_codes() -> None:
    err = Terminal()
    with LiveLine(console(err=err, NO_COLOR="1"), lambda _: "text"):
        until(lambda: "text" in err.getvalue())
    assert "\x1b" not in err.getvalue()
    assert shown(err) == []


def test_a_live_line_keeps_off_a_line_that_is_being_written() -> None:
    out = err = Terminal()
    screen = console(out=out, err=err)
    line = LiveLine(screen, lambda _: "live")
    with line:
        until(lambda: shown(out) == ["live"])
        screen.result("half ")
        line.draw()
        screen.result("a line\n")
        line.draw()
        assert shown(out) == ["half a line", "live"]
    assert shown(out) == ["half a line"]


def test_delay_keeps_short_work_silent() -> None:
    err = Terminal()
    with Progress(console(err=err), "loading", delay=3600) as bar:
        bar.update(1)
    assert err.getvalue() == ""
