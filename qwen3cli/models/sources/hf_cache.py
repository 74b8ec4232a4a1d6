"""The cache of huggingface_hub, which llama.cpp shares, and the flat folder that llama.cpp used before.

Layout: `models--OWNER--REPO/refs/NAME` holds a commit, `snapshots/COMMIT/FILE` links to `blobs/HASH`. A blob is
named by its SHA-256 where it is large (Git LFS), else by git's id of it. Links that leave their repository are not
followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from string import Template

from qwen3cli.models.sources.found import Found, Place, name_of_file, passed_over, scan_files
from qwen3cli.models.sources.looking import (
    Bunch,
    Unfit,
    beginning,
    bunches,
    files_under,
    folder_named,
    real,
    small_text,
)
from qwen3cli.models.variants import HubFile

_PREFIX = "models--"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_REPOSITORY = re.compile(rf"(?:{_PART}/)?{_PART}")
_REVISION = re.compile(rf"{_PART}(?:/{_PART})*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT = re.compile(r"[0-9a-f]{40}")
_DEPTH = 3
_LIMIT = 256


def hub_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Where huggingface_hub keeps what it downloads."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if environ.get(variable):
            # It puts in what variables in it stand for, as a shell would.
            return folder_named(Template(environ[variable]).safe_substitute(environ), home) / below
    return _caches(environ, home) / "huggingface" / "hub"


def hf_places(environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where the programs of Hugging Face keep models."""
    return [Place(scan_hub, hub_folder(environ, home))]


def llama_places(environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where llama.cpp keeps models: in the folder that was chosen, else in Hugging Face's and its former one."""
    chosen = environ.get("LLAMA_CACHE")
    if chosen:
        root = folder_named(chosen, home)
        return [Place(scan_hub, root), Place(scan_flat, root)]
    former = (_caches(environ, home) / "llama.cpp", home / "Library" / "Caches" / "llama.cpp")
    return [*hf_places(environ, home), *(Place(scan_flat, folder) for folder in former)]


def _caches(environ: Mapping[str, str], home: Path) -> Path:
    chosen = environ.get("XDG_CACHE_HOME")
    return folder_named(chosen, home) if chosen else home / ".cache"


def scan_flat(root: Path, program: str) -> Iterator[Found | str]:
    """GGUF files that lie in `root` itself."""
    return scan_files(root, program, 0)


def scan_hub(root: Path, program: str) -> Iterator[Found | str]:
    """The models of all repositories in `root`."""
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.name.startswith(_PREFIX))
    except (OSError, ValueError):  # Said by nobody: most people have no such cache.
        return
    for name in names:
        repository = name.removeprefix(_PREFIX).replace("--", "/")
        if not _REPOSITORY.fullmatch(repository):
            yield passed_over(program, repository, "the hub allows no such name")
        elif (root / name).is_symlink():
            yield passed_over(program, repository, "it is a link to another folder: import that by its path")
        else:
            yield from _scan_repository(root / name, repository, program)


def _scan_repository(folder: Path, repository: str, program: str) -> Iterator[Found | str]:
    """The models of one repository, as its newest revision here has them."""
    with suppress(OSError):
        store = real(folder)
        seen: dict[str, Path] = {}
        for commit in _commits(folder):
            snapshot = folder / "snapshots" / commit
            files, notes = files_under(snapshot, _DEPTH)
            yield from notes
            for bunch in bunches(files, snapshot, store):
                blob = real(bunch.files[0]) if not bunch.reason else bunch.files[0]
                if bunch.reference not in seen:
                    seen[bunch.reference] = blob
                    yield _found(bunch, program, repository, commit)
                elif seen[bunch.reference] != blob and not bunch.reason:
                    older = f"{repository}:{bunch.reference}` at `{commit[:12]}"
                    yield passed_over(program, older, "a newer revision is there")


def _found(bunch: Bunch, program: str, repository: str, commit: str) -> Found | str:
    reference = f"{repository}:{bunch.reference}"
    if bunch.reason:
        return passed_over(program, reference, bunch.reason)
    blobs = tuple(real(path).name for path in bunch.files)
    known = blobs if all(map(_SHA256.fullmatch, blobs)) else ()
    name = name_of_file(bunch.reference)
    return Found(program, name, reference, bunch.files, bunch.size, known, reference, commit)


def _commits(folder: Path) -> list[str]:
    """The revisions that are here: that of `main` first, then from new to old."""
    with suppress(OSError):
        dated: list[tuple[bool, float, str]] = []
        main = _commit(folder, "main")
        for entry in os.scandir(folder / "snapshots"):
            if entry.is_dir(follow_symlinks=False):
                dated.append((entry.name == main, entry.stat(follow_symlinks=False).st_mtime, entry.name))
        return [name for _, _, name in sorted(dated, reverse=True)]
    return []


def _commit(folder: Path, revision: str) -> str:
    """What a branch or tag stands for here; a commit, and what is not here, stand for themselves."""
    with suppress(Unfit, OSError):
        named = small_text(folder / "refs" / revision, real(folder), _LIMIT).strip()
        if re.fullmatch(_PART, named):
            return named
    return revision


def find_cached(
    repository: str, file: str, revision: str, environ: Mapping[str, str], home: Path
) -> Path | None:
    """The file of a repository that huggingface_hub has downloaded already, where it lies; its bytes unchecked."""
    parts = file.split("/")
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        return None
    found = _snapshot(repository, revision, environ, home)
    if found is None:
        return None
    folder, commit = found
    path = folder.joinpath("snapshots", commit, *parts)
    with suppress(Unfit, OSError):
        beginning(path, real(folder), 0)
        return path
    return None


def find_whole(repository: str, file: HubFile, revision: str) -> Path | None:
    """As `find_cached`, for the person who runs this program, if the file's size is right."""
    path = find_cached(repository, file.path, revision, os.environ, home_folder())
    with suppress(OSError):
        return path if path and path.stat().st_size == file.size else None
    return None


def home_folder() -> Path:
    """The home of the person who runs this program."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 (pathlib's fails where there is none)


def cached_files(
    repository: str, revision: str, environ: Mapping[str, str], home: Path
) -> tuple[str, list[HubFile]]:
    """The commit that `revision` stands for here, and the files of it that are here, bytes unchecked."""
    found = _snapshot(repository, revision, environ, home)
    files: list[HubFile] = []
    if found is None:
        return "", files
    folder, commit = found
    with suppress(OSError):
        store, snapshot = real(folder), folder / "snapshots" / commit
        for path in files_under(snapshot, _DEPTH)[0]:
            with suppress(Unfit):
                _, size = beginning(path, store, 0)
                blob = _blob(path, store)
                known = blob if _SHA256.fullmatch(blob) else None
                git = blob if _GIT.fullmatch(blob) else None
                files.append(HubFile(path.relative_to(snapshot).as_posix(), size, known, git))
    return commit, files


def _blob(path: Path, store: Path) -> str:
    """What the cache calls the content of a file; nothing where there are no links and it has no such name."""
    target = real(path)
    return target.name if target.parent == store / "blobs" else ""


def _snapshot(
    repository: str, revision: str, environ: Mapping[str, str], home: Path
) -> tuple[Path, str] | None:
    """The folder of a repository, and the commit that `revision` stands for in it."""
    if not _REPOSITORY.fullmatch(repository) or not _REVISION.fullmatch(revision) or ".." in revision:
        return None
    folder = hub_folder(environ, home) / f"{_PREFIX}{repository.replace('/', '--')}"
    return folder, _commit(folder, revision)
