"""Blocks between three double quotes: messages and arguments of several lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

MARK = '"""'
# The mark opens a block at the start of a message, or where a command takes its text: `/set system """`.
_OPENS = re.compile(r'\s*(?:/\S+\s+(?:\S+\s+)?)?"""')


def is_open(text: str) -> bool:
    """Whether a block was opened and not closed yet, so that more lines belong to the message."""
    opening = _OPENS.match(text)
    if opening is None:
        return False
    lines = text[opening.end() - len(MARK) :].split("\n")
    return _end(lines) is None if lines[0].strip() == MARK else text.count(MARK) == 1


def is_block(text: str) -> bool:
    """Whether text is one block and nothing else; pasted code with such quotes inside is none."""
    text = text.strip()
    lines = text.split("\n")
    if lines[0].strip() == MARK and len(lines) > 1:
        return _end(lines) == len(lines) - 1
    return text.startswith(MARK) and text.endswith(MARK) and text.count(MARK) == 2


def _end(lines: Sequence[str]) -> int | None:
    """Where a block ends whose mark stands alone on the first line.

    That is the first line that is a mark and nothing else, not even before it, or a text that ends in a mark which
    balances the others: docstrings of one line or of several do not end it.
    """
    marks = 1
    for number, line in enumerate(lines[1:], start=1):
        marks += line.count(MARK)
        text = line.rstrip()
        if text == MARK or (text.strip() != MARK and text.endswith(MARK) and marks % 2 == 0):
            return number
    return None


def unquote(text: str) -> str:
    """The inside of a block, without the newlines next to its marks; other text as it is."""
    if not is_block(text):
        return text
    inside = text.strip()[len(MARK) : -len(MARK)]
    return inside.removeprefix("\n").removesuffix("\n")
