"""Locks that die with their process, renames that outlast a power cut, and what a full disk lacks."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Takes the file until it is closed; False if another has it. Some file systems have no locks."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def means_nothing(path: Path) -> bool:
    """Whether the lock of a file that this process holds keeps nobody out: there are file systems without locks."""
    if sys.platform == "win32":
        return False
    descriptor = os.open(path, os.O_RDWR)
    try:
        return lock(descriptor)
    finally:
        os.close(descriptor)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Makes a rename outlast a power cut; Windows does without."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def lacks_entries(folder: Path) -> bool:
    """Whether the disk of `folder` has no room for one more file, however small; some disks do not count them."""
    if sys.platform == "win32":
        return False
    room = os.statvfs(folder)
    return room.f_files > 0 and room.f_favail == 0
