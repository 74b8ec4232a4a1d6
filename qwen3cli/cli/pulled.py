"""What is said of a pull: before it, instead of it, and after it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from qwen3cli.cli.session import Session
from qwen3cli.models.pull import Pull
from qwen3cli.models.store import Entry
from qwen3cli.terminal.figures import size


def summary(pull: Pull) -> str:
    """The model in a few words, for a question."""
    what = (
        f"{size(pull.size)}, to become {pull.recipe}" if pull.recipe else f"{size(pull.size)}, {pull.label}"
    )
    return f"{pull.name} ({what.rstrip(', ')}) from {pull.hub.title}"


def say_choice(session: Session, pull: Pull) -> None:
    """What will come, where somebody might have expected something else."""
    why = f": {pull.reason}" if pull.reason else ""
    if pull.recipe is not None:
        files = f"{len(pull.files)} files, {size(pull.size)}"
        session.console.talk(f"{files}, to be converted to {pull.recipe}{why}")
    elif why and len(pull.listing.files) > 1:
        session.console.talk(f"taking {pull.label} ({size(pull.size)}){why}")


def replacing(pull: Pull, old: Entry) -> str:
    """What becomes of the model that has the name."""
    if not pull.as_before:
        was = old.facts.quantization
        return f"`{pull.name}` is installed as {was} from {old.origin.shown}: {pull.label} replaces it"
    if not pull.listing.revision:
        return f"nobody says whether there is a newer `{pull.name}`: it is fetched again"
    return f"there is a newer `{pull.name}` (revision {pull.listing.revision[:12]}): it replaces yours"


def say_current(session: Session, pull: Pull, entry: Entry) -> None:
    """That there was nothing to do."""
    if session.as_json:
        session.console.json({"event": "done", "current": True, **_as_json(pull)})
    else:
        run = f"`qwen3 chat {shlex.quote(entry.name)}` runs it"
        session.console.talk(f"`{entry.name}` is installed and up to date; {run}")


def say_installed(session: Session, pull: Pull, entry: Entry, *, checked: bool) -> None:
    """What was installed; `checked` says that this run has hashed its files."""
    bytes_ = entry.facts.file_bytes
    if session.as_json:
        session.console.json({"event": "done", "current": False, **_as_json(pull), "bytes": bytes_})
        return
    for file in pull.files:
        if file.sha256 and checked:
            session.console.talk(f"checked {file.name}: its SHA-256 is the hub's ({file.sha256[:12]}...)")
    what = f"{size(bytes_)}, {entry.facts.quantization}"
    session.console.talk(f"installed {entry.name} ({what}); `qwen3 chat {shlex.quote(entry.name)}` runs it")


def show_plan(session: Session, pull: Pull, missing: int, problems: Sequence[str], *, current: bool) -> None:
    """What a pull would fetch, and what stands in its way; `current` says that there is nothing to do."""
    if session.as_json:
        plan = {"event": "plan", **_as_json(pull), "current": current, "missing_bytes": missing}
        plan |= {"problems": list(problems)}
        session.console.json(plan)
        return
    rows = [(file.name, size(file.size), (file.sha256 or "not known")[:12]) for file in pull.files]
    session.console.table(rows, ("FILE", "SIZE", "SHA256"), right=(1,))
    session.console.result("\n")
    revision = pull.listing.revision[:12] or "not known"
    becomes = f"{pull.name}, about {size(pull.result_bytes)} of {pull.recipe}" if pull.recipe else pull.name
    facts = [
        ("from", f"{pull.listing.source} on {pull.hub.title}, revision {revision}"),
        ("becomes", becomes),
        ("to download", f"{size(missing)} of {size(pull.size)}"),
        *([("chosen", f"{pull.label}: {pull.reason}")] if pull.reason else []),
        *([("installed", _standing(pull, current=current))] if pull.installed else []),
    ]
    session.console.table(facts)
    for problem in problems:
        session.notice(problem)


def _standing(pull: Pull, *, current: bool) -> str:
    if current:
        return "yes, and up to date"
    return "yes, but damaged: it would be fetched again" if pull.current else "another one, which it replaces"


def _as_json(pull: Pull) -> dict[str, Any]:
    files = [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in pull.files]
    return {
        "name": pull.name,
        "source": pull.source,
        "hub": pull.hub.title,
        "revision": pull.listing.revision,
        "quantization": pull.label,
        "reason": pull.reason,
        "files": files,
        "bytes": pull.size,
    }
