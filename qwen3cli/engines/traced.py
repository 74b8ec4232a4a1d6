"""Text that remembers which of its characters come from the conversation, through whatever a template does.

Knows nothing of Jinja. A `Traced` behaves like the text it stands for (`in`, `startswith`, `split`,
comparisons …). Its data, which is what native code sees, has a begin mark and an end mark around every
run of foreign characters. So an operation that this module does not know keeps the marks, and with them
the trace: what is not understood stays untrusted.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex, cast

_PRIVATE = range(0xF0000, 0xFFFFE)
_FOREIGN = re.compile(rb"\x01+")


def _escapes(mark: str) -> tuple[str, str]:
    """How ASCII-only JSON and Python's `ascii` write a mark."""
    return json.dumps(mark)[1:-1], ascii(mark)[1:-1]


class Marks:
    """Two private-use characters, new for each rendering; neither they nor their escapes occur in the material."""

    def __init__(self, material: Iterable[str]) -> None:
        texts = list(material)
        drawn = (chr(_PRIVATE.start + secrets.randbelow(len(_PRIVATE))) for _ in iter(int, 1))
        fresh = (c for c in drawn if not any(form in text for form in (c, *_escapes(c)) for text in texts))
        self.begin = next(fresh)
        self.end = next(c for c in fresh if c != self.begin)
        self._escapes = {escape: mark for mark in (self.begin, self.end) for escape in _escapes(mark)}
        self._split = re.compile(f"([{self.begin}{self.end}])")

    def trace(self, text: str) -> Traced:
        """`text` as foreign from its first to its last character."""
        return Traced(self, text, b"\x01" * len(text))

    def read(self, text: str) -> Traced:
        """The trace of text that may hold marks.

        A mark that lost its partner makes everything on its side foreign.
        """
        if isinstance(text, Traced):
            return text
        plain: list[str] = []
        mask = bytearray()
        depth = 0
        for escape, mark in self._escapes.items():
            text = text.replace(escape, mark)
        for part in self._split.split(text):
            if part == self.begin:
                depth += 1
            elif part == self.end:
                if depth == 0:
                    mask = bytearray(b"\x01" * len(mask))
                depth = max(0, depth - 1)
            else:
                plain.append(part)
                mask += (b"\x01" if depth else b"\x00") * len(part)
        return Traced(self, "".join(plain), bytes(mask))


