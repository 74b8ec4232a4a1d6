"""`qwen3 cache`: what models have read already, kept on the disk for later runs.

The grammar::

    qwen3 cache list [--json]
    qwen3 cache clear [--json]
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwen3cli.cli.session import Session

if TYPE_CHECKING:
    from qwen3cli.engines.prefixes import Stored

app = typer.Typer(help="What models have read already, kept for later runs.", rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list")
def list_kept(context: typer.Context, as_json: Json = False) -> None:
    """List the kept beginnings of prompts: system prompts and tools, and what sessions go on with."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.described import age
    from qwen3cli.cli.servers import is_narrow, show_narrow
    from qwen3cli.engines.prefixes import mark_of, stored_in
    from qwen3cli.sessions.folder import SessionFolder
    from qwen3cli.terminal.figures import duration, size

    folder = session.config.paths.prefixes
    stored = stored_in(folder)
    names = {mark_of(name): name for name in SessionFolder(session.config.paths.sessions).names()}
    if as_json:
        session.console.json([_as_json(one, names.get(one.session)) for one in stored])
        return
    rows = [
        (
            *(f"{len(one.tokens):,}", size(one.size), duration(one.seconds), age(one.used)),
            f"session {names.get(one.session, '')}".rstrip() if one.session else "system prompt",
        )
        for one in stored
    ]
    if is_narrow(session.console):
        for tokens, bytes_, saves, used, of in rows:
            show_narrow(session.console, of, (f"{tokens} tokens", bytes_), (f"saves {saves}, used {used}",))
    elif rows:
        header = ("TOKENS", "SIZE", "SAVES", "USED", "OF")
        session.console.table(rows, header, right=(0, 1, 2), squeezed=(4,))
    session.console.talk(f"{size(sum(one.size for one in stored))} in {folder}")


@app.command("clear")
def clear_kept(context: typer.Context, as_json: Json = False) -> None:
    """Remove them all; later runs read again what they need."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.engines.prefixes import clear, stored_in
    from qwen3cli.terminal.figures import size

    folder = session.config.paths.prefixes
    freed = sum(one.size for one in stored_in(folder))
    clear(folder)
    if as_json:
        session.console.json({"freed_bytes": freed})
    else:
        session.console.talk(f"freed {size(freed)}")


def _as_json(one: Stored, session: str | None) -> dict[str, Any]:
    return {
        "file": str(one.path),
        "session": session,
        "tokens": len(one.tokens),
        "bytes": one.size,
        "evaluated_s": round(one.seconds, 3),
        "used": datetime.fromtimestamp(one.used, timezone.utc).isoformat(timespec="seconds"),
    }
