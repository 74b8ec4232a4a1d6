"""The journal of a session: a file to which records are only ever added, a line of JSON each.

What was written before the program ended, however it did, is there afterwards; a line that was not written to its end
is dropped. What the records mean is `records`' business.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast

from qwen3cli.errors import InvalidFile, NotEnough, QwenError, is_disk_full
from qwen3cli.private import is_at, lock, make_folder, open_private, sync_folder
from qwen3cli.sessions.names import SUFFIX, made_up
from qwen3cli.sessions.records import Record, Replay, Unknown, changes
from qwen3cli.sessions.snapshot import Snapshot

_LONGEST = 32 << 20
"""Bytes of a line: more than the text that any context holds."""
_FIRST = b'{"kind": "session"'
"""What a journal begins with, as far as it was written."""
_ADDING = os.O_RDWR | os.O_APPEND | os.O_CREAT


@dataclass(frozen=True)
class Contents:
    """What a journal holds: `snapshot` is None where no record was ever written whole.

    `end` is where its last whole record ends, `torn` whether something comes after that.
    """

    snapshot: Snapshot | None
    end: int
    torn: bool


def read_journal(path: Path) -> Contents:
    """Read a journal, which may be written meanwhile; raises `InvalidFile` for what is none, and `OSError`."""
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        return _contents(file, path)


def _contents(file: BinaryIO, path: Path) -> Contents:
    replay, end, bad = Replay(), 0, 0
    for number, line in enumerate(_lines(file), 1):
        record = _parsed(line)
        if record is None:
            # A power cut may have left zeros.
            if number == 1 and not _FIRST.startswith(line[: len(_FIRST)].rstrip(b"\0")):
                raise _damaged(path, 1, "it does not begin as a session does")
            bad = bad or number
        elif bad:
            # What follows was written after it, so it is no end that was not written whole.
            raise _damaged(path, bad, "it is no record")
        else:
            try:
                replay.take(record)
            except Unknown as error:
                raise InvalidFile(
                    f"the session `{path.stem}` was written by a later version of this program: {error}",
                    "a newer qwen3 can read it",
                ) from None
            except ValueError as error:
                raise _damaged(path, number, str(error)) from None
            end += len(line)
    return Contents(replay.snapshot, end, bad > 0)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines, each with its end; what is longer than any of ours comes in pieces."""
    while line := file.readline(_LONGEST):
        yield line


def _parsed(line: bytes) -> Record | None:
    """The object that a line is; None for what is no whole line of one."""
    if not line.endswith(b"\n"):
        return None
    try:
        value: object = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _damaged(path: Path, line: int, reason: str) -> InvalidFile:
    return InvalidFile(
        f"the session `{path.stem}` is damaged at line {line:,}: {reason}",
        f"mend {path}, or remove it with `qwen3 sessions rm {shlex.quote(path.stem)}`",
    )


@dataclass(frozen=True)
class _Book:
    """How far the file has come: one value, so that no interruption leaves it half changed.

    `known` is what the file says with `pending`, the lines that are still to be written; `size` is its length in bytes.
    """

    known: Snapshot | None = None
    pending: tuple[bytes, ...] = ()
    size: int = 0


