"""All sessions of a user: which there are, what they hold, and removing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.errors import QwenError, UsageError
from qwen3cli.private import lock, open_private
from qwen3cli.sessions.journal import in_use, path_of, read_journal, unusable
from qwen3cli.sessions.names import SUFFIX, checked, is_name
from qwen3cli.sessions.snapshot import Snapshot


@dataclass(frozen=True)
class Saved:
    """A session as it lies on the disk: when it was `used`, as of `time.time`, and what it holds.

    `snapshot` is None where the file cannot be read, and `problem` says why.
    """

    name: str
    path: Path
    used: float
    snapshot: Snapshot | None
    problem: QwenError | None = None


class SessionFolder:
    """The sessions in a folder, which need not be there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """What there is, the one used last first; what is empty is no session, nor is what has no name of one."""
        found: list[tuple[int, str]] = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                status = path.lstat()
                if status.st_size and is_name(path.stem):
                    found.append((status.st_mtime_ns, path.stem))
        return [name for _, name in sorted(found, reverse=True)]

    def all(self) -> list[Saved]:
        """All of them with what they hold, the one used last first."""
        found = [self._saved(name) for name in self.names()]
        return [one for one in found if one is not None]

    def latest(self) -> str | None:
        """The one used last."""
        return next((one.name for one in map(self._saved, self.names()) if one is not None), None)

    def get(self, name: str) -> Saved:
        """One of them; raises `UsageError` if there is none of that name."""
        usual = checked(name)
        saved = self._saved(usual)
        if saved is None:
            raise _missing(usual)
        return saved

    def there(self, names: Sequence[str]) -> list[str]:
        """Those names in their usual form, each once; raises `UsageError` if there is no session of one."""
        found, listed = list(dict.fromkeys(checked(name) for name in names)), self.names()
        for name in found:
            if name not in listed:
                raise _missing(name)
        return found

    def remove(self, names: Sequence[str], forget: Callable[[str], None]) -> None:
        """Remove sessions, all of them or, if one of them is not there or in use, none.

        `forget` removes what others have of each; it may raise `OSError`.
        """
        found = self.there(names)
        with ExitStack() as opened:
            for name in found:
                self._lock(name, opened)
            for name in found:
                try:
                    forget(name)
                    path_of(self.folder, name).unlink(missing_ok=True)
                except OSError as error:
                    raise unusable(name, error) from None

    def _lock(self, name: str, opened: ExitStack) -> None:
        try:
            descriptor = open_private(path_of(self.folder, name), os.O_RDWR)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unusable(name, error) from None
        opened.callback(os.close, descriptor)
        if not lock(descriptor, wait=False):
            raise in_use(name)

    def _saved(self, name: str) -> Saved | None:
        """What there is of that name; None if nothing was ever written whole."""
        path = path_of(self.folder, name)
        problem: QwenError | None = None
        snapshot: Snapshot | None = None
        try:
            used = path.lstat().st_mtime
        except OSError:
            return None
        try:
            snapshot = read_journal(path).snapshot
        except OSError as error:
            problem = unusable(name, error)
        except QwenError as error:
            problem = error
        if snapshot is None and problem is None:
            return None
        return Saved(name, path, used, snapshot.mended() if snapshot is not None else None, problem)


def _missing(name: str) -> UsageError:
    return UsageError(f"there is no session `{name}`", "`qwen3 sessions list` shows which there are")
