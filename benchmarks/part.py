"""What the benchmarks share: where they keep files, what a part of them is given, and what it gives back."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import Aim
from tests.oracle import source

CACHE: Final = source.CACHE / "benchmarks"
"""For what is made or fetched once."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all parts have in common; `folder` is for files that do not outlive the benchmark."""

    models: tuple[Path, ...]
    rounds: int
    threads: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Section:
    """A part's chapter of the report, in Markdown, and its aims."""

    title: str
    text: str
    aims: tuple[Aim, ...] = ()


def say(text: str) -> None:
    """Tells on stderr what is going on."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def at_least_one(text: str) -> int:
    """A number given on the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
