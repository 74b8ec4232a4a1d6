"""Registering what other programs have: which of it is here already, and under which name the rest comes."""

from __future__ import annotations

import os

from qwen3cli.errors import UsageError
from qwen3cli.models.manifest import Entry, Origin
from qwen3cli.models.problems import problem_of
from qwen3cli.models.sources.found import Found, free_name
from qwen3cli.models.store import ModelStore, check_name


class Registry:
    """The models of a store beside those that are found elsewhere."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._entries = store.entries()

    def installed(self, found: Found) -> str | None:
        """The name of the model in the store that has the same files, unchanged, or the same bytes."""
        for entry in self._entries:
            same_bytes = bool(found.sha256) and entry.origin.sha256 == found.sha256
            if (same_bytes or _at_one_place(entry, found)) and problem_of(entry) is None:
                return entry.name
        return None

    def register(self, found: Found, name: str | None = None) -> Entry:
        """Put it into the store under `name`, else under one like its own that is free.

        What was registered before its owner replaced the file keeps its name. Raises `UsageError` where `name` is
        taken or cannot be one.
        """
        if name is None:
            former = next((entry.name for entry in self._entries if _at_one_place(entry, found)), None)
            name = former or free_name(found.name, found.program, self._taken())
        else:
            check_name(name)
            if name.lower() in self._taken():
                raise UsageError(f"there is a model `{name}` already", "choose another name")
        origin = Origin(found.source, found.revision, found.sha256)
        entry = self._store.register(name, found.files, origin)
        self._entries = [one for one in self._entries if one.name != entry.name] + [entry]
        return entry

    def _taken(self) -> set[str]:
        """Names in lower case; that of a damaged model is taken, too."""
        _, unread = self._store.listing()
        return {one.name.lower() for one in [*self._entries, *unread]}


def _at_one_place(entry: Entry, found: Found) -> bool:
    """Whether the entry is about the file that was found, as it is or as it was."""
    return entry.external and os.path.realpath(entry.files[0]) == os.path.realpath(found.files[0])
