"""What was evaluated, on the disk: the state of a context after a prefix, so that no later process evaluates it again.

llama.cpp verifies nothing of a state, and a truncated one ends the process: each lies in an envelope of ours, and not
a byte of it is handed on before all of them were found right. Knows nothing of llama.cpp: a state is bytes.

A file is the header (magic, key, number of tokens, bytes of the state, seconds that evaluating took, digest), the
tokens as 32-bit integers, and the state. The digest, BLAKE2b of 32 bytes, covers all but itself. Its name says what it
is of: the tokens, or a session, of which only the latest state is kept.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import stat
import struct
import time
import uuid
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.machine import MOST_TOKENS

_MAGIC = b"qwen3 prefix 1\n\0"
_HEADER = struct.Struct("<16s32sIQd32s")
_SUFFIX = ".prefix"
_READ = 500e6
"""Bytes a second that reading and verifying take at least on the disks that people have."""
_STALE_S = 86_400.0
_LONGEST_S = 1e9
"""More than any evaluation takes."""
_SESSION = "session-"


def _plenty() -> int:
    return 1 << 62


@dataclass(frozen=True)
class Keeping:
    """Where states are kept, and how many bytes all may take; those that were not used for longest go first.

    `memory` tells how many bytes of main memory are free.
    """

    folder: Path
    limit: int
    memory: Callable[[], int] = _plenty


@dataclass(frozen=True)
class Stored:
    """A state on the disk: `tokens` that it is of, `seconds` that evaluating them took, its `size` in bytes."""

    path: Path
    tokens: array[int]
    seconds: float
    size: int
    used: float

    @property
    def session(self) -> str:
        """The mark of the session that it is of; "" for what other conversations begin with, too."""
        mark = self.path.stem.partition("-")[2]
        return mark if mark.startswith(_SESSION) else ""


class PrefixFiles:
    """The states of one model with one set of parameters, which `key` stands for, in a folder of many."""

    def __init__(self, keeping: Keeping, key: bytes) -> None:
        self._folder = keeping.folder
        self._limit = keeping.limit
        self._memory = keeping.memory
        self._key = hashlib.sha256(key).digest()

    def longest(
        self, prompt: Sequence[int], most: int = MOST_TOKENS, held: int = 0
    ) -> tuple[Stored, int] | None:
        """The state of at most so many tokens that has most of `prompt` at its beginning, and how many these are.

        None when there is none, or when reading it would take longer than evaluating does what is more than `held`.
        """
        wanted, best = array("i", prompt), None
        for path in self._folder.glob(f"{self._key.hex()[:16]}-*{_SUFFIX}"):
            stored = _head(path, self._key)
            if stored is None or len(stored.tokens) > most:
                continue
            common = common_prefix(stored.tokens, wanted)
            saved = stored.seconds * (common - held) / len(stored.tokens)
            # Of two that have the same, the one that is read faster.
            if _pays(saved, stored.size) and (
                best is None or (common, -stored.size) > (best[1], -best[0].size)
            ):
                best = stored, common
        return best

    def read(self, stored: Stored) -> memoryview | None:
        """The verified state, writable and private to this process; None, and the file gone, if it is damaged.

        None, too, if another process has put another state in its place since.
        """
        try:
            with stored.path.open("rb") as file:
                whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except (OSError, ValueError):
            return None
        if _is_another(whole, stored):
            return None
        start = _HEADER.size + 4 * len(stored.tokens)
        is_whole = len(whole) == start + stored.size
        if not is_whole or _digest(whole[: _HEADER.size - 32], whole[_HEADER.size :]) != _noted(whole):
            with suppress(OSError):
                stored.path.unlink()
            return None
        with suppress(OSError):
            # Where nothing can be written, nothing is thrown out, either.
            os.utime(stored.path)
        return whole[start:]

    def of_session(self, session: str) -> Stored | None:
        """What is kept of a session."""
        return _head(self._path((), session), self._key)

    def wants(self, tokens: Sequence[int], size: int, seconds: float, session: str | None = None) -> bool:
        """Whether a state of so many bytes, which took so long to evaluate, would be kept: ask before making one.

        As large as it is in memory, too, while it is written, it is not made where that leaves little.
        """
        whole = size + 4 * len(tokens) + _HEADER.size
        if not _pays(seconds, size) or whole > self._limit or 2 * whole > self._memory():
            return False
        stored = _head(self._path(tokens, session), self._key)
        return stored is None or stored.tokens != array("i", tokens)

    def _path(self, tokens: Sequence[int], session: str | None) -> Path:
        digest = hashlib.sha256(array("i", tokens).tobytes()).hexdigest()[:24]
        name = digest if session is None else mark_of(session)
        return self._folder / f"{self._key.hex()[:16]}-{name}{_SUFFIX}"

    def write(
        self, tokens: Sequence[int], state: memoryview, seconds: float, session: str | None = None
    ) -> None:
        """Keep a state, and make room for it; does nothing where it would not pay. Raises `OSError`.

        That of a `session` takes the place of any earlier one, whatever model that was of.
        """
        if not self.wants(tokens, len(state), seconds, session):
            return
        ids, path = array("i", tokens), self._path(tokens, session)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free < 2 * (len(state) + 4 * len(ids) + _HEADER.size):
            return
        head = _HEADER.pack(_MAGIC, self._key, len(ids), len(state), seconds, bytes(32))[:-32]
        # It has the same in it, and where the process is killed it is what is left.
        whose = f"{mark_of(session)}-" if session is not None else ""
        fresh = self._folder / f".{whose}{uuid.uuid4().hex}.tmp"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in (head, _digest(head, ids.tobytes(), state), ids.tobytes(), state):
                    file.write(part)
            fresh.replace(path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
        if session is not None:
            for other in _of_session(self._folder, session):
                if other != path:
                    other.unlink(missing_ok=True)
        _sweep(self._folder, self._limit)


def mark_of(session: str) -> str:
    """What stands for a session in the names of files: anybody may list them, and it is a person's words."""
    return _SESSION + hashlib.sha256(session.encode()).hexdigest()[:24]


