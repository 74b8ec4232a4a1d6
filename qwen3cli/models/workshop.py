"""Where the store makes and unmakes models: one process at a time, and nothing that a kill could leave half.

A model under construction is a folder `.unfinished-ID` beside a locked file `.unfinished-ID.lock`. Locks die with
their process, so whatever is not locked is rubbish, and the next one to work here sweeps it up. No link is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from converters.disk import lacks_entries, lock, means_nothing
from qwen3cli.errors import NotEnough, QwenError, is_disk_full

_UNFINISHED = ".unfinished-"
_LOCK = ".lock"
_FORGOTTEN_S = 7 * 86_400
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_READING = os.O_RDONLY | _NO_LINK | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""Opened without waiting: a named pipe in a file's place would hang every listing."""
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """No other process changes `folder` during the block, which must be short; system errors become ours."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = open_lock(folder / _LOCK)
        try:
            lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def unfinished(folder: Path) -> Generator[Path]:
    """A new folder inside `folder`, for files under construction; what is left in it at the end is removed."""
    fresh = _new_place(folder)
    mark = Path(f"{fresh}{_LOCK}")
    with alone(folder):
        sweep(folder)
        descriptor = open_lock(mark)
        try:
            lock(descriptor)
            fresh.mkdir()
        except OSError:
            _leave(fresh, mark, descriptor)
            raise
    try:
        yield fresh
    finally:
        _leave(fresh, mark, descriptor)


def under_construction(folder: Path, inside: str) -> bool:
    """Whether somebody is making something with a part of that name."""
    with translated(folder):
        return any(
            (path / inside).exists() for path in folder.glob(f"{_UNFINISHED}*") if path.suffix != _LOCK
        )


def is_used(folder: Path, file: Path) -> bool:
    """Whether something under construction has a link to a file: of other second names the system takes care."""
    with translated(folder):
        return any(
            path.is_symlink() and path.resolve() == file.resolve()
            for place in folder.glob(f"{_UNFINISHED}*")
            for path in place.rglob("*")
        )


def _leave(fresh: Path, mark: Path, descriptor: int) -> None:
    # What cannot be removed now will be swept up: the outcome of the work stands.
    with suppress(OSError):
        _erase(fresh)
    os.close(descriptor)
    with suppress(OSError):
        mark.unlink(missing_ok=True)


def open_lock(path: Path) -> int:
    """A descriptor of a file to be locked, which is made if need be; raises `OSError` for a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)


def read_whole(path: Path, limit: int) -> str:
    """The text of a small regular file; what is longer than `limit` bytes is cut off.

    Raises `OSError` or `ValueError` for what is no such file.
    """
    descriptor = os.open(path, _READING)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return file.read(limit).decode("utf-8")


def write_whole(path: Path, data: bytes) -> None:
    """Write a new file and have the disk confirm it."""
    descriptor = os.open(path, _MAKING, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(paths: Sequence[Path]) -> None:
    """Remove folders, as far as others can see each in one step, and all or none. Call it while alone."""
    gone: list[tuple[Path, Path]] = []
    try:
        for path in paths:
            place = _new_place(path.parent)
            path.rename(place)
            gone.append((path, place))
    except BaseException:
        for path, place in gone:
            with suppress(OSError):
                place.rename(path)
        raise
    for _, place in gone:
        _erase(place)


def sweep(folder: Path) -> None:
    """Remove what killed processes left, as far as it can be. Call it while alone."""
    for mark in folder.glob(f"{_UNFINISHED}*{_LOCK}"):
        # Its owner may have just finished.
        with suppress(OSError):
            _sweep_unlocked(mark)
    for path in folder.glob(f"{_UNFINISHED}*"):
        if path.suffix != _LOCK and not Path(f"{path}{_LOCK}").exists():
            with suppress(OSError):
                _erase(path)


def sweep_alone(folder: Path) -> None:
    """The same for whoever is not alone yet."""
    with alone(folder):
        sweep(folder)


def _sweep_unlocked(mark: Path) -> None:
    descriptor = os.open(mark, os.O_RDWR | _NO_LINK)
    try:
        if lock(descriptor):
            # Where locks mean nothing, its owner may be at work.
            if means_nothing(mark) and time.time() - os.fstat(descriptor).st_mtime < _FORGOTTEN_S:
                return
            _erase(mark.with_suffix(""))
            mark.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _erase(path: Path) -> None:
    """Remove a folder with all that is in it, or of a link the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def standing(folder: Path) -> Path:
    """The folder, or the one above it that is there already."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _full(place: Path) -> NotEnough:
    """What is missing on the disk of `place`. Weights have their own sentence: here it is a small file of ours."""
    there = standing(place)
    disk = f"the disk that holds {place}"
    if lacks_entries(there):
        return NotEnough(f"{disk} has no room for 1 more file", "remove some there, or set `QWEN3_HOME`")
    free = f"{disk} is full: it has {shutil.disk_usage(there).free / 1000:,.0f} kB free"
    return NotEnough(free, "free 1 MB there, or set `QWEN3_HOME`")


def _new_place(folder: Path) -> Path:
    return folder / f"{_UNFINISHED}{uuid.uuid4().hex[:12]}"
