"""Names of model files: what the store calls its own, and which paths of others it takes. Touches no file.

Parts of one model end in `-0000N-of-0000M.gguf`: llama.cpp finds them by that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from qwen3cli.models.reference import is_name

SUFFIX: Final = ".gguf"
_SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf", re.IGNORECASE | re.DOTALL)
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
"""Ollama names its files so."""
_LONGEST_PATH = 4096
_MOST_KEPT = 80
"""Characters of a name that is kept; a replacement may make it longer."""


@dataclass(frozen=True)
class Shard:
    """Which part of which model a file is by its name; `stem` is what all parts share."""

    stem: str
    number: int
    count: int

    @property
    def name(self) -> str:
        """What the file is called."""
        return f"{self.stem}-{self.number:05}-of-{self.count:05}{SUFFIX}"


def shard_of(name: str) -> Shard | None:
    """What a name, with folders or without, says of a part of a model; None for a model in one file."""
    match = _SHARD.fullmatch(name)
    return Shard(match[1], int(match[2]), int(match[3])) if match else None


def is_file_name(text: str) -> bool:
    """Whether a file of the store may have this name: plain on every system, and no path."""
    return text.endswith(SUFFIX) and is_name(text.removesuffix(SUFFIX))


def is_outside(text: str) -> bool:
    """Whether a model file of others may be there: an absolute, normal path on this machine, by name a GGUF file."""
    try:
        if "\0" in text or len(os.fsencode(text)) > _LONGEST_PATH:
            return False
    except UnicodeEncodeError:  # No bytes that a file system could have.
        return False
    path = Path(text)
    named = path.suffix.lower() == SUFFIX or _BLOB.fullmatch(path.name) is not None
    # Two slashes lead to another machine, which learns who asks.
    remote = text.startswith(("//", "\\\\"))
    return named and not remote and path.is_absolute() and ".." not in path.parts and str(path) == text


def are_parts(places: Sequence[str]) -> bool:
    """Whether these are the names of one model's files: one, or all its parts in order."""
    if len(places) == 1:
        return True
    first = shard_of(places[0]) if places else None
    if first is None:
        return False
    expected = [Shard(first.stem, number, len(places)) for number in range(1, len(places) + 1)]
    return [shard_of(place) for place in places] == expected


def safe_names(wanted: Sequence[str]) -> list[str]:
    """What the store calls files of those names: the same if it can, else `model.gguf` or the parts of `model`."""
    if all(is_file_name(name) and len(name) <= _MOST_KEPT for name in wanted) and are_parts(wanted):
        return list(wanted)
    if len(wanted) == 1:
        return [f"model{SUFFIX}"]
    return [Shard("model", number, len(wanted)).name for number in range(1, len(wanted) + 1)]


def names_beside(wanted: Sequence[str], taken: Collection[str], mark: str) -> list[str]:
    """`wanted` if none of them is taken, whatever its case; else the same with `mark` in them."""
    lower = {name.lower() for name in taken}
    if not any(name.lower() in lower for name in wanted):
        return list(wanted)
    return [_marked(name, mark) for name in wanted]


def _marked(name: str, mark: str) -> str:
    shard = shard_of(name)
    if shard:
        return replace(shard, stem=f"{shard.stem}.{mark}").name
    return f"{name.removesuffix(SUFFIX)}.{mark}{SUFFIX}"
