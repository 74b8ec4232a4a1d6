"""Which MCP servers there are: the user's `mcp.json`, `--mcp FILE`, and the project's `.mcp.json` once accepted.

For equal names `--mcp FILE` wins over the user's file, and that over the project's; what is disabled in the file
that wins is off. Each file may be in any host's dialect (see `dialects`), with variables (see `expand`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.paths import Paths
from qwen3cli.private import read_private
from qwen3cli.tools.dialects import Listing, list_servers
from qwen3cli.tools.entries import Listed
from qwen3cli.tools.expand import AskInput, Resolver, Where, home_of
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.projects import PROJECT_FILE, AskProject, KnownProjects, Project, describe

LIMIT = 1_000_000
"""Bytes that such a file may have."""

State = Literal["on", "disabled", "overridden", "not accepted"]
Kind = Literal["extra", "user", "project"]


@dataclass(frozen=True)
class Servers:
    """What one file says; `trusted` are names that it claims can be trusted."""

    configs: tuple[ServerConfig, ...] = ()
    trusted: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A server of some file, and whether it is to be used."""

    listed: Listed
    resolver: Resolver
    kind: Kind
    state: State

    @property
    def name(self) -> str:
        """What the server is called."""
        return self.listed.name


@dataclass(frozen=True)
class Gathered:
    """The servers to be used; `trusted` are those that the user's own file calls so, `foreign` those of other files."""

    servers: tuple[ServerConfig, ...] = ()
    trusted: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """All servers of all files, those that win first."""

    candidates: tuple[Candidate, ...] = ()
    notices: tuple[str, ...] = ()


def read_servers(
    path: Path,
    environ: Mapping[str, str],
    ask_input: AskInput | None = None,
    working_directory: Path | None = None,
) -> Servers:
    """The servers of one file that are not disabled, their variables resolved.

    Raises `UsageError` for a variable that is not set, `InvalidFile` for what makes no sense.
    """
    listing = list_servers(path, text_of(path))
    resolver = Resolver(listing, Where(environ, working_directory or Path.cwd(), ask_input))
    used = [one for one in listing.servers if not one.disabled]
    trusted = frozenset(one.name for one in used if one.trusted)
    return Servers(tuple(map(resolver.resolve, used)), trusted, listing.notices)


def gather(
    paths: Paths,
    working_directory: Path,
    extra: Path | None,
    environ: Mapping[str, str],
    ask_project: AskProject | None = None,
    ask_input: AskInput | None = None,
    *,
    strict: bool = True,
) -> Gathered:
    """The servers to be used in this folder; raises like `read_servers`.

    A project's file that nobody can be asked about, or that cannot be read, is not used, which a notice says. Unless
    `strict`, neither is a server whose variables are not set: nobody has asked for it just now.
    """
    found = find(paths, Where(environ, working_directory, ask_input), extra, ask_project, anew=False)
    used = [one for one in found.candidates if one.state == "on"]
    servers: list[ServerConfig] = []
    notices = list(found.notices)
    for one in used:
        try:
            servers.append(one.resolver.resolve(one.listed))
        except UsageError as error:
            if strict:
                raise
            notices.append(f"the server `{one.name}` is left out: {error.message}")
    trusted = frozenset(one.name for one in used if one.kind == "user" and one.listed.trusted)
    foreign = frozenset(one.name for one in used if one.kind != "user")
    return Gathered(tuple(servers), trusted, foreign, tuple(notices))


def find(
    paths: Paths, where: Where, extra: Path | None, ask_project: AskProject | None, *, anew: bool = True
) -> Found:
    """All servers that this folder, the user and `--mcp FILE` name; no variable is resolved.

    With `anew`, a project that a person never wants to be asked about is asked about all the same.
    """
    finder = _Finder(paths, where, ask_project, anew)
    if extra is not None and not _is_same(extra, paths.mcp):
        finder.add_extra(extra)
    finder.add_user()
    project = where.folder / PROJECT_FILE
    if extra is None or not _is_same(extra, project):
        finder.add_project(project)
    return Found(tuple(finder.candidates), tuple(finder.notices))


