"""The one way out: results to stdout, talk to stderr, and nothing untrusted reaches a terminal unsanitised.

A terminal gets sanitised text, colour if it may, and marks that its locale can show. A pipe or a file gets
the text byte for byte, as UTF-8, without a single escape code. This module knows neither models nor events.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TextIO

from qwen3cli.errors import NotEnough, QwenError, is_disk_full
from qwen3cli.terminal.sanitise import replace_surrogates, sanitise, sanitise_line
from qwen3cli.terminal.tables import GAP, LEAST_COLUMN, NARROW_GAP, measured, pad, squeeze_columns
from qwen3cli.terminal.wrap import display_width, folded, hang

Style = Literal["dim", "bold", "heading", "error", "warning"]

_SGR: dict[Style, str] = {"dim": "2", "bold": "1", "heading": "1;2", "error": "1;31", "warning": "33"}


class Live(Protocol):
    """A line that is redrawn in place."""

    def wipe(self) -> None:
        """Take the line off the screen; it may come back later."""
        ...


class _Screen:
    """What stdout and stderr share when both are the same terminal."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.midline = False
        self.shared = False
        """Whether both streams are one pipe or file (`2>&1`), where our lines must not hang on the answer's."""
        self.live: Live | None = None


class Outlet:
    """One output stream: whether it is a terminal, and what that terminal can show."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str], screen: _Screen) -> None:
        self._stream = stream
        self._environ = environ
        self._screen = screen
        self.is_terminal = _is_terminal(stream)
        self.dumb = environ.get("TERM") == "dumb"
        self.color = self.is_terminal and not self.dumb and not environ.get("NO_COLOR")
        self.unicode = not self.is_terminal or _shows_unicode(stream, environ)

    def is_same_file(self, other: Outlet) -> bool:
        """Whether both write to the same pipe or file."""
        try:
            return os.path.samestat(*(os.fstat(one._stream.fileno()) for one in (self, other)))
        except (OSError, ValueError):
            return False

    @property
    def width(self) -> int:
        """Columns of the terminal now; `COLUMNS` or 80 where there is none."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        if columns <= 0:
            given = self._environ.get("COLUMNS", "")
            columns = int(given) if given.isdecimal() and int(given) else 80
        return max(columns, 10)

    def glyph(self, unicode: str, plain: str) -> str:
        """The decoration this stream can show."""
        return unicode if self.unicode else plain

    def write(self, text: str, style: Style | None = None) -> None:
        """Write text and flush it; on a terminal sanitised, and styled if that is wanted and possible."""
        if not text:
            return
        if not self.is_terminal:
            if self._screen.shared:
                self._screen.midline = not text.endswith("\n")
            self._put(replace_surrogates(text), "utf-8")
            return
        with self._screen.lock:
            if self._screen.live is not None:
                self._screen.live.wipe()
            self._screen.midline = not text.endswith("\n")
            self._put(self._paint(sanitise(text), style), self._encoding)

    def redraw(self, text: str, erase: int, style: Style | None = None) -> None:
        """Put `text` in place of the terminal's current line, of which `erase` columns are in use."""
        text = sanitise_line(text)
        # Blanks and a carriage return do it without any code, and without a moment of nothing in between.
        rest = " " * (erase - display_width(text))
        self._put(f"\r{self._paint(text, style)}{rest}" + ("" if text else "\r"), self._encoding)

    def _paint(self, text: str, style: Style | None) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and self.color else text

    @property
    def _encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def _put(self, text: str, encoding: str) -> None:
        try:
            self._put_bytes(text, encoding)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = getattr(self._stream, "name", "the output")
            kind = NotEnough if is_disk_full(error) else QwenError
            raise kind(f"{name} cannot be written: {error.strerror or error}") from None

    def _put_bytes(self, text: str, encoding: str) -> None:
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self._stream.write(text)
        else:
            # Past the text layer, which would refuse what the locale lacks and translate newlines.
            self._stream.flush()
            data = memoryview(text.encode(encoding, "replace"))
            # An unbuffered stream (`python -u`) may take less than it is given.
            while data:
                data = data[buffer.write(data) :]
        self._stream.flush()


class _Nowhere(io.StringIO):
    """In place of a stream that the caller closed (`>&-`); sys has None for it."""

    def write(self, text: str, /) -> int:
        return len(text)


