"""What `qwen3 mcp add` and `remove` write into the user's own file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.tools.config import text_of
from qwen3cli.tools.dialects import list_servers
from qwen3cli.tools.edits import names_in, with_server, without_server
from qwen3cli.tools.entries import HEADER_NAME, NAME_RULE, SERVER_NAME
from qwen3cli.tools.expand import is_url
from qwen3cli.tools.rewriting import rewrite

_TRANSPORTS = ("stdio", "http", "sse")


def add_server(
    session: Session,
    name: str,
    words: Sequence[str],
    env: Sequence[str],
    headers: Sequence[str],
    transport: str | None,
) -> None:
    """Write a new server into the user's file; one of that name is not replaced."""
    if not SERVER_NAME.fullmatch(name):
        raise UsageError(f"no server can be called `{name}`", f"a name has {NAME_RULE}")
    if transport is not None and transport not in _TRANSPORTS:
        raise UsageError(f"there is no transport `{transport}`", f"it is {', '.join(_TRANSPORTS)}")
    if words[0].lower().startswith(("http://", "https://")):
        entry = _remote(name, words, env, headers, transport)
    else:
        entry = _local(words, env, headers, transport)
    path = session.config.paths.mcp

    def changed() -> str:
        text = _current(path)
        if name in names_in(text):
            raise UsageError(f"`{path}` has a server `{name}`", f"`qwen3 mcp remove {name}` takes it out")
        added = with_server(text, name, entry)
        list_servers(path, added)
        return added

    rewrite(path, changed)
    session.console.talk(f"added `{name}` to {path}; `qwen3 mcp check {name}` tries it")


def remove_server(session: Session, name: str) -> None:
    """Take a server out of the user's file."""
    path = session.config.paths.mcp

    def changed() -> str:
        text = _current(path)
        if name not in names_in(text):
            raise UsageError(
                f"there is no server `{name}` in `{path}`", "`qwen3 mcp list` shows which there are"
            )
        return without_server(text, name)

    rewrite(path, changed)
    session.console.talk(f"removed `{name}` from {path}")


def _current(path: Path) -> str:
    """The text of the user's file, known to be valid; "" where there is none."""
    try:
        text = text_of(path)
    except FileNotFoundError:
        return ""
    if text.strip():
        list_servers(path, text)
    return text


def _remote(
    name: str, words: Sequence[str], env: Sequence[str], headers: Sequence[str], transport: str | None
) -> dict[str, object]:
    if len(words) > 1:
        raise UsageError(
            f"a URL takes no arguments, and here is `{words[1]}`", "quote a URL that has blanks in it"
        )
    if env or transport == "stdio":
        what = "`--env`" if env else "`--transport stdio`"
        raise UsageError(f"{what} is for a command, and `{words[0]}` is a URL", "`--header` is for URLs")
    if "$" not in words[0] and not is_url(words[0]):
        raise UsageError(f"`{words[0]}` is no URL", "one looks like `https://example.org/mcp`")
    entry: dict[str, object] = {"url": words[0]}
    if transport is None:
        listing = list_servers(Path(), json.dumps({"mcpServers": {name: entry}}))
        transport = listing.servers[0].config.transport
    pairs = [_pair(text, ":", "--header", "NAME: VALUE") for text in headers]
    for header, _ in pairs:
        if not HEADER_NAME.fullmatch(header):
            raise UsageError(
                f"no header can be called `{header}`", "like `--header 'Authorization: Bearer …'`"
            )
    return {"type": transport, **entry, **({"headers": dict(pairs)} if pairs else {})}


def _local(
    words: Sequence[str], env: Sequence[str], headers: Sequence[str], transport: str | None
) -> dict[str, object]:
    if headers or transport in ("http", "sse"):
        what = "`--header`" if headers else f"`--transport {transport}`"
        raise UsageError(f"{what} is for a URL, and `{words[0]}` is a command", "`--env` is for commands")
    if not words[0].strip():
        raise UsageError("the command is empty", "give the program that is the server")
    pairs = [_pair(text, "=", "--env", "KEY=VALUE") for text in env]
    entry: dict[str, object] = {"command": words[0]}
    if len(words) > 1:
        entry["args"] = list(words[1:])
    return {**entry, **({"env": dict(pairs)} if pairs else {})}


def _pair(text: str, sign: str, option: str, shape: str) -> tuple[str, str]:
    key, found, value = text.partition(sign)
    if not found or not key.strip():
        raise UsageError(f"`{option} {text}` makes no sense", f"it looks like `{option} '{shape}'`")
    return (key.strip(), value.strip()) if sign == ":" else (key, value)
