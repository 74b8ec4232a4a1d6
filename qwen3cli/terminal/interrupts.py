"""Ctrl-C while something runs, and keys pressed meanwhile."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO


@contextmanager
def cancelling(cancel: Callable[[], None], allow: Callable[[], None] | None = None) -> Generator[None]:
    """While the body runs, the first Ctrl-C calls `cancel` and lets the body end by itself.

    A second one raises KeyboardInterrupt, for a body that does not listen. `allow` is called when no Ctrl-C can
    come any more, to take back one that came too late. Only the main thread can do this.
    """
    pressed = False

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        cancel()

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if allow is not None:
            allow()


def ended_by(number: int) -> SystemExit:
    """The end of a process by a signal, with the exit code that a shell gives it."""
    return SystemExit(128 + number)


@contextmanager
def ending_in_order(end: Callable[[int], bool]) -> Generator[None]:
    """While the body runs, SIGTERM and SIGHUP unwind it, so that the terminal gets back what was changed on it.

    `end` is asked first with the number: True if it sees to the end by itself, for code that must not be broken
    off anywhere, such as an event loop.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not end(number):
            raise ended_by(number)

    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def typing_ahead(stdin: TextIO | None) -> Generator[None]:
    """While the body runs, what a person types does not show; it waits for whoever reads next.

    Without this, keys would land in the middle of the reply. Ctrl-C still interrupts.
    """
    with _terminal_mode(stdin, _hushed, "TCSANOW", "TCSANOW"):
        yield


@contextmanager
def asking(stdin: TextIO | None, *, hidden: bool = False) -> Generator[None]:
    """While the body runs, a person types an answer: keys show, unless `hidden`, and Ctrl-C raises KeyboardInterrupt.

    Whatever surrounds it. Keys that were pressed before the question are no answer to it: they are thrown away.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _terminal_mode(stdin, _typed_unseen if hidden else _typed, "TCSAFLUSH", "TCSADRAIN"):
            yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _terminal_mode(
    stdin: TextIO | None, change: Callable[[list[Any]], None], entering: str, leaving: str
) -> Generator[None]:
    """While the body runs, a terminal's attributes are changed; the last two say when changes take effect.

    Nothing where there are no such attributes: they are POSIX only, and a Windows console does not echo what nobody
    reads.
    """
    if sys.platform == "win32" or stdin is None or not stdin.isatty():
        yield
        return
    import termios

    try:
        before = termios.tcgetattr(stdin)
    except termios.error:
        yield
        return
    changed = list(before)
    change(changed)
    termios.tcsetattr(stdin, getattr(termios, entering), changed)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, getattr(termios, leaving), before)


def _hushed(attributes: list[Any]) -> None:
    import termios

    attributes[0] &= ~termios.ICRNL
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    # Otherwise Ctrl-C also throws away what was printed and has not reached the screen yet.
    attributes[3] |= termios.NOFLSH


def _typed(attributes: list[Any]) -> None:
    import termios

    attributes[0] |= termios.ICRNL
    attributes[3] |= termios.ICANON | termios.ISIG | termios.ECHO


def _typed_unseen(attributes: list[Any]) -> None:
    import termios

    _typed(attributes)
    attributes[3] &= ~termios.ECHO
