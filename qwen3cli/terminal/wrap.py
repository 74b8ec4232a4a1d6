"""Columns: how wide text is on a terminal, and word wrap of text that arrives in pieces.

It knows nothing of streams or styles; it is given sanitised text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

_OPENING = frozenset("([{<«‹“‘「『（《〈【〔［｛〖")
_CLOSING = frozenset(")]}>»›”’.,:;!?%、。，．：；？！）》〉」』】〕］｝〗…ー～・")
_JOINER = "\u200d"
_TAB = 8
_BLANKS = {
    **dict.fromkeys(range(0x2000, 0x200B), " "),
    **dict.fromkeys(map(ord, "\u00a0\u1680\u202f\u205f\u3000\u115f\u1160\u2800\u3164\uffa0"), " "),
}
"""Spaces that a word may hold, and letters that look like one."""


def display_width(text: str) -> int:
    """Columns that `text` takes: two for East Asian wide characters and emoji, none for combining marks."""
    if text.isascii():
        return len(text)
    # Its tables take tens of milliseconds to load, and most text that we measure is ASCII.
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def clip(text: str, width: int, mark: str = "…") -> str:
    """`text`, cut at `width` columns; what was cut shows as `mark`."""
    if display_width(text) <= width:
        return text
    room = width - display_width(mark)
    kept = text[: max(room, 0)]
    while kept and display_width(kept) > room:
        kept = kept[:-1]
    return kept + mark


def squeeze(text: str, width: int, mark: str = "…") -> str:
    """`text` in `width` columns; what its middle lost shows as `mark`, for names differ most at their ends."""
    if display_width(text) <= width:
        return text
    room = max(width - display_width(mark), 0)
    start, end = clip(text, (room + 1) // 2, ""), text
    while end and (display_width(end) > room // 2 or not display_width(end[0])):
        end = end[1:]
    return clip(start + mark + end, width, "")


def hang(text: str, width: int, indent: int) -> str:
    """`text`, wrapped into what `width` columns leave beside `indent`; later lines begin with the indent.

    Only a word that is longer than a line, such as a path, goes on at the margin, so that it copies whole; it has no
    blank in it, however it is written, so what goes on there reads like no line of ours.
    """
    wrapper = Wrapper(lambda: width - indent, fences=False)
    lines = (wrapper.feed(text.translate(_BLANKS)) + wrapper.finish()).split("\n")
    return ("\n" + " " * indent).join(lines)


def folded(line: str, width: int) -> Iterator[str]:
    """A line in pieces that fit into `width` columns, cut at blanks where there are some: no terminal breaks any."""
    start = 0
    while start < len(line) or not start:
        piece = clip(line[start : start + width], width, "") or line[start : start + 1]
        blank = piece.rfind(" ") + 1
        if start + len(piece) < len(line) and blank > len(piece) // 2:
            piece = piece[:blank]
        yield piece
        start += len(piece) or 1


class Wrapper:
    """Soft word wrap of a stream: a word that does not fit goes to the next line, before it is ever drawn.

    A word is held back until its end has arrived, so nothing on the screen is ever redrawn. Wide characters
    break anywhere but before closing and after opening punctuation. Lines of fenced code, and words longer
    than a line, are left to the terminal, so that they copy whole. `width` gives the terminal's columns, now;
    without `fences` no text counts as code.
    """

    def __init__(self, width: Callable[[], int], *, fences: bool = True) -> None:
        self._width = width
        self._fences = fences
        self.column = 0
        self._gap = ""
        self._unit = ""
        self._unit_wide = False
        self._overlong = False
        self._line_start = ""
        self._fence = ""

    def feed(self, text: str) -> str:
        """The part of all text fed so far that can be drawn now, and was not yet."""
        return "".join(self._take(character) for character in text)

    def finish(self) -> str:
        """What was held back; the text ends here."""
        drawn = self._place() + self._gap
        self.column += len(self._gap)
        self._gap = ""
        return drawn

    def _take(self, character: str) -> str:
        if character == "\n":
            return self._end_line()
        if len(self._line_start) < _TAB:
            self._line_start += character
        if self._fence:
            self._advance(character)
            return character
        if character in " \t":
            drawn = self._place()
            self._gap += character
            return drawn
        return self._collect(character)

    def _end_line(self) -> str:
        # White space at a line's end shows nothing.
        drawn = self._place() + "\n"
        fence = self._line_start.lstrip()[:3]
        if self._fences and fence in ("```", "~~~") and self._fence in ("", fence):
            self._fence = "" if self._fence else fence
        self._gap = self._line_start = ""
        self.column = 0
        return drawn

    def _collect(self, character: str) -> str:
        drawn = ""
        if self._breaks_before(character):
            drawn = self._place()
        if self._overlong:
            self._advance(character)
            self._unit_wide = False
            return drawn + character
        self._unit += character
        if not self._attaches(character):
            self._unit_wide = display_width(character) == 2
        if display_width(self._unit) >= self._width():
            drawn += self._place()
            self._overlong = True
        return drawn

    def _breaks_before(self, character: str) -> bool:
        if self._overlong:
            return display_width(character) == 2
        if not self._unit or self._attaches(character):
            return False
        if self._unit[-1] in _OPENING or character in _CLOSING:
            return False
        return self._unit_wide or display_width(character) == 2

    def _attaches(self, character: str) -> bool:
        """Whether it belongs to the character before it: a mark, a joined or tinted emoji, half of a flag."""
        if character.isascii() or not self._unit:
            return False
        if (
            display_width(character) == 0
            or self._unit[-1] == _JOINER
            or "\U0001f3fb" <= character <= "\U0001f3ff"
        ):
            return True
        flags = len(self._unit) - len(self._unit.rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return "\U0001f1e6" <= character <= "\U0001f1ff" and flags % 2 == 1

    def _place(self) -> str:
        """Draw the unit: after its gap when the line has room for both, else at the start of a new line."""
        self._overlong = False
        if not self._unit:
            return ""
        drawn, before = self._gap, self.column
        self._advance(self._gap)
        # The last column stays free: terminals differ in when they wrap there.
        if before and self.column + display_width(self._unit) > self._width() - 1:
            drawn, self.column = "\n", 0
        drawn += self._unit
        self._advance(self._unit)
        self._unit = self._gap = ""
        return drawn

    def _advance(self, text: str) -> None:
        """Move the column as a terminal does, which wraps by itself at its last one."""
        width = self._width()
        if "\t" not in text and self.column + display_width(text) <= width:
            self.column += display_width(text)
            return
        for character in text:
            if character == "\t":
                self.column = min(self.column + _TAB - self.column % _TAB, width - 1)
                continue
            columns = display_width(character)
            self.column = columns if self.column + columns > width else self.column + columns
