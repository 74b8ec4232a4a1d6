"""`qwen3 list`, `show`, `rm`, `cp`."""

from __future__ import annotations

from typing import Annotated

import typer

from qwen3cli.cli.described import Described, entry_json, list_rows
from qwen3cli.cli.finding import find_facts
from qwen3cli.cli.session import Session
from qwen3cli.models.problems import problem_of, refusal

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the installed models."""
    session: Session = context.obj
    session.as_json = as_json
    entries, unread = session.store.listing()
    problems = {entry.name: problem_of(entry) for entry in entries}
    refusals = (refusal(one, session.store.folder) for one in unread)
    for problem in (*refusals, *filter(None, problems.values())):
        session.console.notice(f"{problem.message}; {problem.hint}")
    if as_json:
        session.console.json([entry_json(entry, problems[entry.name]) for entry in entries])
    else:
        header = ("NAME", "SIZE", "TYPE", "MODIFIED", "SOURCE")
        session.console.table(list_rows(entries), header, right=(1,), squeezed=(0, 4))


def show(
    context: typer.Context, model: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Show what a model is."""
    session: Session = context.obj
    session.as_json = as_json
    described = Described.of(session, find_facts(session, model))
    if as_json:
        session.console.json(described.as_json())
    else:
        session.console.table(described.rows())


def remove(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Models to remove.")],
    as_json: Json = False,
) -> None:
    """Remove installed models; files of other programs stay."""
    session: Session = context.obj
    session.as_json = as_json
    names = session.store.remove(models)
    if as_json:
        session.console.json({"removed": names})
    for name in names:
        session.console.talk(f"removed {name}")


def copy(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="MODEL", help="An installed model.")],
    target: Annotated[str, typer.Argument(metavar="NAME", help="Its second name.")],
    as_json: Json = False,
) -> None:
    """Give an installed model a second name."""
    session: Session = context.obj
    session.as_json = as_json
    entry = session.store.copy(source, target)
    if as_json:
        session.console.json(entry_json(entry))
    else:
        session.console.talk(f"copied {source} to {entry.name}")
