"""What `qwen3 mcp list` shows; no server is started, no variable is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.terminal.command import NARROW
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.wrap import hang
from qwen3cli.tools.config import Candidate, find
from qwen3cli.tools.expand import Where
from qwen3cli.tools.showing import command_line


def show_servers(session: Session, extra: Path | None) -> None:
    """Write the table, or the JSON, of all servers of all files."""
    found = find(session.config.paths, where(session), extra, None)
    for notice in found.notices:
        session.console.notice(notice)
    if session.as_json:
        session.console.json([_as_json(one) for one in found.candidates])
    elif found.candidates and is_narrow(session.console):
        for one in found.candidates:
            below = (runs(one), str(one.listed.config.source))
            show_narrow(session.console, one.name, (one.listed.config.transport, one.state), below)
    elif found.candidates:
        rows = [
            (one.name, one.listed.config.transport, runs(one), str(one.listed.config.source), one.state)
            for one in found.candidates
        ]
        session.console.table(rows, ("NAME", "TRANSPORT", "RUNS", "SOURCE", "STATE"), squeezed=(2, 3))
    else:
        session.console.talk("there are no servers; `qwen3 mcp add` adds one")


def is_narrow(console: Console) -> bool:
    """Whether results go to a window that has no room for a table."""
    return console.stdout_is_terminal and console.width < NARROW


def show_narrow(console: Console, name: str, beside: Sequence[str], below: Sequence[str]) -> None:
    """What a table has of one server, in lines of their own."""
    head = hang(f"{name} ({', '.join(filter(None, beside))})", console.width, 4)
    lines = [hang(f"    {sanitise_line(text)}", console.width, 4) for text in below if text]
    console.result("\n".join([head, *lines, ""]))


def where(session: Session) -> Where:
    """What surrounds the servers: this folder, and the environment."""
    try:
        return Where(session.console.environ, Path.cwd())
    except FileNotFoundError:
        raise UsageError("the folder this runs in is gone", "change to one that is there") from None


def runs(one: Candidate) -> str:
    """The command or the URL, as its file has it."""
    config = one.listed.config
    return config.url or command_line(config.command, config.args)


def _as_json(one: Candidate) -> dict[str, object]:
    """Values of variables and headers may be secrets: they have their names here."""
    config = one.listed.config
    return {
        "name": one.name,
        "transport": config.transport,
        "command": config.command or None,
        "args": list(config.args),
        "url": config.url or None,
        "env": list(config.env),
        "headers": list(config.headers),
        "source": str(config.source),
        "disabled": one.listed.disabled,
        "state": one.state,
    }
