"""The model store: one folder a model, a manifest beside its files; whole or absent at any instant.

Layout: `models/NAME/manifest.json`, and the files that it names: GGUF files beside it, or files of others where
these keep them, which are read and never changed. A listing reads manifests only, never GGUF files (walking one
vocabulary takes 40 ms). How a model gets into its place is for `placing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.details import read_details
from qwen3cli.models.facts import Thinking, read_facts, unknown
from qwen3cli.models.filenames import is_outside, safe_names
from qwen3cli.models.manifest import Entry, Origin, Unread, part_of, read_manifest
from qwen3cli.models.placing import brought, link_or_copy, place_new, place_over, tidy
from qwen3cli.models.problems import absent, check_is_folder, file_problem, problem_of, refusal, removal
from qwen3cli.models.reference import DEMO, rule_for
from qwen3cli.models.workshop import alone, discard, sweep_alone, translated, unfinished

FILE = "model.gguf"

_LOOKS = 5
"""At a manifest that cannot be read: another process may be taking one model out and putting one in."""

Check = Callable[[ModelFacts], None]
"""Raises an error for a model that is not the one that was wanted."""
MayReplace = Callable[[Entry], None]
"""Raises an error for a model that must not be replaced."""


class ModelStore:
    """The models of one user, under `folder`; `thinking` looks at the chat templates of new ones."""

    def __init__(self, folder: Path, thinking: Thinking = unknown) -> None:
        self.folder = folder
        self._thinking = thinking

    def listing(self) -> tuple[list[Entry], list[Unread]]:
        """All models by name, and the folders whose manifest cannot be read, for a listing to say so."""
        read = [self._read(name) for name in self._names()]
        unread = [one for one in read if isinstance(one, Unread)]
        return [one for one in read if isinstance(one, Entry)], unread

    def entries(self) -> list[Entry]:
        """All models by name; a folder without a sound manifest is passed over."""
        return self.listing()[0]

    def find(self, name: str) -> Entry | None:
        """The model of that name, whatever its case."""
        actual = self._actual(name)
        if actual is None:
            return None
        read = self._read(actual)
        if isinstance(read, Unread):
            raise refusal(read, self.folder)
        return read

    def get(self, name: str) -> Entry:
        """Like `find`, but raises `ModelNotFound`."""
        entry = self.find(name)
        if entry is None:
            raise absent(name)
        return entry

    def facts(self, entry: Entry) -> ModelFacts:
        """What the entry's files themselves say, validated; the manifest only serves listings."""
        problem = problem_of(entry)
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
        may_replace: MayReplace | None = None,
    ) -> Entry:
        """Let `write` make the file at a temporary place, then install it under `name`.

        A model of that name is replaced. `check` may raise an error to refuse the model. Raises `UsageError` for a
        name that cannot be used.
        """
        with self._place(name) as fresh:
            (plain,) = safe_names([file_name])
            write(fresh / plain)
            files = [fresh / plain]
            return self._finish(fresh, name, origin, files, check=check, may_replace=may_replace)

    def install(
        self,
        name: str,
        files: Sequence[Path],
        origin: Origin,
        *,
        names: Sequence[str] = (),
        check: Check | None = None,
        may_replace: MayReplace | None = None,
    ) -> Entry:
        """Move the files of a model into the store, in place of a model of that name; the first part first.

        They get `names`, or keep their own, where these can be used. Until the model is there, they stay where
        they are. `check` may raise an error to refuse the model.
        """
        self.check_place(name)
        for file in files:
            if reason := file_problem(file):
                raise InvalidFile(f"`{file}` {reason}")
        wanted = names or [file.name for file in files]
        with self._place(name) as fresh, brought(files, fresh, wanted) as placed:
            return self._finish(fresh, name, origin, placed, check=check, may_replace=may_replace)

    def register(
        self,
        name: str,
        files: Sequence[Path],
        origin: Origin,
        *,
        check: Check | None = None,
        may_replace: MayReplace | None = None,
    ) -> Entry:
        """An entry for files that stay where they are, as somebody else's; the first part first."""
        self.check_place(name)
        places = [self._outside(file) for file in files]
        with self._place(name) as fresh:
            return self._finish(fresh, name, origin, places, check=check, may_replace=may_replace)

    def check_place(self, name: str) -> None:
        """Raise what would keep any model from getting this name, so that none is fetched or made in vain."""
        check_name(name)
        with translated(self.folder):
            inside = list(self.folder.iterdir()) if self.folder.is_dir() else []
        for path in inside:
            if path.name.lower() == name.lower():
                check_is_folder(path)

    def clean(self) -> None:
        """Remove what killed processes have left."""
        sweep_alone(self.folder)

    def copy(self, name: str, new: str) -> Entry:
        """A second name for a model: hard links where there are any, so that it costs no space.

        Raises `UsageError` for a name that another model has.
        """
        entry = self.get(name)
        if entry.name.lower() == new.lower():
            raise UsageError(f"`{new}` is the model itself", "give the copy another name")
        self.check_place(new)
        self._check_free(new)
        self.facts(entry)
        files = entry.files
        with self._place(new) as fresh:
            if not entry.external:
                with translated(self.folder):
                    for file in files:
                        link_or_copy(file, fresh / file.name)
                files = tuple(fresh / file.name for file in files)
            kind = entry.facts.thinking
            return self._finish(fresh, new, entry.origin, files, thinking=lambda _: kind, replaces=False)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Take models out, all or none; gives their names as the store had them."""
        actual = list(dict.fromkeys(self._existing(name) for name in names))
        with alone(self.folder):
            # Another process may have been faster: then what was wanted is done.
            discard([self.folder / name for name in actual if self._is_there(name)])
        return actual

    def _read(self, name: str) -> Entry | Unread | None:
        """The entry, None if another process has taken the model out, or what cannot be read although it stays."""
        read: Entry | Unread | None = None
        for _ in range(_LOOKS):
            read = read_manifest(self.folder / name)
            if isinstance(read, Entry):
                break
            if not self._is_there(name):
                return None
        return read

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

    def _check_free(self, name: str) -> None:
        actual = self._actual(name)
        if actual is not None:
            hint = f"`{removal(actual)}` removes it, or choose another name"
            raise UsageError(f"there is a model `{actual}` already", hint)

    @contextmanager
    def _place(self, name: str) -> Generator[Path]:
        """A folder to make a model in; errors do not name it, for it is gone when they are read."""
        self.check_place(name)
        with unfinished(self.folder) as fresh:
            try:
                yield fresh
            except QwenError as error:
                for hidden, shown in ((fresh / FILE, name), (f"{fresh}{os.sep}", ""), (fresh, self.folder)):
                    error.message = error.message.replace(str(hidden), str(shown))
                error.args = (error.message,)
                raise

    def _existing(self, name: str) -> str:
        actual = self._actual(name)
        if actual is None:
            raise absent(name)
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
        may_replace: MayReplace | None = None,
        replaces: bool = True,
    ) -> Entry:
        """Check a model's files, some of which `fresh` may hold, and make them the model `name`."""
        with translated(self.folder):
            # Before they are read: what changes while they are is noticed later.
            parts = [part_of(file, fresh) for file in files]
        facts = read_facts(files[0], name, thinking or self._thinking)
        if (facts.path, *facts.further) != tuple(files):
            raise InvalidFile(f"`{files[0]}` and what came with it are not the parts of one model")
        if check is not None:
            check(facts)
        origin = replace(origin, license=origin.license or read_details(files[0]).license)
        with alone(self.folder):
            self.check_place(name)
            if not replaces:
                self._check_free(name)
            actual = self._actual(name)
            if actual is not None and may_replace is not None:
                may_replace(self.get(actual))
            target = self.folder / (actual or name)
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
    if rule := rule_for(name):
        raise UsageError(f"`{name}` cannot name a model", rule)
