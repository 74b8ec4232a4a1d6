"""A project's own `.mcp.json`: used only after a person has seen what it starts, and only as long as it stays so.

What is remembered is a hash of the file and of what was shown of it, by the file's place, so that a change of either
asks again. The programs that it starts are not hashed: the warning says so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qwen3cli.tools.dialects import Listing
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

_LOADERS = re.compile(
    r"(?:LD|DYLD|PYTHON|NODE|NPM_CONFIG|UV|PIP|PERL|RUBY|GIT|_?JAVA|JDK_JAVA|BASH).*"
    "|ENV|PATH|SHELL|EDITOR|.*_(?:PROXY|COMMAND|OPTIONS|OPTS|PATH|PRELOAD)",
    re.IGNORECASE | re.DOTALL,
)
"""Variables that make a program run or reach something else: their values are part of the command."""
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
    """What the servers of a file would do, line by line, each command whole."""
    return tuple(line for server in listing.servers for line in _lines(server))


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
        yield f"  sets: {' '.join(_assignment(name, value) for name, value in config.env.items())}"
    if config.headers:
        yield f"  sends the headers: {', '.join(config.headers)}"
    for name in variables(config):
        yield f"  takes from your environment: {name}"


def _assignment(name: str, value: str) -> str:
    shown = quoted(name) if name.isprintable() else json.dumps(name)
    return f"{shown}={quoted(value)}" if _LOADERS.fullmatch(name) else shown


def _key(path: Path) -> str:
    # A link in the way to the folder makes no other project of it.
    return str(path.parent.resolve() / path.name)


def _digest(project: Project, content: bytes) -> str:
    shown = "\n".join(project.lines).encode("utf-8", "surrogatepass")
    return hashlib.sha256(hashlib.sha256(content).digest() + hashlib.sha256(shown).digest()).hexdigest()
