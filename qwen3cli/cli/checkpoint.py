"""`qwen3 chat ./folder`: a checkpoint is converted once, shows how far it is, and is a model from then on."""

from __future__ import annotations

from pathlib import Path

from qwen3cli.cli.conversions import ConversionProgress
from qwen3cli.cli.session import Session
from qwen3cli.machine import ModelFacts
from qwen3cli.models.checkpoints import RECIPE, find_converted, fingerprint, name_for, one_at_a_time
from qwen3cli.models.conversion import check_folder, convert_checkpoint
from qwen3cli.models.store import Entry
from qwen3cli.terminal.progress import Progress


def checkpoint_facts(session: Session, folder: Path) -> ModelFacts:
    """The model that the checkpoint in `folder` becomes; raises `InvalidFile` for a folder that is none."""
    check_folder(folder)
    cache, store = session.config.paths.cache, session.store
    with Progress(session.console, f"reading {folder.resolve().name}") as bar:
        key = fingerprint(folder, cache, bar.update)
    entry = find_converted(store, key)
    if entry is None:
        with (
            Progress(session.console, "waiting for another conversion", unit="share") as bar,
            one_at_a_time(cache),
        ):
            bar.stop()
            entry = find_converted(store, key) or _converted(session, folder, name_for(folder, key))
    return store.facts(entry)


def _converted(session: Session, folder: Path, name: str) -> Entry:
    notices: list[str] = []
    label = f"converting {folder.resolve().name} to {RECIPE.upper()}"
    with ConversionProgress(session, label, events=False) as progress:

        def write(target: Path) -> None:
            notices.extend(convert_checkpoint(folder, target, RECIPE, progress=progress.report))

        entry = session.store.add(name, str(folder.absolute()), write)
    for line in notices:
        session.notice(line)
    session.notice(
        f"`{folder}` is now `{name}` in the store, as {RECIPE.upper()}; `qwen3 rm {name}` removes it"
    )
    return entry
