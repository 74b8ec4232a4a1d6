"""Waiting for another process that fetches or makes the same model, and what the person sees of that meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from qwen3cli.models.download import Watch
from qwen3cli.models.partial import Places
from qwen3cli.models.pull import Steps
from qwen3cli.models.turns import turn


class FetchWatch(Watch, Steps, Protocol):
    """Who wants to know how it goes: a `Watch` that is told which file it is about."""


class Waiting:
    """Tells of a whole pull what `claimed` tells of one file."""

    def __init__(self, watch: FetchWatch, name: str, standing: Callable[[], tuple[int, int]]) -> None:
        self._watch = watch
        self._name = name
        self._standing = standing

    def said(self, text: str) -> None:
        self._watch.begin(f"waiting for {self._name}")
        self._watch.said(text)

    def moved(self, done: int, total: int | None) -> None:
        self._watch.moved(*self._standing())


@contextmanager
def making(downloads: Path, name: str, waiting: Waiting) -> Generator[None]:
    """Nobody else makes a model of this name from a checkpoint during the block."""
    key = hashlib.sha256(f"making {name.lower()}".encode()).hexdigest()

    def looking(first: bool) -> None:
        if first:
            waiting.said(f"another process is making `{name}`: waiting for it")
        waiting.moved(0, None)

    with turn(Places(downloads, key), looking):
        yield
