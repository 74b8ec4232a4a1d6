"""A file under transfer as it lies on the disk, so that any process can continue it.

For a KEY there are `KEY.part`, the bytes that came, each at its place; `KEY.map`, a line of JSON that says of what
they are bytes, and then the CRC-32 of each chunk that is there, written after the chunk; `KEY.whole` once the file
is whole and verified, with its SHA-256 in `KEY.sum` if no listing has one; and `KEY.bad`, the last file that was not
what it should be. A kill costs what has come of the chunks that were under way. After a power cut a chunk may be
missing that the map has: its CRC tells.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import threading
import zlib
from array import array
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from converters.disk import sync_folder
from qwen3cli.errors import NotEnough, is_disk_full
from qwen3cli.models.room import megabytes
from qwen3cli.models.workshop import read_whole, storage_error, write_whole

CHUNK: Final = 1 << 20
_NOTE: Final = re.compile(r"sha256:[0-9a-f]{64}(?: unchecked)?")
_HEADER: Final = 16384
"""Bytes of a map before its sums, which must not move."""
_ROOM: Final = 1 << 20
"""Bytes that must stay free beside the file itself."""
_FLAGS: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Version:
    """Of what the bytes are bytes: `place` is the URL without secrets, `stamp` an etag or a date of change.

    `digest` is what the server itself says the whole should have, as `md5:HEX` or `sha256:HEX`.
    """

    name: str
    place: str
    size: int
    stamp: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Places:
    """Where the files of a KEY are."""

    folder: Path
    key: str

    def __getitem__(self, kind: str) -> Path:
        """The file of that kind: `part`, `map`, `whole`, `sum`, `bad` or `lock`."""
        return self.folder / f"{self.key}.{kind}"

    def held(self) -> int:
        """Bytes of the file that have come; chunks under way do not count."""
        with suppress(OSError):
            return self["whole"].stat().st_size
        with suppress(OSError):
            read = _read_map(self["map"].read_bytes())
            if read:
                version, sums = read
                return sum(min(CHUNK, version.size - n * CHUNK) for n, value in enumerate(sums) if value)
        return 0

    def touched(self) -> float:
        """When bytes of the file came last, in seconds since 1970; 0 if none are there."""
        latest = 0.0
        for kind in ("part", "whole"):
            with suppress(OSError):
                latest = max(latest, self[kind].stat().st_mtime)
        return latest

    def remember(self, note: str) -> None:
        """Keep what is known of a file that will be whole: its SHA-256, where no listing tells."""
        with _translated(self):
            fresh = self.folder / f"{self.key}.sum.new"
            fresh.unlink(missing_ok=True)
            write_whole(fresh, note.encode("ascii"))
            fresh.replace(self["sum"])

    def remembered(self) -> str:
        """What was kept; nothing if that was not written to its end, or not by us."""
        try:
            note = read_whole(self["sum"], 200)
        except (OSError, ValueError):
            return ""
        return note if _NOTE.fullmatch(note) else ""

    def clear(self, *kinds: str) -> None:
        """Removes files, by default all but the lock; the map goes first: without it, the part is rubbish."""
        for kind in kinds or ("map", "part", "whole", "sum", "sum.new", "bad"):
            with _translated(self):
                self[kind].unlink(missing_ok=True)


class Partial:
    """The chunks of a file that are there. May be used from several threads; after `close` nothing is written."""

    def __init__(self, places: Places, version: Version, sums: array[int], part: int, map_file: int) -> None:
        self.version = version
        self._places = places
        self._sums = sums
        self._part = part
        self._map = map_file
        self._busy = threading.Lock()

    @classmethod
    def begin(cls, places: Places, version: Version) -> Partial:
        """A new one, of which nothing is there. Raises `NotEnough` before anything is written."""
        places.clear()
        check_room(places, version)
        sums = array("I", bytes(4 * _chunks(version.size)))
        with _translated(places, version):
            header = json.dumps(asdict(version)).encode()
            part = os.open(places["part"], _FLAGS | os.O_CREAT, 0o666)
            map_file = -1
            try:
                os.truncate(part, version.size)
                map_file = os.open(places["map"], _FLAGS | os.O_CREAT, 0o666)
                _write(map_file, header.ljust(_HEADER - 1) + b"\n" + sums.tobytes(), 0)
            except BaseException:
                _close(part, map_file)
                raise
        return cls(places, version, sums, part, map_file)

    @classmethod
    def resume(cls, places: Places) -> Partial | None:
        """The one that another run has left; None if there is none, or none that can be used."""
        part = map_file = -1
        try:
            part, map_file = os.open(places["part"], _FLAGS), os.open(places["map"], _FLAGS)
            read = _read_map(places["map"].read_bytes())
            if read and os.fstat(part).st_size == read[0].size:
                return cls(places, read[0], read[1], part, map_file)
        except OSError as error:
            # Anything else may pass, and what came would be lost.
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                _close(part, map_file)
                raise storage_error(error, places.folder) from None
        _close(part, map_file)
        return None

    @property
    def chunks(self) -> int:
        """How many there are when it is whole."""
        return len(self._sums)

    def has(self, chunk: int) -> bool:
        """Whether it is there."""
        return self._sums[chunk] != 0

    def gap(self, most: int | None) -> tuple[int, int] | None:
        """The first bytes that are missing, begin and end, of at most so many chunks."""
        first = next((n for n, value in enumerate(self._sums) if not value), None)
        if first is None:
            return None
        end = self.chunks if most is None else min(first + most, self.chunks)
        last = next((n for n in range(first, end) if self._sums[n]), end)
        return first * CHUNK, min(last * CHUNK, self.version.size)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Puts bytes at their place."""
        with self._busy, _translated(self._places, self.version):
            if self._part >= 0:
                _write(self._part, data, offset)

    def mark(self, chunk: int, crc: int) -> None:
        """Remembers that the chunk is there, all of it, and its CRC-32."""
        self._remember(chunk, crc or 1)

    def forget(self, chunk: int) -> None:
        """Takes the chunk for missing."""
        self._remember(chunk, 0)

    def read(self, chunk: int) -> bytes | None:
        """The chunk as the disk has it; None if that is not what was written."""
        length = min(CHUNK, self.version.size - chunk * CHUNK)
        with _translated(self._places, self.version), self._places["part"].open("rb", buffering=0) as file:
            file.seek(chunk * CHUNK)
            data = bytearray()
            while len(data) < length and (more := file.read(length - len(data))):
                data += more
        return bytes(data) if self._sums[chunk] == (zlib.crc32(data) or 1) else None

    def commit(self) -> Path:
        """Makes it the whole file, with all of its bytes on the disk."""
        places = self._places
        with _translated(places, self.version):
            os.fsync(self._part)
            self.close()  # An open file cannot be renamed everywhere.
            places["part"].replace(places["whole"])
            sync_folder(places.folder)
        places.clear("map", "bad")
        return places["whole"]

    def spoil(self) -> Path:
        """Puts it aside as wrong; of wrong files only the latest is kept."""
        self.close()
        with _translated(self._places):
            for old in self._places.folder.glob("*.bad"):
                old.unlink(missing_ok=True)
            self._places["part"].replace(self._places["bad"])
        self._places.clear("map")
        return self._places["bad"]

    def close(self) -> None:
        """Ends it; what is there stays for the next one."""
        with self._busy:
            _close(self._part, self._map)
            self._part = self._map = -1

    def _remember(self, chunk: int, value: int) -> None:
        with self._busy, _translated(self._places, self.version):
            if self._map >= 0:
                _write(self._map, value.to_bytes(4, sys.byteorder), _HEADER + 4 * chunk)
                self._sums[chunk] = value