def _of_session(folder: Path, session: str) -> list[Path]:
    return [*folder.glob(f"*-{mark_of(session)}{_SUFFIX}")]


def forget(folder: Path, session: str) -> None:
    """Remove what is kept of a session, which nobody is writing. Raises `OSError`."""
    for path in [*_of_session(folder, session), *folder.glob(f".{mark_of(session)}-*.tmp")]:
        path.unlink(missing_ok=True)


def stored_in(folder: Path) -> list[Stored]:
    """All states in a folder, the one used last first."""
    found = [_head(path) for path in folder.glob(f"*{_SUFFIX}")]
    return sorted((one for one in found if one is not None), key=lambda one: -one.used)


def clear(folder: Path) -> None:
    """Remove all states in a folder, whatever is wrong with them. Raises `OSError`."""
    for path in [*folder.glob(f"*{_SUFFIX}"), *folder.glob(".*.tmp")]:
        if not path.is_dir():
            path.unlink(missing_ok=True)


def _head(path: Path, key: bytes | None = None) -> Stored | None:
    """What the beginning of a file says; None for one that is not ours or no longer there."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        with path.open("rb") as file:
            magic, made_for, count, size, seconds, _ = _HEADER.unpack(file.read(_HEADER.size))
            if magic != _MAGIC or (key is not None and made_for != key) or not count:
                return None
            # Before anything of the size that it claims is read.
            if status.st_size != _HEADER.size + 4 * count + size or not 0 <= seconds < _LONGEST_S:
                return None
            tokens = array("i", file.read(4 * count))
    except (OSError, ValueError, struct.error):
        return None
    return Stored(path, tokens, seconds, size, status.st_mtime) if len(tokens) == count else None


def _is_another(whole: memoryview, stored: Stored) -> bool:
    """Whether a file is a state of other tokens: a session's may be replaced at any time, by one of the same size."""
    if len(whole) < _HEADER.size:
        return False
    _, _, count, size, _, _ = _HEADER.unpack_from(whole)
    ids = whole[_HEADER.size : _HEADER.size + 4 * count]
    return len(whole) == _HEADER.size + 4 * count + size and bytes(ids) != stored.tokens.tobytes()


def _noted(whole: memoryview) -> bytes:
    """The digest that a header notes."""
    return _HEADER.unpack_from(whole)[-1]


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _pays(seconds: float, size: int) -> bool:
    return seconds > size / _READ


def _sweep(folder: Path, limit: int) -> None:
    """Keep the states that were used last, as many as the limit takes, and nothing that a killed process left."""
    left, now = limit, time.time()
    # A clock that was put back has left some that would be the latest for long.
    for stored in sorted(stored_in(folder), key=lambda one: one.used > now + _STALE_S):
        left -= _HEADER.size + 4 * len(stored.tokens) + stored.size
        if left < 0:
            with suppress(OSError):
                stored.path.unlink()
    torn = [path for path in folder.glob(f"*{_SUFFIX}") if _head(path) is None]
    for path in [*torn, *folder.glob(".*.tmp")]:
        with suppress(OSError):
            if now - path.stat().st_mtime > _STALE_S:
                path.unlink()
