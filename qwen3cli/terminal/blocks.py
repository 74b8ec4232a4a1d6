"""Blocks between three double quotes: messages and arguments of several lines."""

from __future__ import annotations

import re

MARK = '"""'
# The mark opens a block at the start of a message, or where a command takes its text: `/set system """`.
_OPENS = re.compile(r'\s*(?:/\S+\s+(?:\S+\s+)?)?"""')


def is_open(text: str) -> bool:
    """Whether a block was opened and not closed yet, so that more lines belong to the message."""
    return _OPENS.match(text) is not None and text.count(MARK) == 1


def is_block(text: str) -> bool:
    """Whether text is one block and nothing else; pasted code with such quotes inside is none."""
    text = text.strip()
    return text.startswith(MARK) and text.endswith(MARK) and text.count(MARK) == 2


def unquote(text: str) -> str:
    """The inside of a block, without the newlines next to its marks; other text as it is."""
    if not is_block(text):
        return text
    inside = text.strip()[len(MARK) : -len(MARK)]
    return inside.removeprefix("\n").removesuffix("\n")