def check_room(places: Places, version: Version) -> None:
    """Raises `NotEnough` with both figures if the disk has no room for what is missing."""
    free = shutil.disk_usage(places.folder).free
    need = version.size - _taken(places) + _ROOM
    if need > free:
        raise _shortage(places, version.name, need, free)


@contextmanager
def _translated(places: Places, version: Version | None = None) -> Generator[None]:
    """Raises the system's errors as ours."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error) or version is None:
            raise storage_error(error, places.folder) from None
        free = shutil.disk_usage(places.folder).free
        need = max(version.size - _taken(places) + _ROOM, free + 1)
        raise _shortage(places, version.name, need, free) from None


def _shortage(places: Places, name: str, need: int, free: int) -> NotEnough:
    disk = f"the disk that holds {places.folder} has {megabytes(free)} MB free"
    hint = f"free {megabytes(need - free)} MB and run the same command again, or set `QWEN3_HOME`"
    return NotEnough(f"`{name}` needs {megabytes(need)} MB more, and {disk}", hint)


def _taken(places: Places) -> int:
    """Bytes of the disk that the part has taken already."""
    with suppress(OSError, AttributeError):
        return places["part"].stat().st_blocks * 512
    return 0


def _chunks(size: int) -> int:
    return -(-size // CHUNK)


def _read_map(data: bytes) -> tuple[Version, array[int]] | None:
    """What a map says; None if it was not written to its end, or not by us."""
    try:
        found: Any = json.loads(data[:_HEADER])
        version = Version(**found)
        *texts, size = (found[key] for key in ("name", "place", "stamp", "digest", "size"))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not all(isinstance(text, str) for text in texts) or type(size) is not int or size < 0:
        return None
    if len(data) != _HEADER + 4 * _chunks(version.size):
        return None
    return version, array("I", data[_HEADER:])


def _write(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        if sys.platform == "win32":
            os.lseek(descriptor, offset, os.SEEK_SET)
            written = os.write(descriptor, view)
        else:
            written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
