"""Puts a finished model into its place in the store; a kill between any two steps leaves the old one or the new one.

A new model is a folder renamed into place. One that replaces another gets its files beside the old ones, then its
manifest over the old one. A journal in the folder names the files of both: whatever of these the manifest in
force does not name is rubbish, and nothing else is. All of it happens while alone.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from converters.disk import sync_folder
from qwen3cli.machine import ModelFacts
from qwen3cli.models.filenames import is_file_name, names_beside, safe_names
from qwen3cli.models.manifest import MANIFEST, Entry, Origin, Part, Unread, read_manifest, write_manifest
from qwen3cli.models.workshop import read_whole, translated, write_whole

JOURNAL = "changing.json"
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
_LIMIT = 1 << 20


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a second file where there are no links."""
    if not _linked(source, target):
        _copy_file(source, target)


def link_or_move(source: Path, target: Path) -> None:
    """A second name for a file, or another place where there are no links."""
    if _linked(source, target):
        return
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_file(source, target)


def second_name(source: Path, target: Path) -> None:
    """A second name for a file that stays where it is; a second file where there are no names to be had."""
    if _linked(source, target):
        return
    try:
        target.symlink_to(source.absolute())
    except OSError:
        _copy_file(source, target)


@contextmanager
def brought(files: Sequence[Path], fresh: Path, names: Sequence[str]) -> Generator[list[Path]]:
    """The files in `fresh`, from where the block installs them; only then they are taken away from where they were.

    Where there are no links they are moved first, and moved back if the block fails.
    """
    placed = [fresh / name for name in safe_names(names)]
    try:
        with translated(fresh.parent):
            for file, place in zip(files, placed, strict=True):
                link_or_move(file, place)
        yield placed
    except BaseException:
        for file, place in zip(files, placed, strict=True):
            with suppress(OSError):
                if not file.exists():
                    place.rename(file)
        raise
    for file in files:
        # It is installed: a name too many does no harm.
        with suppress(OSError):
            file.unlink(missing_ok=True)


def place_new(fresh: Path, target: Path, facts: ModelFacts, origin: Origin, parts: Sequence[Part]) -> None:
    """Make `fresh`, with the model's own files in it, the folder `target`, which is not there yet."""
    write_manifest(fresh / MANIFEST, facts, origin, parts)
    sync_folder(fresh)
    fresh.rename(target)
    sync_folder(target.parent)


def place_over(fresh: Path, target: Path, facts: ModelFacts, origin: Origin, parts: Sequence[Part]) -> None:
    """Put the model in `fresh` in place of the one in `target`."""
    tidy(target)
    old = _own_files(target)
    own = [part.place for part in parts if part.modified is None]
    names = names_beside(own, _names_in(target), uuid.uuid4().hex[:8])
    if own:
        parts = [replace(part, place=name) for part, name in zip(parts, names, strict=True)]
    write_whole(fresh / JOURNAL, json.dumps([*old, *names]).encode())
    write_manifest(fresh / MANIFEST, facts, origin, parts)
    try:
        (fresh / JOURNAL).rename(target / JOURNAL)
        sync_folder(target)
        for name, new in zip(own, names, strict=True):
            (fresh / name).rename(target / new)
        sync_folder(target)
        (fresh / MANIFEST).replace(target / MANIFEST)
        sync_folder(target)
    except BaseException:
        _take_back(fresh, target, own, names)
        raise
    finally:
        # The next one to work here tries again.
        with suppress(OSError):
            tidy(target)


def tidy(folder: Path) -> None:
    """Remove what a replacement, finished or killed, left beside the files of the manifest."""
    entry = read_manifest(folder)
    if isinstance(entry, Unread):
        return
    try:
        names = _journal(folder / JOURNAL)
    except FileNotFoundError:
        return
    kept = {part.place.lower() for part in entry.parts}
    for name in names:
        if name.lower() not in kept:
            (folder / name).unlink(missing_ok=True)
    (folder / JOURNAL).unlink(missing_ok=True)


def _take_back(fresh: Path, target: Path, own: Sequence[str], names: Sequence[str]) -> None:
    """Undo what `place_over` moved, unless the new manifest is in force already."""
    entry = read_manifest(target)
    if isinstance(entry, Entry) and not {part.place for part in entry.parts} & set(names):
        for name, new in zip(own, names, strict=True):
            with suppress(OSError):
                (target / new).rename(fresh / name)


def _own_files(folder: Path) -> list[str]:
    """The files that belong to the model in `folder`: without a sound manifest, all that it could name."""
    entry = read_manifest(folder)
    if isinstance(entry, Unread):
        return [name for name in _names_in(folder) if is_file_name(name)]
    return [] if entry.external else [part.place for part in entry.parts]


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _journal(path: Path) -> list[str]:
    """What the journal names, no path among it; nothing if we did not write it."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return []
    try:
        data: Any = json.loads(read_whole(path, _LIMIT))
    except (ValueError, RecursionError):
        return []
    names = cast("list[Any]", data) if isinstance(data, list) else []
    return [name for name in names if isinstance(name, str) and is_file_name(name)]


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