class Journal:
    """The journal of one conversation, as long as it runs; meanwhile no other process can add to it.

    A conversation must not end for its journal: what cannot be written is kept, and tried again.
    """

    def __init__(self, folder: Path) -> None:
        """One that gets its file, and a name that is made up, with the first answer."""
        self._folder = folder
        self.before: Snapshot | None = None
        """What was said earlier, as one can go on with it; None where nothing was."""
        self.used = 0.0
        """When that was, as of `time.time`."""
        self._notices: list[str] = []
        self._name = ""
        self._wanted = False
        """Whether somebody has asked for this session, and has to know if it is not there in the end."""
        self._book: _Book = _Book()
        self._descriptor = -1
        self._is_new = self._unsynced = False
        self._trouble: OSError | None = None

    @classmethod
    def open(cls, folder: Path, name: str) -> Journal:
        """That of a session, which may be new; raises a `QwenError` if it is open elsewhere, or cannot be used."""
        journal = cls(folder)
        journal._wanted = True
        try:
            make_folder(folder)
            journal._take(name, _ADDING)
            journal._read()
        except OSError as error:
            journal._release()
            raise unusable(name, error) from None
        except BaseException:
            journal._release()
            raise
        return journal

    @property
    def name(self) -> str | None:
        """What it is called; None as long as it has no file."""
        return self._name if self._descriptor >= 0 else None

    def notices(self) -> list[str]:
        """What the person should know since this was asked last."""
        told, self._notices = self._notices, []
        return told

    def follow(self, now: Snapshot) -> None:
        """Write down what has changed; a message can wait for its answer, and all can for the first one."""
        book = self._book
        waits = bool(now.messages) and now.messages[-1].role == "user"
        if waits or (book.known is None and not now.messages):
            return
        time = datetime.now(timezone.utc).isoformat(timespec="seconds")
        # ASCII: nothing in it can end a line, or steer a terminal that shows the file.
        lines = [f"{json.dumps({**one, 'time': time})}\n".encode() for one in changes(book.known, now)]
        self._book = replace(book, known=now, pending=(*book.pending, *lines))
        self._write()

    def sync(self) -> None:
        """Have the disk confirm all that was written."""
        self._write()
        if not self._unsynced:
            return
        try:
            os.fsync(self._descriptor)
            if self._is_new:
                sync_folder(self._folder)
        except OSError as error:
            self._fail(error)
        else:
            self._is_new = self._unsynced = False

    def close(self) -> None:
        """End it; a session in which nothing was ever said leaves no file.

        Raises a `QwenError` if the end of a session that somebody asked for could not be written.
        """
        self.sync()
        lost, name = self._wanted and self._trouble is not None, self._name
        self._release()
        if lost and self._trouble is not None:
            raise unusable(name, self._trouble)

    def _take(self, name: str, flags: int) -> None:
        """Open the file, and have it for ourselves."""
        self._name, path = name, path_of(self._folder, name)
        while True:
            descriptor = open_private(path, flags)
            if not lock(descriptor, wait=False):
                os.close(descriptor)
                raise in_use(name)
            # Its former owner may have removed it between our opening and our locking.
            if is_at(path, descriptor):
                break
            os.close(descriptor)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.used = status.st_mtime
        if status.st_mode & 0o077:
            path.chmod(0o600)

    def _read(self) -> None:
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            found = _contents(file, path_of(self._folder, self._name))
        self._book, self._is_new = _Book(found.snapshot, (), found.end), found.snapshot is None
        if found.torn:
            os.ftruncate(self._descriptor, found.end)
            self._notices.append(
                f"the end of the session `{self._name}` was not written whole, and is left out"
            )
        if found.snapshot is not None:
            self.before = found.snapshot.mended()
            if len(self.before.messages) < len(found.snapshot.messages):
                self._notices.append(
                    f"the last message of the session `{self._name}` was not answered, and is left out"
                )

    def _write(self) -> None:
        """Write what is pending, each record at once."""
        try:
            while self._book.pending:
                self._begin()
                book, line = self._book, self._book.pending[0]
                if os.write(self._descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._unsynced = True
                self._book = replace(book, pending=book.pending[1:], size=book.size + len(line))
        except OSError as error:
            self._fail(error)
        else:
            self._trouble = None

    def _begin(self) -> None:
        """See to it that there is a file, and no part of a record in it that was broken off."""
        if self._descriptor < 0:
            make_folder(self._folder)
            for name in made_up():
                with suppress(FileExistsError):
                    self._take(name, _ADDING | os.O_EXCL)
                    self._is_new = True
                    break
        if os.fstat(self._descriptor).st_size != self._book.size:
            os.ftruncate(self._descriptor, self._book.size)

    def _fail(self, error: OSError) -> None:
        """A person hears of it once, until something can be written again."""
        if self._trouble is None:
            what = f"the session `{self._name}`" if self._name else "this conversation"
            self._notices.append(
                f"{what} cannot be written: {error.strerror or error}; that is tried again after each answer"
            )
        self._trouble = error

    def _release(self) -> None:
        if self._descriptor < 0:
            return
        if not os.fstat(self._descriptor).st_size:
            # Where an open file cannot be removed, an empty one is no session, either.
            with suppress(OSError):
                path_of(self._folder, self._name).unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def path_of(folder: Path, name: str) -> Path:
    """Where the journal of a session is."""
    return folder / f"{name}{SUFFIX}"


def in_use(name: str) -> QwenError:
    """A session that another process is writing."""
    return QwenError(f"the session `{name}` is open in another process", "end that one, or give another name")


def unusable(name: str, error: OSError) -> QwenError:
    """What a failed read or write of a journal means to a person."""
    kind = NotEnough if is_disk_full(error) else QwenError
    hint = (
        "free some space" if kind is NotEnough else "set `QWEN3_HOME` to a folder that you may read and write"
    )
    return kind(f"the session `{name}` cannot be used: {error.strerror or error}", hint)
