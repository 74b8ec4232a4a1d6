"""Text that streams to one outlet: as it is to a pipe, with a terminal's manners to a terminal."""

from __future__ import annotations

from qwen3cli.terminal.console import Outlet, Style
from qwen3cli.terminal.sanitise import sanitise
from qwen3cli.terminal.wrap import Wrapper


class Flow:
    """A stream of text, written piece by piece.

    `exact` writes every piece as it comes. Otherwise blank lines at the start and the end are dropped, the
    text ends with a newline, and on a terminal words wrap.
    """

    def __init__(self, outlet: Outlet, style: Style | None = None, *, exact: bool = False) -> None:
        self.outlet = outlet
        self.open = False
        self._style: Style | None = style
        self._exact = exact
        self._held: str = ""
        self._wrapper: Wrapper | None = None

    def write(self, text: str) -> None:
        """Write the next piece."""
        if self._exact:
            self.outlet.write(text)
            self.open = self.open or bool(text)
            return
        text = self._held + text
        body = text.rstrip()
        # Trailing white space waits: it may turn out to be the end.
        self._held = text[len(body) :]
        if not body:
            return
        if not self.open:
            first = len(body) - len(body.lstrip())
            body = body[body.rfind("\n", 0, first) + 1 :]
            self.open = True
        self.outlet.write(self._wrapped().feed(sanitise(body)), self._style)

    def pause(self) -> None:
        """Draw what is held back and end the line, so that others can write lines of their own."""
        if self._wrapper is None:
            return
        self._held = ""
        self.outlet.write(self._wrapper.finish(), self._style)
        if self._wrapper.column:
            self.outlet.write(self._wrapper.feed("\n"))

    def end(self) -> bool:
        """End the text; whether there was any."""
        self.pause()
        was_open, self.open = self.open, False
        self._held = ""
        self._wrapper = None
        return was_open

    def _wrapped(self) -> Wrapper:
        if self._wrapper is None:
            self._wrapper = Wrapper(self._columns)
        return self._wrapper

    def _columns(self) -> int:
        # A file has no columns to wrap at.
        return self.outlet.width if self.outlet.is_terminal else 1_000_000_000
