"""Variables in a server's configuration: what they are called, where their values come from.

    ${VAR}  ${env:VAR}  $VAR      the environment; an error where it is not set
    ${VAR:-default}               the default where it is not set, or empty; what stands there is literal text
    ${input:ID}                   asked of a person once
    ${workspaceFolder}  ${workspaceFolderBasename}  ${userHome}  ${pathSeparator}  ${/}

What a variable holds is not looked through for more variables. A `$` before anything else is a `$`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from qwen3cli.errors import InvalidFile, UsageError
from qwen3cli.tools.dialects import Input, Listing
from qwen3cli.tools.entries import Listed
from qwen3cli.tools.kinds import ServerConfig

AskInput = Callable[[Input], str]
"""Asks a person for a value; raises `Interrupted` when they would rather not."""

_VARIABLE = re.compile(r"\$(?:\{(?P<inside>[^}]*)\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|(?P<open>\{))")
_INSIDE = re.compile(r"(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_INPUT = "input:"
_PLACES = ("userHome", "workspaceFolder", "workspaceFolderBasename", "pathSeparator")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_HOME = re.compile(r"~(?=/|\Z)")


@dataclass(frozen=True)
class Where:
    """What surrounds a server: the environment, and the folder that work is done in."""

    environ: Mapping[str, str]
    folder: Path
    ask: AskInput | None = None


class Resolver:
    """Puts values in the place of variables, for the servers of one file."""

    def __init__(self, listing: Listing, where: Where) -> None:
        self._listing = listing
        self._where = where
        self._answers: dict[str, str] = {}

    def resolve(self, listed: Listed) -> ServerConfig:
        """The server as it is to be started; raises `UsageError` for what is missing, `InvalidFile` for nonsense."""
        raw = listed.config

        def filled(text: str) -> str:
            return _VARIABLE.sub(lambda match: self._value(match, raw), text)

        local = at_home(raw, home_of(self._where.environ), filled)
        config = replace(
            local,
            env={name: filled(value) for name, value in raw.env.items()},
            cwd=local.cwd and self._where.folder / local.cwd,
            url=filled(raw.url),
            headers={name: filled(value) for name, value in raw.headers.items()},
        )
        _check(config, raw.url)
        return config

    def _value(self, match: re.Match[str], server: ServerConfig) -> str:
        inside = match["bare"] or match["inside"]
        if not inside:
            raise self._unknown(match, server)
        known = self._known(inside)
        if known is not None:
            return known
        if inside.startswith(_INPUT):
            return self._input(inside[len(_INPUT) :], match, server)
        parts = _INSIDE.fullmatch(inside)
        if parts is None or "${" in (parts["default"] or ""):
            raise self._unknown(match, server)
        value = self._where.environ.get(parts["name"])
        if parts["default"] is not None:
            return value or parts["default"]
        if value is None:
            raise UsageError(
                f"the variable `{parts['name']}` is not set; server `{server.name}` of `{server.source}` needs it",
                f'set it, write `${{{parts["name"]}:-DEFAULT}}`, or give the server `"disabled": true`; '
                f"for the text itself write `${{NONE:-$}}{match[0][1:]}`",
            )
        return value

    def _known(self, name: str) -> str | None:
        folder = self._where.folder
        if name == "userHome":
            return home_of(self._where.environ)
        folders = {"workspaceFolder": str(folder), "workspaceFolderBasename": folder.name}
        return {**folders, "pathSeparator": os.sep, "/": os.sep}.get(name)

    def _input(self, identity: str, match: re.Match[str], server: ServerConfig) -> str:
        wanted = self._listing.inputs.get(identity)
        if wanted is None or wanted.kind not in ("promptString", "pickString"):
            raise self._unknown(match, server)
        if identity not in self._answers:
            if self._where.ask is None:
                raise UsageError(
                    f"the input `{identity}` of server `{server.name}` in `{server.source}` has nobody to be asked of",
                    f"run it in a terminal, or write a variable like `${{NAME}}` instead of `{match[0]}`",
                )
            self._answers[identity] = self._where.ask(wanted)
        return self._answers[identity]

    def _unknown(self, match: re.Match[str], server: ServerConfig) -> InvalidFile:
        return InvalidFile(
            f"`{match[0]}` is no variable that is known, in server `{server.name}` of `{server.source}`",
            "known are `${NAME}`, `${NAME:-DEFAULT}`, `${input:ID}`, `${userHome}` and `${workspaceFolder}`",
        )


def home_of(environ: Mapping[str, str]) -> str:
    """The person's own folder."""
    return environ.get("HOME") or str(Path.home())


def at_home(
    config: ServerConfig, home: str, filled: Callable[[str], str] = lambda text: text
) -> ServerConfig:
    """The server with its `~` replaced, and the rest of those texts `filled`: no shell does that for it.

    A `~` means the person's own folder where it begins the command, an argument or the folder, as in a shell.
    """

    def placed(text: str) -> str:
        return word_at_home(text, home, filled)

    return replace(
        config,
        command=placed(config.command),
        args=tuple(map(placed, config.args)),
        cwd=config.cwd and Path(placed(str(config.cwd))),
    )


def word_at_home(text: str, home: str, filled: Callable[[str], str] = lambda text: text) -> str:
    """The text with the `~` that it may begin with replaced, and the rest of it `filled`."""
    tilde = _HOME.match(text)
    return home + filled(text[tilde.end() :]) if tilde else filled(text)


def variables(config: ServerConfig) -> list[str]:
    """The names of what a server, as its file lists it, takes from the environment, each once."""
    found: dict[str, None] = {}
    for text in _texts(config):
        for match in _VARIABLE.finditer(text):
            parts = _INSIDE.fullmatch(match["bare"] or match["inside"] or "")
            if parts is not None and parts["name"] not in _PLACES:
                found[parts["name"]] = None
    return list(found)


def _texts(config: ServerConfig) -> Iterator[str]:
    yield from (config.command, *config.args, *config.env.values(), str(config.cwd or ""))
    yield from (config.url, *config.headers.values())


def _check(config: ServerConfig, raw_url: str) -> None:
    """Values come from anywhere: what no process and no request could be given is refused here."""
    what = f"server `{config.name}` of `{config.source}`"
    if any("\0" in text for text in _texts(config)):
        raise InvalidFile(f"{what} holds a NUL character")
    if config.transport == "stdio":
        if not config.command.strip():
            raise InvalidFile(f"{what} has an empty command")
        return
    # As it is written: what a variable holds may be a secret.
    if not is_url(config.url):
        raise InvalidFile(f"the URL `{raw_url}` of {what} is none", "it begins with `http://` or `https://`")
    for name, value in config.headers.items():
        if not value.isascii() or _CONTROL.search(value):
            raise InvalidFile(
                f"the header `{name}` of {what} has a line break, or letters that no header can have"
            )


def is_url(url: str) -> bool:
    """Whether it is a URL that a request can be sent to, and that leads everybody to the same site.

    Browsers take `\\` for `/`, and `%65` in the name of a site for `e`; others do not.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    # In the brackets of an address of numbers it names a network of this machine.
    escaped = "%" in (parts.hostname or "") and "[" not in parts.netloc
    return sound and not escaped and not _NOT_IN_URL.search(url)
