"""`qwen3 chat ./folder`: a checkpoint is converted once, shows how far it is, and is a model from then on."""

from __future__ import annotations

from pathlib import Path

from qwen3cli.cli.conversions import ConversionProgress
from qwen3cli.cli.session import Session
from qwen3cli.errors import QwenError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.checkpoints import (
    RECIPE,
    find_converted,
    fingerprint,
    is_known,
    name_for,
    one_at_a_time,
)
from qwen3cli.models.conversion import check_folder, check_room, convert_checkpoint, plan_conversion
from qwen3cli.models.manifest import Entry, Origin
from qwen3cli.terminal.progress import Progress


def checkpoint_facts(session: Session, folder: Path) -> ModelFacts:
    """The model that the checkpoint in `folder` becomes; raises `InvalidFile` for a folder that is none."""
    check_folder(folder)
    if not is_known(folder, session.config.paths.cache):
        # What cannot be converted is refused before gigabytes are read.
        check_room(plan_conversion(folder, RECIPE), session.store.folder)
    entry = find_converted(session.store, _key(session, folder)) or _converted(session, folder)
    return session.store.facts(entry)


def _key(session: Session, folder: Path) -> str:
    with Progress(session.console, f"reading {folder.absolute().name}") as bar:
        return fingerprint(folder, session.config.paths.cache, bar.update)


def _converted(session: Session, folder: Path) -> Entry:
    """Convert it, unless another process has done so meanwhile."""
    waiting = Progress(session.console, "waiting for another conversion", unit="share")
    with waiting, one_at_a_time(session.config.paths.cache):
        waiting.stop()
        # Others may have converted it, or changed it, while this process waited.
        key = _key(session, folder)
        return find_converted(session.store, key) or _convert(session, folder, key)


def _convert(session: Session, folder: Path, key: str) -> Entry:
    name = name_for(folder, key)
    notices: list[str] = []
    label = f"converting {folder.absolute().name} to {RECIPE.upper()}"
    with ConversionProgress(session, label, events=False) as progress:

        def write(target: Path) -> None:
            notices.extend(convert_checkpoint(folder, target, RECIPE, progress=progress.report))
            if fingerprint(folder, session.config.paths.cache, lambda done, total: None) != key:
                raise QwenError(
                    f"`{folder}` changed while it was converted", "try again when nothing writes to it"
                )

        entry = session.store.add(name, Origin(str(folder.absolute())), write)
    for line in notices:
        session.notice(line)
    session.notice(
        f"`{folder}` is now `{name}` in the store, as {RECIPE.upper()}; `qwen3 rm {name}` removes it"
    )
    return entry
