"""The model store: one folder a model, a manifest beside the weights; whole or absent at any instant.

Layout: `models/NAME/manifest.json` and, named by it, `models/NAME/model[-ID].gguf`. A listing reads manifests
only, never GGUF files (walking one vocabulary takes 40 ms). A new model is a folder renamed into place; a
replaced one gets its new weights beside the old ones, then a new manifest over the old one, by rename.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from converters.disk import sync_folder
from qwen3cli.errors import InvalidFile, ModelNotFound, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.facts import read_facts
from qwen3cli.models.manifest import Entry, read_manifest, write_manifest
from qwen3cli.models.reference import DEMO, is_name
from qwen3cli.models.workshop import alone, discard, translated, unfinished

FILE = "model.gguf"
MANIFEST = "manifest.json"
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class ModelStore:
    """The models of one user, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def listing(self) -> tuple[list[Entry], list[str]]:
        """All models by name, and the names of folders whose manifest cannot be read, for a listing to say so."""
        read = {name: self._entry(name) for name in self._names()}
        broken = [name for name, entry in read.items() if entry is None and self._is_there(name)]
        return [entry for entry in read.values() if entry is not None], broken

    def entries(self) -> list[Entry]:
        """All models by name; a folder without a sound manifest is passed over."""
        return self.listing()[0]

    def broken(self) -> list[str]:
        """Names of folders whose manifest cannot be read."""
        return self.listing()[1]

    def find(self, name: str) -> Entry | None:
        """The model of that name, whatever its case."""
        actual = self._actual(name)
        if actual is None:
            return None
        entry = self._entry(actual)
        if entry is None and self._is_there(actual):
            raise InvalidFile(
                f"the manifest of `{actual}` in {self.folder} is damaged or cannot be read",
                f"remove the model with `{removal(actual)}` and add it again",
            )
        return entry

    def get(self, name: str) -> Entry:
        """Like `find`, but raises `ModelNotFound`."""
        entry = self.find(name)
        if entry is None:
            raise _absent(name)
        return entry

    def facts(self, entry: Entry) -> ModelFacts:
        """What the entry's file itself says, validated; the manifest only serves listings."""
        if not entry.facts.path.is_file():
            raise InvalidFile(
                f"the file of `{entry.name}` is gone", f"remove the model with `{removal(entry.name)}`"
            )
        return read_facts(entry.facts.path, entry.name)

    def add(self, name: str, source: str, write: Callable[[Path], None]) -> Entry:
        """Let `write` make the file at a temporary place, then install it under `name`.

        A model of that name is replaced; `source` says where the new one came from. Raises `UsageError` for a
        name that cannot be used.
        """
        check_name(name)
        with unfinished(self.folder) as fresh:
            write(fresh / FILE)
            facts = read_facts(fresh / FILE, name)
            with alone(self.folder):
                return self._install(fresh, facts, source)

    def copy(self, name: str, new: str) -> Entry:
        """A second name for a model: a hard link where there are any, so that it costs no space."""
        entry = self.get(name)
        if entry.name.lower() == new.lower():
            raise UsageError(f"`{new}` is the model itself", "give the copy another name")
        self.facts(entry)

        def link(target: Path) -> None:
            with translated(self.folder):
                try:
                    os.link(entry.facts.path, target)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    _copy_file(entry.facts.path, target)

        return self.add(new, entry.source, link)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Take models out, all or none; gives their names as the store had them."""
        actual = dict.fromkeys(self._existing(name) for name in names)
        with alone(self.folder):
            for name in actual:
                # Another process may have been faster: then what was wanted is done.
                if self._is_there(name):
                    discard(self.folder / name)
        return list(actual)

    def _names(self) -> list[str]:
        with translated(self.folder):
            if not self.folder.is_dir():
                return []
            return sorted(p.name for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _actual(self, name: str) -> str | None:
        """The folder of that name, whatever its case."""
        return next((n for n in self._names() if n.lower() == name.lower()), None)

    def _existing(self, name: str) -> str:
        actual = self._actual(name)
        if actual is None:
            raise _absent(name)
        return actual

    def _is_there(self, name: str) -> bool:
        """Whether the folder is still there: another process may have taken it out since we saw it."""
        return os.path.lexists(self.folder / name)

    def _entry(self, name: str) -> Entry | None:
        return read_manifest(self.folder / name / MANIFEST, name)

    def _install(self, fresh: Path, facts: ModelFacts, source: str) -> Entry:
        """Called while alone; a kill between any two lines leaves the old model or the new one."""
        actual = self._actual(facts.name)
        target = self.folder / (actual or facts.name)
        if actual is None:
            write_manifest(fresh / MANIFEST, facts, source, FILE)
            sync_folder(fresh)
            fresh.rename(target)
            sync_folder(self.folder)
        else:
            weights = f"model-{uuid.uuid4().hex[:12]}.gguf"
            write_manifest(fresh / MANIFEST, facts, source, weights)
            (fresh / FILE).rename(target / weights)
            sync_folder(target)
            (fresh / MANIFEST).replace(target / MANIFEST)
            sync_folder(target)
        for name in self._names():
            self._tidy(name)
        return self.get(target.name)

    def _tidy(self, name: str) -> None:
        """Remove weights that a replacement, finished or killed, left beside those of the manifest."""
        entry = self._entry(name)
        if entry is not None:
            for path in (self.folder / name).glob("model*.gguf"):
                if path != entry.facts.path:
                    path.unlink(missing_ok=True)


def check_name(name: str) -> None:
    """Raise `UsageError` for a name that a model in the store cannot have."""
    if name.lower() == DEMO:
        raise UsageError("`demo` is the built-in model's name", "choose another name")
    if not is_name(name):
        raise UsageError(
            f"`{name}` cannot name a model",
            "use up to 96 letters, digits, `.`, `_` and `-`, a letter or digit first",
        )


def removal(name: str) -> str:
    """The command that removes a model, ready to be pasted whatever the folder is called."""
    return f"qwen3 rm {'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _absent(name: str) -> ModelNotFound:
    if name.lower() == DEMO:
        return ModelNotFound("the demo is no model in the store", "it is built in")
    return ModelNotFound(f"there is no model `{name}`", "`qwen3 list` shows what is installed")
