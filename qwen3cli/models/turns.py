"""Whose turn it is with the files of a key: one process at a time, and a lock dies with its process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from converters.disk import is_at, lock
from qwen3cli.models.partial import Places
from qwen3cli.models.workshop import is_used, open_lock, translated

_LOOK_S: Final = 0.5
"""How often the progress of another process is looked at."""


@contextmanager
def turn(places: Places, looking: Callable[[bool], None]) -> Generator[None]:
    """Nobody else has the lock of these places during the block; `looking` is called while another process has it.

    It is told whether it is the first time.
    """
    with translated(places.folder):
        places.folder.mkdir(parents=True, exist_ok=True)
    first = True
    while (descriptor := _locked(places)) is None:
        looking(first)
        first = False
        time.sleep(_LOOK_S)
    try:
        yield
    finally:
        _unlock(places, descriptor)


def discard_key(folder: Path, key: str, *, until: float = float("inf")) -> None:
    """Drops what is under a key, unless somebody is fetching it, or has done so after the time `until`."""
    places = Places(folder, key)
    if folder.is_dir() and (descriptor := _locked(places)) is not None:
        if places.touched() <= until and not is_used(folder, places["whole"]):
            places.clear()
        _unlock(places, descriptor)


def _locked(places: Places) -> int | None:
    """A descriptor that holds the lock; None while another process has it."""
    with translated(places.folder):
        while True:
            descriptor = open_lock(places["lock"])
            if not lock(descriptor):
                os.close(descriptor)
                return None
            # Its former owner may have removed it between our opening and our locking.
            if is_at(places["lock"], descriptor):
                return descriptor
            os.close(descriptor)


def _unlock(places: Places, descriptor: int) -> None:
    with suppress(OSError):
        places["lock"].unlink()
    os.close(descriptor)
