"""`qwen3 sessions`: conversations that are kept.

The grammar::

    qwen3 sessions list [--json]
    qwen3 sessions show NAME [--json]
    qwen3 sessions rm NAME... [--yes] [--json]
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError

app = typer.Typer(help="Conversations that are kept.", rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list")
def list_sessions(context: typer.Context, as_json: Json = False) -> None:
    """List them, the one used last first."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.told import show_list
    from qwen3cli.sessions.folder import SessionFolder

    show_list(session, SessionFolder(session.config.paths.sessions).all())


@app.command("show")
def show_session(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A session.")],
    as_json: Json = False,
) -> None:
    """Show what was said in one."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.told import show_one
    from qwen3cli.sessions.folder import SessionFolder

    show_one(session, SessionFolder(session.config.paths.sessions).get(name))


@app.command("rm")
def remove_sessions(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Sessions to remove.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove some, with what the cache has of them."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.asking import agrees
    from qwen3cli.engines.prefixes import forget
    from qwen3cli.sessions.folder import SessionFolder
    from qwen3cli.terminal.ask import can_ask

    folder = SessionFolder(session.config.paths.sessions)
    found = folder.there(names)
    if not yes:
        if as_json or not can_ask(session.console):
            raise UsageError("nobody is there who could be asked", "`--yes` removes without asking")
        if not agrees(session.console, f"Remove {', '.join(f'`{name}`' for name in found)}? [y/N]"):
            return
    folder.remove(found, partial(forget, session.config.paths.prefixes))
    if as_json:
        session.console.json({"removed": found})
    for name in found:
        session.console.talk(f"removed {name}")
