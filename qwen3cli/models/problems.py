"""What is wrong with a model of the store, as far as it shows without opening its files, and what to do about it."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

from qwen3cli.errors import InvalidFile, ModelNotFound
from qwen3cli.models.manifest import Entry, Part, Unread
from qwen3cli.models.reference import DEMO

_GONE = "is gone: it was deleted or moved"


def problem_of(entry: Entry) -> InvalidFile | None:
    """What keeps the entry's files from being used."""
    for path, part in zip(entry.files, entry.parts, strict=True):
        reason = _external_problem(path, part) if entry.external else file_problem(path)
        if reason:
            return InvalidFile(f"`{path}`, a file of `{entry.name}`, {reason}", _way_out(entry, path, reason))
    return None


def _way_out(entry: Entry, path: Path, reason: str) -> str:
    command = f"`{removal(entry.name)}`"
    if not entry.external:
        return f"remove the model with {command} and get it again"
    if reason == _GONE:
        return f"put it back; {command} forgets it"
    return f"`qwen3 import {shlex.quote(str(path))}` registers it as it is now; {command} forgets it"


def refusal(unread: Unread, folder: Path) -> InvalidFile:
    """Why a folder in the store's `folder` cannot be used as a model."""
    name, command = unread.name, f"`{removal(unread.name)}`"
    if unread.reason == "newer":
        return InvalidFile(
            f"the manifest of `{name}` was written by a newer version of this program",
            f"update qwen3cli, or remove the model with {command} and get it again",
        )
    if unread.reason == "link":
        return InvalidFile(
            f"`{name}` in {folder} is a link, and the store does not look outside of its folder",
            f"{command} removes the link; `qwen3 import PATH` registers a file where it lies",
        )
    return InvalidFile(
        f"the manifest of `{name}` in {folder} is damaged or cannot be read",
        f"remove the model with {command} and get it again",
    )


def check_is_folder(path: Path) -> None:
    """Raise for what has a model's place and is no folder of one; nothing there, or no longer, is no problem."""
    try:
        mode = path.lstat().st_mode  # One look: another process may take it out at any moment.
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise refusal(Unread(path.name, "link"), path.parent)
    if not stat.S_ISDIR(mode):
        hint = "move it away, or give the model another name"
        raise InvalidFile(f"`{path}` is in the way: it is no folder of a model", hint)


def removal(name: str) -> str:
    """The command that removes a model, ready to be pasted whatever the folder is called."""
    return f"qwen3 rm {'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"


def file_problem(path: Path) -> str | None:
    """Why a file cannot be one of the store's, as the end of a sentence."""
    try:
        status = path.lstat()
    except OSError as error:
        return _unreachable(error)
    return None if stat.S_ISREG(status.st_mode) else "is not a regular file, and links are not followed"


def _external_problem(path: Path, part: Part) -> str | None:
    try:
        status = path.stat()
    except OSError as error:
        return _unreachable(error)
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if (status.st_size, status.st_mtime_ns) != (part.bytes, part.modified):
        return "is not as it was when it was registered: it was changed or replaced"
    return None


def _unreachable(error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return _GONE
    return f"cannot be read: {error.strerror or error}"


def absent(name: str) -> ModelNotFound:
    """What to raise for a model that the store does not have."""
    if name.lower() == DEMO:
        return ModelNotFound("the demo is no model in the store", "it is built in")
    return ModelNotFound(f"there is no model `{name}`", "`qwen3 list` shows what is installed")
