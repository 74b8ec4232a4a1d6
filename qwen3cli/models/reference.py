"""How a person names a model, parsed once.

The grammar, tried in this order::

    demo                                  the built-in demo model
    NAME                                  a model in the store (a name there wins over the family)
    PATH                                  has a separator and exists, or ends in .gguf
    SIZE[-base|-instruct-2507|…]          a member of the family, as catalog.py lists them
    anything else                         no model
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwen3cli.models import catalog

DEMO = "demo"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Windows keeps these, with any suffix, for devices."""
_REFERENCE_LIKE = re.compile(r"[A-Za-z0-9._~:/\\@+-]+")


@dataclass(frozen=True)
class ModelRef:
    """A parsed reference: which of the forms it has, and the text as given."""

    kind: Literal["demo", "path", "family", "name", "hub", "words"]
    text: str

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Parse `text`; never fails: what cannot name a model is of kind "words"."""
        if text.lower() == DEMO:
            return cls("demo", DEMO)
        if _is_path(text):
            return cls("path", text)
        if not _REFERENCE_LIKE.fullmatch(text):
            return cls("words", text)
        if catalog.find(text.split(":")[0]):
            return cls("family", text)
        if is_name(text):
            return cls("name", text)
        return cls("hub", text)


def is_name(text: str) -> bool:
    """Whether `text` may name a model in the store: safe as a folder name on every system, and no path."""
    device = _DEVICE.match(text) is not None
    return bool(_NAME.fullmatch(text)) and not device and not text.lower().endswith((".", ".gguf"))


def _is_path(text: str) -> bool:
    if text.lower().endswith(".gguf"):
        return True
    separated = "/" in text or os.sep in text or text in (".", "..")
    return separated and (text.startswith((".", "/", "~")) or exists(text))


def exists(text: str) -> bool:
    """Whether there is a file or folder of that path."""
    try:
        return Path(text).exists()
    except OSError:  # Too long for a path, or in a folder that may not be read.
        return False


def is_folder(text: str) -> bool:
    """Whether there is a folder of that path, which may begin with `~`."""
    try:
        return Path(text).expanduser().is_dir()
    except (OSError, RuntimeError):  # As above, or there is no such user.
        return False
