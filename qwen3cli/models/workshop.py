"""Where the store makes and unmakes models: one process at a time, and nothing that a kill could leave half.

A model under construction is a folder `.unfinished-ID` beside a locked file `.unfinished-ID.lock`. Locks die with
their process, so whatever is not locked is rubbish, and the next one to work here sweeps it up.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from converters.disk import lacks_entries, lock
from qwen3cli.errors import NotEnough, QwenError, is_disk_full

_UNFINISHED = ".unfinished-"
_LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """No other process changes `folder` during the block, which must be short; system errors become ours."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def unfinished(folder: Path) -> Generator[Path]:
    """A new folder inside `folder`, for files under construction; what is left in it at the end is removed."""
    with alone(folder):
        sweep(folder)
        fresh = _new_place(folder)
        mark = Path(f"{fresh}{_LOCK}")
        descriptor = os.open(mark, os.O_RDWR | os.O_CREAT, 0o666)
        lock(descriptor)
        fresh.mkdir()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        os.close(descriptor)
        mark.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a folder in one step as far as others can see; of a link only the link. Call it while alone."""
    if path.is_symlink():
        path.unlink()
        return
    gone = _new_place(path.parent)
    path.rename(gone)
    shutil.rmtree(gone)


def sweep(folder: Path) -> None:
    """Remove what killed processes left. Call it while alone."""
    for mark in folder.glob(f"{_UNFINISHED}*{_LOCK}"):
        try:
            descriptor = os.open(mark, os.O_RDWR)
        except FileNotFoundError:  # Its owner has just finished.
            continue
        try:
            if lock(descriptor):
                shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
                mark.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    for path in folder.glob(f"{_UNFINISHED}*"):
        if path.suffix != _LOCK and not Path(f"{path}{_LOCK}").exists():
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def translated(place: Path) -> Generator[None]:
    """Raises the system's errors as ours."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, place) from None


def storage_error(error: OSError, place: Path) -> QwenError:
    """What a failed read or write in the home folder means to a person."""
    if is_disk_full(error):
        return _full(place)
    return QwenError(
        f"{place} cannot be used: {error.strerror or error}",
        "set `QWEN3_HOME` to a folder that you may read and write",
    )


def _full(place: Path) -> NotEnough:
    """What is missing on the disk of `place`. Weights have their own sentence: here it is a small file of ours."""
    there = next(path for path in (place, *place.parents) if path.is_dir())
    disk = f"the disk that holds {place}"
    if lacks_entries(there):
        return NotEnough(f"{disk} has no room for 1 more file", "remove some there, or set `QWEN3_HOME`")
    free = f"{disk} is full: it has {shutil.disk_usage(there).free / 1000:,.0f} kB free"
    return NotEnough(free, "free 1 MB there, or set `QWEN3_HOME`")


def _new_place(folder: Path) -> Path:
    return folder / f"{_UNFINISHED}{uuid.uuid4().hex[:12]}"
