"""`qwen3 list`, `show`, `rm`, `cp`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from qwen3cli.cli.opening import find_facts
from qwen3cli.cli.session import Session
from qwen3cli.machine import ModelFacts
from qwen3cli.models.reference import DEMO
from qwen3cli.models.store import Entry, removal
from qwen3cli.terminal.figures import size

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the installed models."""
    session: Session = context.obj
    session.as_json = as_json
    entries, broken = session.store.listing()
    for name in broken:
        session.console.notice(
            f"the manifest of `{name}` is damaged or cannot be read; `{removal(name)}` removes it"
        )
    if as_json:
        session.console.json([_entry_json(entry) for entry in entries])
        return
    rows = [
        (e.name, _parameters(e.facts), e.facts.quantization, size(e.facts.file_bytes), _age(e.added))
        for e in entries
    ]
    rows.append((DEMO, "", "", "", "built in"))
    session.console.table(rows, ("NAME", "PARAMETERS", "TYPE", "SIZE", "ADDED"), right=(1, 3))


def show(
    context: typer.Context, model: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Show what a model is."""
    session: Session = context.obj
    session.as_json = as_json
    facts = find_facts(session, model)
    if as_json:
        session.console.json(_facts_json(facts))
        return
    rows = [
        ("name", facts.name),
        ("architecture", facts.architecture),
        ("parameters", _parameters(facts)),
        ("type", facts.quantization),
        ("size", size(facts.file_bytes)),
        ("context", f"{facts.context_length:,} tokens" if facts.context_length else "not said"),
        ("kv cache", f"{size(facts.kv_bytes_per_token)} a token at f16"),
        ("kind", "base (completes text)" if facts.base else "chat"),
        ("file", str(facts.path)),
    ]
    session.console.table(rows)


def remove(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Models to remove.")],
) -> None:
    """Remove installed models."""
    session: Session = context.obj
    for name in session.store.remove(models):
        session.console.talk(f"removed {name}")


def copy(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="MODEL", help="An installed model.")],
    target: Annotated[str, typer.Argument(metavar="NAME", help="Its second name.")],
) -> None:
    """Give an installed model a second name."""
    session: Session = context.obj
    entry = session.store.copy(source, target)
    session.console.talk(f"copied {source} to {entry.name}")


def _facts_json(facts: ModelFacts) -> dict[str, Any]:
    return {**asdict(facts), "path": str(facts.path)}


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {**_facts_json(entry.facts), "added": entry.added, "source": entry.source}


def _parameters(facts: ModelFacts) -> str:
    count = facts.parameters
    for unit, scale in (("B", 1e9), ("M", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f}{unit}"
    return f"{count:,}"


def _age(added: float) -> str:
    seconds = max(0, time.time() - added)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
