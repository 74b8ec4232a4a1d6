"""Files that belong to one user (0600), written whole or not at all, by several processes at once.

It knows nothing of what is in them. No link is followed in the place of a file, and nothing but a regular file is
read, so that a named pipe hangs nobody. Whoever calls translates the `OSError`s.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_MODE = 0o600
_NOWHERE = 1 << 40
"""A place in a file at which nothing is ever written: Windows lets nobody read what another process has locked."""


def make_folder(folder: Path) -> None:
    """Make a folder that only the user may look into; one that is there stays as it is."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def read_private(path: Path, limit: int) -> bytes:
    """What is in a regular file; raises `ValueError` for what is none, or is longer than `limit` bytes."""
    descriptor = os.open(path, os.O_RDONLY | _NO_LINK | _BINARY | _AT_ONCE)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Put a file in place of whatever has this name, at once or not at all."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    make_folder(path.parent)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a regular file, which `flags` may make; raises `OSError` for what is none."""
    descriptor = os.open(path, flags | _NO_LINK | _BINARY | _AT_ONCE, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor


def append_line(path: Path, line: bytes) -> None:
    """Add one line to a log, whole or not at all; what a killed process left of its last line stays one of its own."""
    make_folder(path.parent)
    descriptor = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        lock(descriptor)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line + b"\n"
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                # The disk is full: the next write says so.
                os.write(descriptor, data[written:])
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path) -> Generator[None]:
    """No other process is in a block for the same `path` meanwhile; reading and writing again belong into one."""
    make_folder(path.parent)
    mark = path.with_name(f".{path.name}.lock")
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | _NO_LINK, _MODE)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Take a file until it is closed; False if another process has it. Some file systems have no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _NOWHERE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Make new names in a folder outlast a power cut; Windows does without."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