class Console:
    """The streams of this process, each overridable, and the few ways to use them."""

    def __init__(
        self,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.quiet = quiet
        self.stdin: TextIO | None = stdin or sys.stdin
        self.screen = _Screen()
        self.out = Outlet(stdout or sys.stdout or _Nowhere(), self.environ, self.screen)
        self.err = Outlet(stderr or sys.stderr or _Nowhere(), self.environ, self.screen)
        self.screen.shared = not self.out.is_terminal and self.out.is_same_file(self.err)

    @property
    def stdin_is_terminal(self) -> bool:
        """Whether a person can type."""
        return self.stdin is not None and _is_terminal(self.stdin)

    @property
    def stdout_is_terminal(self) -> bool:
        """Whether results go to a person's eyes."""
        return self.out.is_terminal

    @property
    def stderr_is_terminal(self) -> bool:
        """Whether talk goes to a person's eyes."""
        return self.err.is_terminal

    @property
    def width(self) -> int:
        """Columns of the terminal that results go to."""
        return self.out.width

    def result(self, text: str) -> None:
        """Write a result to stdout as it stands; no newline is added."""
        self.out.write(text)

    def json(self, value: Any) -> None:
        """Write one JSON value as one line to stdout."""
        self.out.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def table(
        self,
        rows: Sequence[Sequence[str]],
        header: Sequence[str] = (),
        *,
        right: Sequence[int] = (),
        squeezed: Sequence[int] = (),
        indent: str = "",
    ) -> None:
        """Write aligned columns to stdout.

        `right` are the numbers of the columns aligned to the right, `squeezed` of those that lose their middle where
        a terminal is too narrow.
        """
        lines, widths = measured(rows, header)
        if not lines:
            return
        if self.out.is_terminal:
            room = self.width - 1 - len(indent) - NARROW_GAP * (len(widths) - 1)
            squeeze_columns(lines, widths, squeezed, room, self.out.glyph("…", "..."))
        gap = GAP
        if self.out.is_terminal and len(indent) + sum(widths) + gap * (len(widths) - 1) >= self.width:
            gap = NARROW_GAP
        start = len(indent) + sum(width + gap for width in widths[:-1])
        for cells in lines:
            padded = [pad(cell, widths[n], right=n in right) for n, cell in enumerate(cells)]
            line = indent + (" " * gap).join(padded).rstrip()
            if self.out.is_terminal and display_width(line) >= self.width >= start + LEAST_COLUMN:
                head = indent + (" " * gap).join([*padded[:-1], ""])
                line = head + hang(cells[-1], self.width, start)
            self.result(line + "\n")

    def fits(self, rows: Sequence[Sequence[str]], header: Sequence[str]) -> bool:
        """Whether each row of that table would have a line of the terminal; anything fits a pipe."""
        _, widths = measured(rows, header)
        return not self.out.is_terminal or sum(widths) + NARROW_GAP * (len(widths) - 1) < self.width

    def talk(self, text: str) -> None:
        """Write a line for the person to stderr; not when quiet."""
        if not self.quiet:
            self._line(text, "dim")

    def quote(self, whose: str, text: str) -> None:
        """Write to stderr what somebody else says, beside the margin: none of it can pass for a line of ours."""
        self.talk(f"{whose}:")
        for line in text.split("\n"):
            for piece in folded(sanitise_line(line.expandtabs()), self.err.width - 3):
                self.talk(f"  {piece}")

    def notice(self, text: str) -> None:
        """Write something the person should know to stderr; not when quiet."""
        if not self.quiet:
            self._labelled("note", text, "warning")

    def error(self, message: str, hint: str | None = None) -> None:
        """Write what went wrong, and what to do about it, to stderr."""
        self._labelled("error", message, "error")
        if hint:
            self._labelled("hint", hint, "bold")

    def fresh_line(self) -> None:
        """End the line that a terminal's cursor stands in, unless it stands at its start."""
        if self.screen.midline:
            (self.out if self.out.is_terminal else self.err).write("\n")

    def _line(self, text: str, style: Style | None = None) -> None:
        self.fresh_line()
        self.err.write(self._wrapped(text, 0), style)
        self.err.write("\n")

    def _labelled(self, label: str, text: str, style: Style) -> None:
        self.fresh_line()
        self.err.write(f"{label}:", style)
        # Lines after the first are indented, so that no text can pass for a message of ours.
        self.err.write(" " + self._wrapped(text, len(label) + 2) + "\n")

    def _wrapped(self, text: str, indent: int) -> str:
        text = text.rstrip("\n")
        if self.err.is_terminal:
            return hang(sanitise(text), self.err.width, indent)
        return text.replace("\n", "\n" + " " * indent)


def _is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def _shows_unicode(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the person's locale promises more than ASCII."""
    language = environ.get("LANG", "")
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or language
    # Under LANG=C, Python itself sets LC_CTYPE=C.UTF-8 (PEP 538); what the person said counts.
    if language in ("C", "POSIX") and locale.upper().startswith("C.UTF"):
        locale = language
    if not locale:
        locale = stream.encoding or ""
    return "UTF8" in locale.upper().replace("-", "")
