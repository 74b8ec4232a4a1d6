"""What shows that the program is alive: one line on stderr, redrawn in place and erased at the end.

Where stderr is no terminal, or a dumb one, it shows nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from qwen3cli.terminal.console import Console
from qwen3cli.terminal.figures import duration, size
from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.wrap import clip, display_width, squeeze

if TYPE_CHECKING:
    from typing_extensions import Self

Unit = Literal["bytes", "tensors", "tokens", "share"]

_LEAST_LABEL = 12
"""Columns that a label keeps when figures have no room."""
_TICK = 0.1
"""Seconds between two looks at the line: at most ten redraws a second, fewer when nothing changed."""


class LiveLine:
    """One line that `compose` makes from the seconds elapsed; shown after `delay` seconds, against flicker.

    It redraws itself from a thread, because the work it tells about can be silent for long. What others write
    meanwhile appears above it.
    """

    def __init__(self, console: Console, compose: Callable[[float], str], *, delay: float = 0.0) -> None:
        self._console = console
        self._compose = compose
        self._delay = delay
        self._shown = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = 0.0

    def start(self) -> None:
        """Begin to show it; a second call does nothing."""
        err = self._console.err
        if self._thread is not None or self._console.quiet or not err.is_terminal or err.dumb:
            return
        self._started = time.monotonic()
        self._console.screen.live = self
        self._thread = threading.Thread(target=self._run, name="live-line", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Erase it for good; a second call does nothing."""
        if self._thread is None:
            return
        self._stopped.set()
        with self._console.screen.lock:
            self.wipe()
            self._console.screen.live = None
        self._thread = None

    def wipe(self) -> None:
        """Take it off the screen until the next redraw."""
        if self._shown:
            self._console.err.redraw("", display_width(self._shown))
            self._shown = ""

    def _run(self) -> None:
        if self._stopped.wait(self._delay):
            return
        try:
            while not self._stopped.is_set():
                self.draw()
                self._stopped.wait(_TICK)
        except (OSError, ValueError):
            # The terminal is gone; whoever writes to it next will say so.
            return

    def draw(self) -> None:
        """Redraw it now if its text changed, and if the cursor is not in the middle of another line."""
        err = self._console.err
        with self._console.screen.lock:
            if self._stopped.is_set() or self._console.screen.midline:
                return
            text = clip(self._compose(time.monotonic() - self._started), err.width - 1, err.glyph("…", "..."))
            if text != self._shown:
                err.redraw(text, display_width(self._shown), "dim")
                self._shown = text

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Progress(LiveLine):
    """How far something has come: share, bar, amount, rate and time left, as wide as the terminal allows.

    `unit` says what is counted; `share` is a plain fraction, as llama.cpp reports while it loads.
    """

    def __init__(self, console: Console, label: str, *, unit: Unit = "bytes", delay: float = 0.3) -> None:
        super().__init__(console, self._line, delay=delay)
        self._label = sanitise_line(label)  # Measured before it is drawn.
        self._unit: Unit = unit
        self._done = 0.0
        self._total = 0.0
        self._detail = ""
        self._resumed = 0.0

    def update(self, done: float, total: float = 1.0, detail: str = "") -> None:
        """Say how much is done of how much, and what else counts; cheap enough for every callback."""
        self._done, self._total, self._detail = done, total, detail

    def resume(self, done: float, total: float) -> None:
        """Say that so much was done before; the rate does not count it."""
        self._resumed = done
        self.update(done, total)

    def _line(self, elapsed: float) -> str:
        err = self._console.err
        return progress_text(
            self._label,
            self._done,
            self._total,
            elapsed,
            unit=self._unit,
            width=err.width - 1,
            unicode=err.unicode,
            detail=self._detail,
            resumed=self._resumed,
        )


def progress_text(
    label: str,
    done: float,
    total: float,
    elapsed: float,
    *,
    unit: Unit,
    width: int,
    unicode: bool,
    detail: str = "",
    resumed: float = 0.0,
) -> str:
    """One line of at most `width` columns; for want of room the bar goes, the label shrinks, then figures go.

    Of these detail goes first, then amount, rate, time left. `resumed` is what was done before `elapsed` began.
    """
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    figures = [f"{share:4.0%}" if total > 0 else duration(elapsed), *([detail] if detail else [])]
    if total > 0:
        figures += _figures(done, total, (done - resumed) / elapsed if elapsed > 0 else 0.0, unit)
    least = min(display_width(label), _LEAST_LABEL)
    while len(figures) > 1 and least + 1 + display_width("  ".join(figures)) > width:
        figures.pop(1 if len(figures) > 2 else -1)
    room = width - display_width(f"{label} {'  '.join(figures)}") - 3
    if total > 0 and room >= 8:
        figures[0] += f" {_bar(share, min(room, 30), unicode=unicode)}"
    text = "  ".join(figures)
    head = squeeze(label, max(width - display_width(text) - 1, 0), "…" if unicode else "...")
    return clip(f"{head} {text}", width)


def _figures(done: float, total: float, rate: float, unit: Unit) -> list[str]:
    """Amount, rate and time left, as far as they say something."""
    figures: list[str] = []
    if unit != "share":
        figures.append(f"{_amount(done, unit)}/{_amount(total, unit)}")
        figures += [f"{_amount(rate, unit)}/s"] if rate else []
    if rate and done < total:
        figures.append(f"{duration((total - done) / rate)} left")
    return figures


def _bar(share: float, width: int, *, unicode: bool) -> str:
    filled = int(share * (width - 2))
    if unicode:
        return "▕" + "█" * filled + " " * (width - 2 - filled) + "▏"
    return "[" + "#" * filled + " " * (width - 2 - filled) + "]"


def _amount(value: float, unit: Unit) -> str:
    return size(value) if unit == "bytes" else f"{value:,.0f} {unit}"
