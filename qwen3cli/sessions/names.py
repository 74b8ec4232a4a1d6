"""What a session may be called: its name is also that of its file, on every system and in every script."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator
from itertools import count

from qwen3cli.errors import UsageError

SUFFIX = ".jsonl"
_LONGEST = 60
"""Characters: of four bytes each, with the ending, they are still the name of a file."""
_BESIDES = frozenset(" ._-")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
"""Names that Windows reserves, with any ending."""


def checked(name: str) -> str:
    """The name in its usual form; raises `UsageError` for what can be none."""
    usual = unicodedata.normalize("NFC", name)
    if not is_name(usual):
        raise UsageError(
            f"no session can be called `{name}`",
            f"a name has up to {_LONGEST} letters and digits of any script, blanks, `.`, `_` and `-`,"
            " and begins with a letter or digit",
        )
    return usual


def is_name(text: str) -> bool:
    """Whether `text` is the name of a session, in its usual form."""
    return (
        0 < len(text) <= _LONGEST
        and text[0].isalnum()
        and text[-1] not in " ."
        and all(one in _BESIDES or unicodedata.category(one)[0] in "LMN" for one in text)
        and unicodedata.is_normalized("NFC", text)
        and not _DEVICE.match(text)
    )


def made_up() -> Iterator[str]:
    """Names for a session that nobody has named, the first of them by the time alone."""
    now = time.strftime("%Y-%m-%d-%H%M%S")
    yield now
    yield from (f"{now}-{number}" for number in count(2))
