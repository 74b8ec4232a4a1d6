"""A project's own `.mcp.json`: used only after a person has seen what it starts, and only as long as it stays so.

What is remembered is a hash of the file and of what was shown of it, by the file's place, so that a change of either
asks again. The programs that it starts are not hashed: the warning says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qwen3cli.tools.dialects import Input, Listing
from qwen3cli.tools.entries import Listed
from qwen3cli.tools.expand import variables
from qwen3cli.tools.private import read_private
from qwen3cli.tools.rewriting import rewrite
from qwen3cli.tools.showing import quoted

PROJECT_FILE = ".mcp.json"
WARNING = (
    "These commands run with all your rights: they can read, change, delete and send your files. "
    "Accept them only if you trust whoever wrote this folder, the programs they start included."
)

_LIMIT = 1 << 20
_KEPT = 1000


@dataclass(frozen=True)
class Project:
    """What a person is asked about: the file, its servers line by line, nothing cut; whether it changed since."""

    path: Path
    lines: tuple[str, ...]
    changed: bool = False


AskProject = Callable[[Project], bool]


class AcceptedProjects:
    """The files that were accepted, kept in one small file for all processes."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def is_accepted(self, project: Project, content: bytes) -> bool:
        """Whether exactly this was accepted."""
        return self._read().get(_key(project.path)) == _digest(project, content)

    def has_seen(self, path: Path) -> bool:
        """Whether some content of this file was accepted before."""
        return _key(path) in self._read()

    def accept(self, project: Project, content: bytes) -> None:
        """Remember that a person agreed to exactly this."""

        def changed() -> str:
            known = self._read()
            known.pop(_key(project.path), None)
            known[_key(project.path)] = _digest(project, content)
            kept = dict([*known.items()][-_KEPT:])
            return json.dumps({"schema": 1, "accepted": kept}, indent=1) + "\n"

        rewrite(self._store, changed)

    def _read(self) -> dict[str, str]:
        """A file that cannot be read has nothing accepted: a person is asked once more."""
        try:
            data: object = json.loads(read_private(self._store, _LIMIT))
        except (OSError, ValueError, RecursionError):
            return {}
        accepted = cast("dict[str, object]", data).get("accepted") if isinstance(data, dict) else None
        if not isinstance(accepted, dict):
            return {}
        items = cast("dict[str, object]", accepted).items()
        return {key: value for key, value in items if isinstance(value, str)}


def describe(listing: Listing) -> tuple[str, ...]:
    """What the servers of a file would do, line by line: each command whole, and whatever may become part of one."""
    servers = [line for server in listing.servers for line in _lines(server)]
    return (*servers, *map(_question, listing.inputs.values()))


def _lines(server: Listed) -> Iterator[str]:
    config = server.config
    yield f"{config.name}{' (disabled)' if server.disabled else ''}"
    if config.transport == "stdio":
        yield f"  command: {' '.join(map(quoted, (config.command, *config.args)))}"
    else:
        yield f"  URL: {quoted(config.url)}"
    if config.cwd is not None:
        yield f"  in the folder: {quoted(str(config.cwd))}"
    if config.env:
        # As the file has them: they are no secrets of the person's, and any of them may make something run.
        yield f"  sets: {' '.join(f'{quoted(name)}={quoted(value)}' for name, value in config.env.items())}"
    if config.headers:
        yield f"  sends the headers: {', '.join(config.headers)}"
    for name in variables(config):
        yield f"  takes from your environment: {name}"


def _question(wanted: Input) -> str:
    """What a person is asked when the servers start, which goes where its variable stands."""
    kind = "picked from a list" if wanted.kind == "pickString" else "typed"
    if wanted.password:
        kind += " unseen"
    default = f", or {quoted(wanted.default)} if nothing is" if wanted.default and not wanted.password else ""
    return f"asks you for {quoted(wanted.id)}: {kind}{default}"


def _key(path: Path) -> str:
    # A link in the way to the folder makes no other project of it.
    return str(path.parent.resolve() / path.name)


def _digest(project: Project, content: bytes) -> str:
    shown = "\n".join(project.lines).encode("utf-8", "surrogatepass")
    return hashlib.sha256(hashlib.sha256(content).digest() + hashlib.sha256(shown).digest()).hexdigest()
