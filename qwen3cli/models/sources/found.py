"""A model that another program has, and the name it gets here."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qwen3cli.models import catalog
from qwen3cli.models.filenames import SUFFIX, shard_of
from qwen3cli.models.reference import DEMO, is_name
from qwen3cli.models.sources.looking import Bunch, bunches, files_under, real

FILE = "file"
"""In place of a program, for what a path names."""

TITLES: Mapping[str, str] = {
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "hf": "the Hugging Face cache",
    "llama.cpp": "llama.cpp",
    FILE: "the folder",
}
"""What people call the programs."""

_LONGEST = 80


@dataclass(frozen=True)
class Found:
    """A model that lies outside the store.

    `program` is one of `TITLES`; `reference` what it is called there, `source` what the store notes as its origin;
    `revision` the hub's commit and `sha256` those of the files, where that program tells them.
    """

    program: str
    name: str
    reference: str
    files: tuple[Path, ...]
    size: int
    sha256: tuple[str, ...] = ()
    source: str = ""
    revision: str = ""


class Place(NamedTuple):
    """A folder to look into, and what knows how: it yields models, and sentences on what it passes over."""

    scan: Callable[[Path, str], Iterator[Found | str]]
    root: Path


def passed_over(program: str, reference: str, reason: str) -> str:
    """The sentence on a model that is not offered."""
    where = "" if program == FILE else f" of {TITLES[program]}"
    return f"`{reference}`{where} is passed over: {reason}"


def found_in(bunch: Bunch, program: str) -> Found | str:
    """Plain files as a model that is known by its path, or why they are none."""
    if bunch.reason:
        return passed_over(program, bunch.reference, bunch.reason)
    name = name_of_file(bunch.reference)
    return Found(
        program, name, bunch.reference, bunch.files, bunch.size, source=str(bunch.files[0].absolute())
    )


def scan_files(root: Path, program: str, depth: int) -> Iterator[Found | str]:
    """The models whose files lie at most `depth` folders below `root`, known by their path there."""
    files, notes = files_under(root, depth)
    yield from notes
    with suppress(OSError):
        store = real(root)
        for bunch in bunches(files, root, store):
            yield found_in(bunch, program)


def name_of_file(path: str) -> str:
    """What a model is called after its file: without folder, suffix and the number of a shard."""
    name = path.rsplit("/", 1)[-1]
    shard = shard_of(name)
    if shard is not None:
        return shard.stem
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def free_name(wanted: str, program: str, taken: Container[str]) -> str:
    """A name that our store can take, like the one that is wanted and not among `taken`, which are in lower case.

    Where it is taken the program is added, then a number.
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", wanted)[:_LONGEST].strip("-._")
    while plain.lower().endswith(SUFFIX):
        plain = plain[: -len(SUFFIX)].rstrip("-._")
    # A short name of the family would be run instead of what it promises.
    if not is_name(plain) or plain.lower() in (DEMO, *catalog.FAMILY):
        plain = f"{program}-{plain or 'model'}"
    name, number = plain, 1
    while name.lower() in taken:
        name = f"{plain}-{program}" if number == 1 else f"{plain}-{program}-{number}"
        number += 1
    return name
