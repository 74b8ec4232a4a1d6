"""How a question is put at a terminal, and how its answer is read; what is asked, and of whom, is others' business.

At the margin there is nothing but the beginnings of our own lines. Whatever is longer than the window is folded here,
and its rest stays beside the margin: the terminal itself would begin it at its edge, where it could pass for ours.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import Event

from qwen3cli.errors import Interrupted
from qwen3cli.terminal.ask import YES
from qwen3cli.terminal.console import Console, Style
from qwen3cli.terminal.interrupts import asking
from qwen3cli.terminal.sanitise import replace_surrogates
from qwen3cli.terminal.wrap import folded
from qwen3cli.tools.showing import lines_of, one_line

_MARGIN = "  "
_LOOK_S = 0.1
"""How often somebody who is asked is looked after: whether the question still stands."""


class Withdrawn(Exception):
    """Nobody waits for the answer any more."""


class Page:
    """What a person is to read before a question, and the question; it begins at the start of a line."""

    def __init__(self, console: Console) -> None:
        console.fresh_line()
        self._console = console
        self._lines = 0

    def say(self, text: str, style: Style | None = None) -> None:
        """A line of ours; what is quoted in it has no line of its own."""
        self._put(_laid([one_line(text)], "", _MARGIN, self._width), style)

    def show(self, text: str, name: str = "", style: Style | None = None, *, depth: int = 0) -> None:
        """A text of others, all of it and beside the margin; with a name or a depth, its later lines are deeper."""
        first, *rest = lines_of(text)
        deeper = _MARGIN * (1 + (depth or bool(name)))
        self._put(_laid([name + first, *rest], _MARGIN, deeper, self._width), style)

    def end(self) -> None:
        """Say so if the window has no room for all of it: what is asked about may have left it at the top."""
        rows = _rows(self._console)
        if 0 < rows <= self._lines + 1:
            self.say(
                f"These are {self._lines:,} lines, and this window has {rows:,}: scroll up to see them all.",
                "warning",
            )

    def _put(self, lines: Iterable[str], style: Style | None) -> None:
        for line in lines:
            self._console.err.write(f"{line}\n", style)
            self._lines += 1

    @property
    def _width(self) -> int:
        return self._console.err.width


def say(console: Console, text: str, style: Style | None = None) -> None:
    """One line of ours."""
    Page(console).say(text, style)


def line_of(console: Console, question: str, gone: Event | None = None) -> str:
    """What a person types as an answer to us; raises `Interrupted` when they leave with Ctrl-C or Ctrl-D.

    Raises `Withdrawn` once `gone` is set.
    """
    return _answer(console, question, "", hidden=False, gone=gone)


def value_of(console: Console, question: str, *, hidden: bool = False, gone: Event | None = None) -> str:
    """What a person types as an answer to others; raises like `line_of`."""
    return _answer(console, question, _MARGIN, hidden=hidden, gone=gone)


def agrees(console: Console, question: str, gone: Event | None = None) -> bool:
    """Whether a person types a yes; raises like `line_of`."""
    return line_of(console, question, gone).strip().lower() in YES


def _answer(console: Console, question: str, margin: str, *, hidden: bool, gone: Event | None) -> str:
    assert console.stdin is not None, "asked without a terminal"
    console.fresh_line()
    *above, last = _laid([one_line(question)], margin, margin + _MARGIN, console.err.width)
    console.err.write("".join(f"{line}\n" for line in above) + f"{last} ", "bold")
    line = ""
    try:
        with asking(console.stdin, hidden=hidden):
            line = _read(console, gone)
    except KeyboardInterrupt:
        _forget_keys(console.stdin.fileno())
    finally:
        if not line.endswith("\n") or hidden:
            console.err.write("\n")
        console.screen.midline = False
    # A line without its end was never sent: a terminal that is closed ends it, too.
    if not line.endswith("\n"):
        raise Interrupted
    return replace_surrogates(line.rstrip("\r\n"))


def _read(console: Console, gone: Event | None) -> str:
    stdin = console.stdin
    assert stdin is not None
    while gone is not None and sys.platform != "win32":
        if gone.is_set():
            _forget_keys(stdin.fileno())
            raise Withdrawn
        if select.select([stdin], [], [], _LOOK_S)[0]:
            break
    try:
        return stdin.readline()
    except UnicodeDecodeError:
        # Keys of another encoding are an answer that is not understood.
        return "\n"


def _forget_keys(descriptor: int) -> None:
    """An answer that was begun is no message to the model."""
    if sys.platform != "win32":
        import termios

        # A terminal that is gone has none.
        with suppress(termios.error):
            termios.tcflush(descriptor, termios.TCIFLUSH)


def _laid(lines: Iterable[str], first: str, deeper: str, width: int) -> Iterator[str]:
    """The lines with their margins, in pieces that fit the window."""
    margin = first
    for line in lines:
        for piece in folded(line, width - len(deeper) - 1):
            yield margin + piece
            margin = deeper


def _rows(console: Console) -> int:
    """Lines of the window that answers are typed in; 0 where that is unknown."""
    assert console.stdin is not None
    try:
        return os.get_terminal_size(console.stdin.fileno()).lines
    except (OSError, ValueError):
        return 0
