"""Looking into folders that are not ours: nothing is written, waited for, or followed out of them.

Knows no program. Whether a file begins as GGUF is looked at; its header is read when it is registered.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from qwen3cli.models.filenames import SUFFIX, shard_of
from qwen3cli.models.variants import HubFile, find_variants

MOST = 100_000
"""Files and folders that are looked at in one place: more than any program keeps."""

_MAGIC = b"GGUF"
# A named pipe in place of a file would wait for its writer; a terminal would become ours.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class Unfit(Exception):
    """Why something is passed over, as the end of a sentence."""


@dataclass(frozen=True)
class Bunch:
    """Files that belong together, first shard first; `reason` says why they are none, if so.

    `reference` is the first file's path below the folder that was looked into.
    """

    reference: str
    files: tuple[Path, ...]
    size: int = 0
    reason: str = ""


def real(path: Path) -> Path:
    """Where the path leads in the end; raises `OSError` when it leads nowhere."""
    return Path(os.path.realpath(path, strict=True))


def folder_named(text: str, home: Path) -> Path:
    """The folder that a setting names, in which `~` is `home`."""
    path = home / text[2:] if text == "~" or text.startswith("~/") else Path(text)
    # Not pathlib's, which keeps the `..`.
    return Path(os.path.abspath(path))  # noqa: PTH100


def beginning(path: Path, store: Path | None, count: int) -> tuple[bytes, int]:
    """The first `count` bytes of a file, and its size.

    Raises `Unfit` when it is no file or, links followed, does not lie in `store`, which is free of links.
    """
    try:
        target = real(path)
        if store is not None and not target.is_relative_to(store):
            raise Unfit("it leads out of its folder")
        # Looked at before it is opened, for opening alone wakes some devices, and after, for it may have changed.
        _check_regular(target.stat())
        with os.fdopen(os.open(target, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status)
            return file.read(count), status.st_size
    except FileNotFoundError:
        raise Unfit("its file is missing") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise Unfit(f"it cannot be read ({reason})") from None


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unfit("it is no regular file")


def weights_size(path: Path, store: Path | None) -> int:
    """Bytes of a GGUF file; raises `Unfit` as `beginning` does, and where it is none."""
    start, size = beginning(path, store, len(_MAGIC))
    if start != _MAGIC:
        raise Unfit("it is no GGUF file")
    return size


def small_text(path: Path, store: Path | None, limit: int) -> str:
    """A text of at most `limit` bytes; raises `Unfit` as `beginning` does, and where it is none."""
    content, _ = beginning(path, store, limit + 1)
    if len(content) > limit:
        raise Unfit(f"it is larger than {limit:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit("it is no text") from None


def files_under(folder: Path, depth: int) -> tuple[list[Path], list[str]]:
    """What lies at most `depth` folders below `folder`, and sentences on folders that were not looked into."""
    files: list[Path] = []
    notes: list[str] = []
    waiting = [(folder, depth)]
    seen = 0
    while waiting:
        place, left = waiting.pop()
        try:
            with os.scandir(place) as entries:
                inside = list(islice(entries, MOST + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            notes.append(f"`{place}` cannot be read: {getattr(error, 'strerror', None) or error}")
            continue
        seen += len(inside)
        if seen > MOST:
            notes.append(f"`{folder}` holds more than {MOST:,} files: not all were looked at")
            break
        for entry in inside:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.extend([(path, left - 1)] if left else [])
            elif _leads_to_folder(path):
                notes.append(
                    f"`{path}` is a link to another folder and not followed: import that one by its path"
                )
            else:
                files.append(path)
    return sorted(files), sorted(notes)


def _leads_to_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_symlink() and path.is_dir()
    return False


def bunches(files: Iterable[Path], folder: Path, store: Path | None) -> Iterator[Bunch]:
    """The models among `files`, which lie below `folder`; what only goes with a model is left out."""
    known = {p.relative_to(folder).as_posix(): p for p in files if p.name.lower().endswith(SUFFIX)}
    variants = find_variants(HubFile(name, 0) for name in known)
    for variant in variants:
        paths = tuple(known[file.path] for file in variant.files)
        try:
            size = sum(weights_size(path, store) for path in paths)
            yield Bunch(variant.files[0].path, paths, size)
        except Unfit as reason:
            yield Bunch(variant.files[0].path, paths, reason=str(reason))
    whole = {file.path for variant in variants for file in variant.files}
    yield from _incomplete({name: path for name, path in known.items() if name not in whole})


def _incomplete(files: dict[str, Path]) -> Iterator[Bunch]:
    """Parts of models that lack others."""
    sets: dict[tuple[str, int], list[str]] = {}
    for name in sorted(files):
        shard = shard_of(name)
        if shard is not None:
            sets.setdefault((shard.stem, shard.count), []).append(name)
    for (_, count), names in sets.items():
        reason = f"of its {count:,} parts, {len(names):,} are there"
        yield Bunch(names[0], tuple(files[name] for name in names), reason=reason)
