"""The model store: one folder a model, a manifest beside the file; whole or absent at any instant.

Layout: `models/NAME/manifest.json` and `models/NAME/model.gguf`. A listing reads manifests only, never
GGUF files (walking one vocabulary takes 40 ms). A folder is made under a temporary name, then renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from qwen3cli.errors import InvalidFile, ModelNotFound, NotEnough, QwenError, UsageError
from qwen3cli.models.facts import read_facts
from qwen3cli.models.manifest import Entry, read_manifest, write_manifest
from qwen3cli.models.reference import DEMO, is_name

FILE = "model.gguf"
MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished-"


class ModelStore:
    """The models of one user, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """All models by name; a folder without a sound manifest is passed over (see `broken`)."""
        return [entry for name in self._names() if (entry := self._entry(name))]

    def broken(self) -> list[str]:
        """Names of folders whose manifest cannot be read, for the listing to say so."""
        return [name for name in self._names() if self._entry(name) is None]

    def find(self, name: str) -> Entry | None:
        """The model of that name, whatever its case."""
        actual = self._actual(name)
        if actual is None:
            return None
        entry = self._entry(actual)
        if entry is None:
            raise InvalidFile(
                f"the manifest of `{actual}` in {self.folder} is damaged",
                f"remove the model with `qwen3 rm {actual}` and add it again",
            )
        return entry

    def get(self, name: str) -> Entry:
        """Like `find`, but raises `ModelNotFound`."""
        entry = self.find(name)
        if entry is None:
            raise _absent(name)
        return entry

    def add(self, name: str, source: str, write: Callable[[Path], None]) -> Entry:
        """Let `write` make the file at a temporary place, then install it under `name`.

        A model of that name is replaced; `source` says where the new one came from. Raises `UsageError` for a
        name that cannot be used.
        """
        check_name(name)
        target = self.folder / (self._actual(name) or name)
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            fresh = self.folder / f"{_UNFINISHED}{os.getpid()}-{uuid.uuid4().hex[:8]}"
            fresh.mkdir()
        try:
            write(fresh / FILE)
            facts = read_facts(fresh / FILE, target.name)
            with self._writing():
                write_manifest(fresh / MANIFEST, facts, source)
                self._swap(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return self.get(target.name)

    def copy(self, name: str, new: str) -> Entry:
        """A second name for a model: a hard link where there are any, so that it costs no space."""
        entry = self.get(name)
        if entry.name.lower() == new.lower():
            raise UsageError(f"`{new}` is the model itself", "give the copy another name")

        def link(target: Path) -> None:
            with self._writing():
                try:
                    os.link(entry.facts.path, target)
                except OSError:
                    shutil.copyfile(entry.facts.path, target)

        return self.add(new, entry.source, link)

    def remove(self, name: str) -> None:
        """Take a model out; the folder leaves its name first, so that a kill leaves nothing half removed."""
        actual = self._actual(name)
        if actual is None:
            raise _absent(name)
        with self._writing():
            gone = self.folder / f"{_UNFINISHED}{os.getpid()}-{uuid.uuid4().hex[:8]}"
            (self.folder / actual).rename(gone)
            shutil.rmtree(gone)

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(p.name for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _actual(self, name: str) -> str | None:
        """The folder of that name, whatever its case."""
        return next((n for n in self._names() if n.lower() == name.lower()), None)

    def _entry(self, name: str) -> Entry | None:
        return read_manifest(self.folder / name / MANIFEST, name, self.folder / name / FILE)

    def _swap(self, fresh: Path, target: Path) -> None:
        old = self.folder / f"{_UNFINISHED}old-{uuid.uuid4().hex[:8]}"
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        _sync_folder(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left, once it is a day old: a running one may still be writing."""
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            if time.time() - path.stat().st_mtime > 86_400:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(error, self.folder) from None


def check_name(name: str) -> None:
    """Raise `UsageError` for a name that a model in the store cannot have."""
    if name.lower() == DEMO:
        raise UsageError("`demo` is the built-in model's name", "choose another name")
    if not is_name(name):
        raise UsageError(
            f"`{name}` cannot name a model",
            "use up to 96 letters, digits, `.`, `_` and `-`, a letter or digit first",
        )


def _absent(name: str) -> ModelNotFound:
    if name.lower() == DEMO:
        return ModelNotFound("the demo is no model in the store", "it is built in")
    return ModelNotFound(f"there is no model `{name}`", "`qwen3 list` shows what is installed")


def storage_error(error: OSError, place: Path) -> QwenError:
    """What a failed write to the home folder means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NotEnough(f"the disk that holds {place} is full", "free some space or set `QWEN3_HOME`")
    return QwenError(
        f"{place} cannot be written: {error.strerror or error}",
        "set `QWEN3_HOME` to a folder that you may write to",
    )


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