class Traced(str):
    """See the module; `_plain` is the text itself, `_mask` has one byte per character: 1 is foreign."""

    _marks: Marks
    _plain: str
    _mask: bytes

    def __new__(cls, marks: Marks, plain: str, mask: bytes) -> Traced:
        parts: list[str] = []
        end = 0
        for run in _FOREIGN.finditer(mask):
            parts += (plain[end : run.start()], marks.begin, plain[run.start() : run.end()], marks.end)
            end = run.end()
        self = super().__new__(cls, "".join([*parts, plain[end:]]))
        self._marks, self._plain, self._mask = marks, plain, mask
        return self

    def _part(self, start: int, end: int) -> Traced:
        return Traced(self._marks, self._plain[start:end], self._mask[start:end])

    def __getitem__(self, key: SupportsIndex | slice) -> Traced:
        mask = self._mask[key]
        return Traced(self._marks, self._plain[key], mask if isinstance(mask, bytes) else bytes([mask]))

    def __iter__(self) -> Iterator[Traced]:
        return (self[at] for at in range(len(self._plain)))

    def __add__(self, other: str) -> Traced:
        after = self._marks.read(other)
        return Traced(self._marks, self._plain + after._plain, self._mask + after._mask)

    def __radd__(self, other: str) -> Traced:
        return self._marks.read(other) + self

    def __mul__(self, count: SupportsIndex) -> Traced:
        return Traced(self._marks, self._plain * count, self._mask * count)

    def __rmul__(self, count: SupportsIndex) -> Traced:
        return self * count

    def __repr__(self) -> str:
        """What a list or a dict shows of its texts; Python's own would escape the marks."""
        return str(self._marks.trace(repr(self._plain)))

    def strip(self, chars: str | None = None) -> Traced:
        return self.rstrip(chars).lstrip(chars)

    def lstrip(self, chars: str | None = None) -> Traced:
        return self._part(len(self) - len(self._plain.lstrip(self._said(chars))), len(self))

    def rstrip(self, chars: str | None = None) -> Traced:
        return self._part(0, len(self._plain.rstrip(self._said(chars))))

    def removeprefix(self, prefix: str) -> Traced:
        return self._part(len(self) - len(self._plain.removeprefix(self._said(prefix))), len(self))

    def removesuffix(self, suffix: str) -> Traced:
        return self._part(0, len(self._plain.removesuffix(self._said(suffix))))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[Traced]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._parts(self._plain.split(self._said(sep), maxsplit), self._said(sep) or "")

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[Traced]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._parts(self._plain.rsplit(self._said(sep), maxsplit), self._said(sep) or "")

    def splitlines(self, keepends: bool = False) -> list[Traced]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._parts(self._plain.splitlines(keepends), "")

    def partition(self, sep: str) -> tuple[Traced, Traced, Traced]:
        at = self._plain.find(self._said(sep))
        return self._around(at if at >= 0 else len(self), sep)

    def rpartition(self, sep: str) -> tuple[Traced, Traced, Traced]:
        at = self._plain.rfind(self._said(sep))
        return self._around(at, sep) if at >= 0 else (self._part(0, 0), self._part(0, 0), self)

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> Traced:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self._said(old):
            return self._changed(self._plain.replace("", self._said(new), count))
        return self._marks.read(new).join(self.split(old, count))

    def join(self, iterable: Iterable[str]) -> Traced:
        texts = [self._marks.read(text) for text in iterable]
        return Traced(
            self._marks,
            self._plain.join(text._plain for text in texts),
            self._mask.join(text._mask for text in texts),
        )

    def _said(self, argument: Any) -> Any:
        """An argument of a text method without marks."""
        if isinstance(argument, tuple):
            return tuple(map(self._said, cast("tuple[Any, ...]", argument)))
        return self._marks.read(argument)._plain if isinstance(argument, str) else argument

    def _parts(self, parts: list[str], gap: str) -> list[Traced]:
        """`parts` of this text, in order, each found after the one before and `gap`."""
        found: list[Traced] = []
        end = -len(gap)
        for part in parts:
            start = self._plain.index(part, end + len(gap))
            end = start + len(part)
            found.append(self._part(start, end))
        return found

    def _around(self, at: int, sep: str) -> tuple[Traced, Traced, Traced]:
        after = min(at + len(self._said(sep)), len(self))
        return self._part(0, at), self._part(at, after), self._part(after, len(self))

    def _changed(self, text: str) -> Traced:
        """This text after a change: traced by position if that can be, as foreign if any of it was."""
        if len(text) == len(self._plain):
            return Traced(self._marks, text, self._mask)
        return Traced(self._marks, text, (b"\x01" if 1 in self._mask else b"\x00") * len(text))


def text_of(traced: Any) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text itself, and the ranges of it that are foreign."""
    return traced._plain, tuple(run.span() for run in _FOREIGN.finditer(traced._mask))


_ANSWERS = """__contains__ __eq__ __ge__ __gt__ __hash__ __le__ __len__ __lt__ __ne__ count endswith find
index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle
isupper rfind rindex startswith"""
_CHANGES = "capitalize casefold center expandtabs ljust lower rjust swapcase title translate upper zfill"


def _on_plain(name: str, *, changes: bool) -> Callable[..., Any]:
    """The text method `name`, applied to the text without marks."""
    method = getattr(str, name)

    def call(self: Any, *arguments: Any) -> Any:
        answer = method(self._plain, *map(self._said, arguments))
        return self._changed(answer) if changes else answer

    return call


for _name in _ANSWERS.split():
    setattr(Traced, _name, _on_plain(_name, changes=False))
for _name in _CHANGES.split():
    setattr(Traced, _name, _on_plain(_name, changes=True))
