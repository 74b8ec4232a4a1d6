"""Texts of others as a person may see them: what is not seen, or moves what is seen, as an escape; no I/O.

A name, a title or a command stays on one line; a message has lines of its own, which nobody can mistake for ours.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from urllib.parse import urlsplit

# Python calls these printable, and nothing is printed: joiners, fillers, variation selectors, blank letters.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)

# Enough of them, and what stands before or behind is out of the window.
_GAP = re.compile(" {17,}")


def one_line(text: str) -> str:
    """The text with everything that cannot be seen as an escape, ends of lines among it."""
    if _is_plain(text):
        return text
    return "".join(one if _is_plain(one) else one.encode("unicode_escape").decode() for one in text)


def lines_of(text: str) -> list[str]:
    """The lines of a text, each like `one_line`."""
    return [one_line(line) for line in text.replace("\r\n", "\n").split("\n")]


def quoted(text: str) -> str:
    """A word as a shell would need it; what cannot be seen is written as an escape, many blanks are counted."""
    word = shlex.quote(text) if _is_plain(text) else json.dumps(text)
    return _GAP.sub(lambda gap: f" [{len(gap[0]):,} blanks] ", word)


def command_line(command: str, arguments: Iterable[str]) -> str:
    """A command with its arguments, word by word as a shell would need them."""
    return " ".join(map(quoted, (command, *arguments)))


def site_of(url: str) -> str:
    """Where a URL leads, in words; what stands before an `@` may look like another site.

    Letters of other alphabets look like ours: with such, a site is called what it is called on the net (`xn--…`).
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna" if not url.isascii() else "ascii").decode()
    except ValueError:
        return "nowhere: it is no address"
    said = f"to the site {quoted(host)}"
    return f"{said}; what stands before the `@` is no part of that" if "@" in parts.netloc else said


def _is_plain(text: str) -> bool:
    return text.isprintable() and not _UNSEEN.search(text)