class _Finder:
    """Takes one file after the other; the first one that names a server wins."""

    def __init__(self, paths: Paths, where: Where, ask_project: AskProject | None, anew: bool) -> None:
        self.candidates: list[Candidate] = []
        self.notices: list[str] = []
        self._paths = paths
        self._where = where
        self._ask_project = ask_project
        self._anew = anew
        self._taken: dict[str, Path] = {}

    def add_extra(self, path: Path) -> None:
        try:
            # It may be a pipe: `--mcp <(command)`.
            content = _content(path, piped=True)
        except FileNotFoundError:
            raise UsageError(
                f"there is no file `{path}`", "`--mcp` takes a file that lists servers"
            ) from None
        self._add("extra", list_servers(path, _as_text(path, content)))

    def add_user(self) -> None:
        path = self._paths.mcp
        with suppress(FileNotFoundError):
            self._add("user", list_servers(path, text_of(path)))

    def add_project(self, path: Path) -> None:
        try:
            content = _content(path)
            listing = list_servers(path, _as_text(path, content))
        except FileNotFoundError:
            return
        except QwenError as error:
            # Somebody else's file in this folder must not keep a person from chatting.
            self.notices.append(f"this folder's servers are not used: {error.message}")
            return
        if any(not one.disabled and one.name not in self._taken for one in listing.servers):
            self._add("project", listing, accepted=self._is_accepted(listing, content))
        else:
            self._add("project", listing)

    def _is_accepted(self, listing: Listing, content: bytes) -> bool:
        known = KnownProjects(self._paths.tools / "projects.json")
        path = listing.path
        project = Project(path, describe(listing, home_of(self._where.environ)), known.has_accepted(path))
        word = known.word(project, content)
        if word == "yes":
            return True
        ask = self._ask_project if self._anew or word != "never" else None
        if ask is None:
            changed = (
                "they changed since you accepted them" if project.changed else "you have not accepted them"
            )
            why = "you said so" if word == "never" else changed
            self.notices.append(
                f"the servers of `{path}` are not used: {why}; `qwen3 mcp check` in a terminal shows them and asks"
            )
            return False
        said = ask(project)
        if said != "no":
            known.keep(project, content, said)
        return said == "yes"

    def _add(self, kind: Kind, listing: Listing, *, accepted: bool = True) -> None:
        if accepted:
            self.notices.extend(listing.notices)
        resolver = Resolver(listing, self._where)
        for listed in listing.servers:
            self.candidates.append(Candidate(listed, resolver, kind, self._state(kind, listed, accepted)))

    def _state(self, kind: Kind, listed: Listed, accepted: bool) -> State:
        path = listed.config.source
        winner = self._taken.setdefault(listed.name, path)
        if winner is not path:
            if accepted:
                self.notices.append(
                    f"server `{listed.name}`: that of `{winner}` counts, not that of `{path}`"
                )
            return "overridden"
        if listed.disabled:
            return "disabled"
        if accepted and listed.trusted and kind != "user":
            self.notices.append(
                f"server `{listed.name}`: the `trust` in `{path}` is not believed; only that in `{self._paths.mcp}` is"
            )
        return "on" if accepted else "not accepted"


def text_of(path: Path) -> str:
    """The text of a file that lists servers; raises `FileNotFoundError` where there is none."""
    return _as_text(path, _content(path))


def _content(path: Path, *, piped: bool = False) -> bytes:
    """Raises `FileNotFoundError` for what is not there."""
    try:
        if piped and not path.is_file():
            with path.open("rb") as file:
                content = file.read(LIMIT + 1)
        else:
            # People keep their configuration elsewhere and link to it; `resolve` has no `OSError` for links in circles.
            content = read_private(Path(os.path.realpath(path)), LIMIT)
        if len(content) > LIMIT:
            raise ValueError(f"it has more than {LIMIT:,} bytes")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise QwenError(f"`{path}` cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidFile(f"`{path}` is no list of servers: {error}") from None
    return content


def _as_text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidFile(f"`{path}`, line {line}: this is no UTF-8 text", "save the file as UTF-8") from None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
