"""The model store: one folder a model, a manifest beside its files; whole or absent at any instant.

Layout: `models/NAME/manifest.json`, and the files that it names: GGUF files beside it, or files of others where
these keep them, which are read and never changed. A listing reads manifests only, never GGUF files (walking one
vocabulary takes 40 ms). How a model gets into its place is for `placing`.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from qwen3cli.errors import InvalidFile, ModelNotFound, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.details import read_details
from qwen3cli.models.facts import Thinking, read_facts, unknown
from qwen3cli.models.filenames import is_outside, safe_names
from qwen3cli.models.manifest import Entry, Origin, Part, Unread, read_manifest
from qwen3cli.models.placing import brought, link_or_copy, place_new, place_over, tidy
from qwen3cli.models.reference import DEMO, is_name
from qwen3cli.models.workshop import alone, discard, sweep, translated, unfinished

FILE = "model.gguf"

Check = Callable[[ModelFacts], None]
"""Raises an error for a model that is not the one that was wanted."""


class ModelStore:
    """The models of one user, under `folder`; `thinking` looks at the chat templates of new ones."""

    def __init__(self, folder: Path, thinking: Thinking = unknown) -> None:
        self.folder = folder
        self._thinking = thinking

    def listing(self) -> tuple[list[Entry], list[Unread]]:
        """All models by name, and the folders whose manifest cannot be read, for a listing to say so."""
        read = [read_manifest(self.folder / name) for name in self._names()]
        unread = [one for one in read if isinstance(one, Unread) and self._is_there(one.name)]
        return [one for one in read if isinstance(one, Entry)], unread

    def entries(self) -> list[Entry]:
        """All models by name; a folder without a sound manifest is passed over."""
        return self.listing()[0]

    def find(self, name: str) -> Entry | None:
        """The model of that name, whatever its case."""
        actual = self._actual(name)
        if actual is None:
            return None
        read = read_manifest(self.folder / actual)
        if isinstance(read, Entry):
            return read
        if self._is_there(actual):
            raise self.refusal(read)
        return None

    def get(self, name: str) -> Entry:
        """Like `find`, but raises `ModelNotFound`."""
        entry = self.find(name)
        if entry is None:
            raise _absent(name)
        return entry

    def refusal(self, unread: Unread) -> InvalidFile:
        """Why a folder cannot be used as a model, and what to do about it."""
        name, command = unread.name, f"`{removal(unread.name)}`"
        if unread.reason == "newer":
            return InvalidFile(
                f"the manifest of `{name}` was written by a newer version of this program",
                f"update qwen3cli, or remove the model with {command} and get it again",
            )
        if unread.reason == "link":
            return InvalidFile(
                f"`{name}` in {self.folder} is a link, and the store does not look outside of its folder",
                f"{command} removes the link; `qwen3 import PATH` registers a file where it lies",
            )
        return InvalidFile(
            f"the manifest of `{name}` in {self.folder} is damaged or cannot be read",
            f"remove the model with {command} and get it again",
        )

    def problem(self, entry: Entry) -> InvalidFile | None:
        """What is wrong with the entry's files, as far as it shows without opening them."""
        for path, part in zip(entry.files, entry.parts, strict=True):
            reason = _external_problem(path, part) if entry.external else _own_problem(path)
            if reason:
                hint = f"remove the model with `{removal(entry.name)}` and get it again"
                if entry.external:
                    command = f"`qwen3 import {shlex.quote(str(path))}`"
                    hint = f"{command} registers it as it is now; `{removal(entry.name)}` forgets it"
                return InvalidFile(f"`{path}`, a file of `{entry.name}`, {reason}", hint)
        return None

    def facts(self, entry: Entry) -> ModelFacts:
        """What the entry's files themselves say, validated; the manifest only serves listings."""
        problem = self.problem(entry)
        if problem is not None:
            raise problem
        return read_facts(entry.facts.path, entry.name, lambda _: entry.facts.thinking)

    def add(
        self,
        name: str,
        origin: Origin,
        write: Callable[[Path], None],
        *,
        file_name: str = FILE,
        check: Check | None = None,
    ) -> Entry:
        """Let `write` make the file at a temporary place, then install it under `name`.

        A model of that name is replaced. `check` may raise an error to refuse the model. Raises `UsageError` for a
        name that cannot be used.
        """
        check_name(name)
        with unfinished(self.folder) as fresh:
            (plain,) = safe_names([file_name])
            write(fresh / plain)
            return self._finish(fresh, name, origin, [fresh / plain], check=check)

    def install(
        self,
        name: str,
        files: Sequence[Path],
        origin: Origin,
        *,
        names: Sequence[str] = (),
        check: Check | None = None,
    ) -> Entry:
        """Move the files of a model into the store, in place of a model of that name; the first part first.

        They get `names`, or keep their own, where these can be used. Until the model is there, they stay where
        they are. `check` may raise an error to refuse the model.
        """
        check_name(name)
        for file in files:
            if reason := _own_problem(file):
                raise InvalidFile(f"`{file}` {reason}")
        wanted = names or [file.name for file in files]
        with unfinished(self.folder) as fresh, brought(files, fresh, wanted) as placed:
            return self._finish(fresh, name, origin, placed, check=check)

    def register(
        self, name: str, files: Sequence[Path], origin: Origin, *, check: Check | None = None
    ) -> Entry:
        """An entry for files that stay where they are, as somebody else's; the first part first."""
        check_name(name)
        places = [self._outside(file) for file in files]
        with unfinished(self.folder) as fresh:
            return self._finish(fresh, name, origin, places, check=check)

    def clean(self) -> None:
        """Remove what killed processes have left."""
        with alone(self.folder):
            sweep(self.folder)

    def copy(self, name: str, new: str) -> Entry:
        """A second name for a model: hard links where there are any, so that it costs no space."""
        entry = self.get(name)
        if entry.name.lower() == new.lower():
            raise UsageError(f"`{new}` is the model itself", "give the copy another name")
        check_name(new)
        self.facts(entry)
        files = entry.files
        with unfinished(self.folder) as fresh:
            if not entry.external:
                with translated(self.folder):
                    for file in files:
                        link_or_copy(file, fresh / file.name)
                files = tuple(fresh / file.name for file in files)
            return self._finish(fresh, new, entry.origin, files, thinking=lambda _: entry.facts.thinking)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Take models out, all or none; gives their names as the store had them."""
        actual = list(dict.fromkeys(self._existing(name) for name in names))
        with alone(self.folder):
            # Another process may have been faster: then what was wanted is done.
            discard([self.folder / name for name in actual if self._is_there(name)])
        return actual

    def _names(self) -> list[str]:
        with translated(self.folder):
            if not self.folder.is_dir():
                return []
            with os.scandir(self.folder) as found:
                return sorted(
                    one.name
                    for one in found
                    if not one.name.startswith(".")
                    and (one.is_symlink() or one.is_dir(follow_symlinks=False))
                )

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

    def _outside(self, file: Path) -> Path:
        # The last name stays: the name of a link may tell the part, where that of its target does not.
        path = Path(os.path.realpath(file.parent)) / file.name
        if not is_outside(str(path)):
            raise UsageError(f"`{path}` cannot be registered", "give a .gguf file on this machine")
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
            raise UsageError(f"`{path}` is in the store already", "`qwen3 cp` gives a model a second name")
        return path

    def _finish(
        self,
        fresh: Path,
        name: str,
        origin: Origin,
        files: Sequence[Path],
        *,
        thinking: Thinking | None = None,
        check: Check | None = None,
    ) -> Entry:
        """Check a model's files, some of which `fresh` may hold, and make them the model `name`."""
        with translated(self.folder):
            # Before they are read: what changes while they are is noticed later.
            parts = [_part(file, fresh) for file in files]
        facts = read_facts(files[0], name, thinking or self._thinking)
        if (facts.path, *facts.further) != tuple(files):
            raise InvalidFile(f"`{files[0]}` and what came with it are not the parts of one model")
        if check is not None:
            check(facts)
        origin = replace(origin, license=origin.license or read_details(files[0]).license)
        with alone(self.folder):
            actual = self._actual(name)
            target = self.folder / (actual or name)
            if target.is_symlink():
                raise self.refusal(Unread(target.name, "link"))
            place = place_new if actual is None else place_over
            place(fresh, target, facts, origin, parts)
            for other in self._names():
                with suppress(OSError):
                    tidy(self.folder / other)
            return self.get(target.name)


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


def _part(file: Path, fresh: Path) -> Part:
    status = file.stat()
    if file.parent == fresh:
        return Part(file.name, status.st_size)
    return Part(str(file), status.st_size, status.st_mtime_ns)


def _own_problem(path: Path) -> str | None:
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
        return "is gone: it was deleted or moved"
    return f"cannot be read: {error.strerror or error}"


def _absent(name: str) -> ModelNotFound:
    if name.lower() == DEMO:
        return ModelNotFound("the demo is no model in the store", "it is built in")
    return ModelNotFound(f"there is no model `{name}`", "`qwen3 list` shows what is installed")
