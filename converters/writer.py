"""Writes a file that is whole or absent: a locked `.partial` beside the target, fsync, rename.

Pieces go to known offsets, from any thread. The lock dies with its process, so what a killed run left is
taken over by the next one and never piles up. Knows nothing of GGUF but the layout of its header.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import struct
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from converters.disk import is_at, lacks_entries, lock, sync_folder
from converters.entries import Entries, packed_text
from converters.errors import OutputError
from converters.ggml import DEFAULT_ALIGNMENT, MAGIC, VERSION, TensorType, padded

_ROOM: Final = 1 << 20
"""Bytes that must stay free beside the file itself."""


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """What a GGUF header says of a tensor; `shape` as torch counts, `offset` from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    offset: int
    nbytes: int


def pack_header(entries: Entries, tensors: Sequence[PlacedTensor]) -> bytes:
    """The bytes before the data, filled up to the alignment."""
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(entries)), entries.pack()]
    for tensor in tensors:
        dimensions = _dimensions(tensor.shape)
        rank = len(dimensions)
        parts.append(packed_text(tensor.name))
        parts.append(struct.pack(f"<I{rank}QIQ", rank, *dimensions, tensor.kind.id, tensor.offset))
    header = b"".join(parts)
    return header.ljust(padded(len(header), DEFAULT_ALIGNMENT), b"\0")


def _dimensions(shape: Sequence[int]) -> tuple[int, ...]:
    """As ggml counts, row length first; it knows no dimensions of one element at the end."""
    dimensions = tuple(reversed(shape))
    while len(dimensions) > 1 and dimensions[-1] == 1:
        dimensions = dimensions[:-1]
    return dimensions


class OutputFile:
    """A file of `size` bytes under construction; leaving the block without `commit()` removes every trace."""

    def __init__(self, target: Path, size: int) -> None:
        # A link stays a link, and what it points to is written.
        self.target = Path(os.path.realpath(target))
        self.size = size
        self._partial = self.target.with_name(f".{self.target.name}.partial")
        self._descriptor = -1
        self._write_lock = threading.Lock()

    def __enter__(self) -> OutputFile:
        check_target(self.target)
        try:
            self._descriptor = self._open_locked()
        except OSError as error:
            raise self._failure(error) from error
        try:
            self._check_room()
            os.truncate(self._descriptor, self.size)
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise self._failure(error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            self._discard()

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Puts `data` at `offset`, in bytes from the start; safe from several threads."""
        view = memoryview(data).cast("B")
        try:
            while view:
                written = self._write_once(view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        """Makes the file appear under its name, with all of its bytes on the disk."""
        try:
            os.fsync(self._descriptor)
            if sys.platform == "win32":  # An open file cannot be renamed there.
                os.close(self._descriptor)
                self._descriptor = -1
            self._partial.replace(self.target)
            self._close()
            sync_folder(self.target.parent)
        except OSError as error:
            raise self._failure(error) from error

    def _open_locked(self) -> int:
        """The partial file, ours alone."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        while True:
            descriptor = os.open(self._partial, flags, 0o666)
            if not lock(descriptor):
                os.close(descriptor)
                message = f"`{self.target}` is being written by another conversion"
                raise OutputError(message, hint="wait for it, or give another name with -o", busy=True)
            # Its former owner may have renamed or removed it between our opening and our locking.
            if is_at(self._partial, descriptor):
                os.truncate(descriptor, 0)
                return descriptor
            os.close(descriptor)

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.target.parent).free
        missing = self.size + _ROOM - free
        if missing > 0:
            raise self._no_room(free, missing)

    def _write_once(self, view: memoryview, offset: int) -> int:
        if sys.platform != "win32":
            return os.pwrite(self._descriptor, view, offset)
        with self._write_lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.write(self._descriptor, view)

    def _no_room(self, free: int, missing: int) -> OutputError:
        sizes = f"{_megabytes(self.size + _ROOM)} MB, and the disk has {_megabytes(free)} MB free"
        hint = f"free {_megabytes(missing)} MB"
        return OutputError(f"`{self.target}` needs {sizes}", hint=hint, missing_bytes=missing)

    def _failure(self, error: OSError) -> OutputError:
        message = f"`{self.target}` cannot be written: {error.strerror or error}"
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            return OutputError(message)
        free = shutil.disk_usage(self.target.parent).free + self._held()
        missing = self.size + _ROOM - free
        if missing > 0:
            return self._no_room(free, missing)
        if lacks_entries(self.target.parent):
            message = f"`{self.target}` cannot be written: the disk has no room for 1 more file"
            return OutputError(message, hint="remove a file", missing_bytes=0)
        # A quota, which no system call tells the rest of.
        message = f"`{self.target}` takes {_megabytes(self.size)} MB and cannot be written: {error.strerror}"
        return OutputError(message, hint="free some", missing_bytes=self.size)

    def _held(self) -> int:
        """Bytes of the disk that the partial file has taken, and gives back."""
        if sys.platform == "win32" or self._descriptor < 0:
            return 0
        return os.fstat(self._descriptor).st_blocks * 512

    def _discard(self) -> None:
        if sys.platform == "win32":
            self._close()
        with contextlib.suppress(OSError):
            self._partial.unlink()
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def check_target(target: Path) -> None:
    """OutputError for a place where no file can be, or where another kind of file would be lost."""
    if not target.parent.is_dir():
        what = "is not a folder" if target.parent.exists() else "does not exist"
        raise OutputError(f"`{target.parent}` {what}", hint="make that folder first, or write elsewhere")
    if target.exists() and not target.is_file():
        raise OutputError(f"`{target}` exists and is not a file", hint="give another name with -o")
    if _is_something_else(target):
        hint = "give another name with -o, or remove it first"
        raise OutputError(f"`{target}` exists and is no GGUF file: it stays as it is", hint=hint)


def _megabytes(size: int) -> str:
    return f"{-(-size // 1_000_000):,}"


def _is_something_else(path: Path) -> bool:
    """Whether a file stands there that is neither empty nor a GGUF: a mistyped -o must not cost a checkpoint."""
    try:
        with path.open("rb") as file:
            return file.read(4) not in (b"", b"GGUF")
    except OSError:
        return False
