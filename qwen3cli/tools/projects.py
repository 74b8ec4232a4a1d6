"""A project's own `.mcp.json`: used only after a person has seen what it starts, and only as long as it stays so.

What is remembered, of a yes as of a "never", is a hash of the file and of what was shown of it, by the file's place, so
that a change of either asks again. The programs that it starts are not hashed: the warning says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from qwen3cli.private import read_private
from qwen3cli.tools.dialects import Input, Listing
from qwen3cli.tools.entries import Listed
from qwen3cli.tools.expand import at_home, variables
from qwen3cli.tools.rewriting import rewrite
from qwen3cli.tools.showing import command_line, quoted

PROJECT_FILE = ".mcp.json"
WARNING = (
    "These commands run with all your rights: they can read, change, delete and send your files. "
    "Accept them only if you trust whoever wrote this folder, the programs they start included."
)

Word = Literal["yes", "no", "never"]
"""What a person says to a project: a "no" is for now, the others hold until the file changes."""

_LIMIT = 1 << 20
_KEPT = 1000
_WORDS: dict[Word, str] = {"yes": "accepted", "never": "refused"}
"""The words that hold, and what their part of the file is called."""


@dataclass(frozen=True)
class Project:
    """What a person is asked about: the file, its servers line by line, nothing cut; whether it changed since."""

    path: Path
    lines: tuple[str, ...]
    changed: bool = False


AskProject = Callable[[Project], Word]


class KnownProjects:
    """What was said to which files, kept in one small file for all processes."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def word(self, project: Project, content: bytes) -> Word | None:
        """What was said to exactly this, if it was to hold."""
        words, digest = self._read(), _digest(project, content)
        for word in _WORDS:
            if words[word].get(_key(project.path)) == digest:
                return word
        return None

    def has_accepted(self, path: Path) -> bool:
        """Whether some content of this file was accepted before."""
        return _key(path) in self._read()["yes"]

    def keep(self, project: Project, content: bytes, word: Word) -> None:
        """Remember what a person said to exactly this."""
        key, digest = _key(project.path), _digest(project, content)

        def changed() -> str:
            words = self._read()
            for other in _WORDS:
                if words[other].get(key) == digest or other == word:
                    words[other].pop(key, None)
            words[word][key] = digest
            kept = {_WORDS[one]: dict([*known.items()][-_KEPT:]) for one, known in words.items()}
            return json.dumps({"schema": 1, **kept}, indent=1) + "\n"

        rewrite(self._store, changed)

    def _read(self) -> dict[Word, dict[str, str]]:
        """A file that cannot be read holds nothing: a person is asked once more."""
        try:
            data: object = json.loads(read_private(self._store, _LIMIT))
        except (OSError, ValueError, RecursionError):
            data = None
        groups = cast("dict[str, object]", data) if isinstance(data, dict) else {}
        return {word: _texts(groups.get(name)) for word, name in _WORDS.items()}


def describe(listing: Listing, home: str) -> tuple[str, ...]:
    """What the servers of a file would do, line by line: each command whole, and whatever may become part of one."""
    servers = [line for server in listing.servers for line in _lines(server, home)]
    return (*servers, *map(_question, listing.inputs.values()))


def _lines(server: Listed, home: str) -> Iterator[str]:
    config = at_home(server.config, home)
    yield f"{config.name}{' (disabled)' if server.disabled else ''}"
    if config.transport == "stdio":
        yield f"  command: {command_line(config.command, config.args)}"
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


def _texts(value: object) -> dict[str, str]:
    items = cast("dict[str, object]", value).items() if isinstance(value, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}
