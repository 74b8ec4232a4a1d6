"""Carrying out `qwen3 pull`, and what a person or a script hears of it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3cli.cli.conversions import ConversionProgress
from qwen3cli.cli.session import Session
from qwen3cli.cli.transfers import TransferProgress
from qwen3cli.errors import NotEnough, QwenError
from qwen3cli.models import machines
from qwen3cli.models.catalog import Member
from qwen3cli.models.conversion import convert_checkpoint
from qwen3cli.models.fetch import Fetcher, sweep_downloads
from qwen3cli.models.machines import Machine
from qwen3cli.models.pull import Pull, Request, decide
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.store import Entry, Origin
from qwen3cli.terminal.figures import size

if TYPE_CHECKING:
    from qwen3cli.models.http import Http

_FORGOTTEN_S = 30 * 86_400
"""After so long nobody goes on with a transfer."""


def run_pull(session: Session, request: Request, *, force: bool = False) -> Entry:
    """Fetch a model, show how far it is, and say what was installed."""
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        pull = _decided(session, request, http)
        sweep_downloads(session.config.paths.downloads, _FORGOTTEN_S)
        fetcher = Fetcher(pull, session.store, session.config.paths.downloads, http, progress)
        if pull.installed is not None and _is_whole(session, pull.installed):
            if pull.current:
                fetcher.clean()
                _say_current(session, pull, pull.installed)
                return pull.installed
            session.notice(_replacing(pull, pull.installed))
        if not force:
            _check_memory(session, pull)
        if pull.reason and len(pull.listing.files) > 1:
            session.console.talk(f"taking {pull.label} ({size(pull.result_bytes)}): {pull.reason}")
        try:
            entry = fetcher.install() if pull.recipe is None else _converted(session, pull, fetcher, progress)
        except KeyboardInterrupt:
            progress.end()
            there = size(pull.size - fetcher.missing())
            session.console.talk(
                f"stopped at {there} of {size(pull.size)}: the same command continues from there"
            )
            raise
    _say_installed(session, pull, entry, checked=fetcher.checked)
    return entry


def _replacing(pull: Pull, old: Entry) -> str:
    """What becomes of the model that has the name."""
    if not pull.as_before:
        was = old.facts.quantization
        return f"`{pull.name}` is installed as {was} from {old.origin.source}: {pull.label} replaces it"
    revision = f" (revision {pull.listing.revision[:12]})" if pull.listing.revision else ""
    return f"the hub has a newer `{pull.name}`{revision}: it replaces yours"


def show_pull(session: Session, request: Request) -> None:
    """Say what a pull would fetch."""
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        pull = _decided(session, request, http)
        missing = Fetcher(pull, session.store, session.config.paths.downloads, http, progress).missing()
    if session.as_json:
        session.console.json({"event": "plan", **_as_json(pull), "missing_bytes": missing})
        return
    rows = [(file.name, size(file.size), (file.sha256 or "not known")[:12]) for file in pull.files]
    session.console.table(rows, ("FILE", "SIZE", "SHA256"), right=(1,))
    session.console.result("\n")
    becomes = f"{pull.name}, converted to {pull.recipe}" if pull.recipe else pull.name
    facts = [
        (
            "from",
            f"{pull.listing.source} on {pull.hub.title}, revision {pull.listing.revision[:12] or 'not known'}",
        ),
        ("becomes", becomes),
        ("to download", f"{size(missing)} of {size(pull.size)}"),
        *([("chosen", f"{pull.label}: {pull.reason}")] if pull.reason else []),
        *(
            [("installed", "yes, and up to date" if pull.current else "an older one")]
            if pull.installed
            else []
        ),
    ]
    session.console.table(facts)


@contextmanager
def fetched_checkpoint(session: Session, reference: ModelRef) -> Generator[tuple[Path, Origin]]:
    """The folder of a checkpoint on a hub, for the length of the block, and where it came from."""
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        # Which files make a checkpoint does not depend on what it is converted to.
        pull = _decided(session, Request(reference, recipe="bf16"), http)
        fetcher = Fetcher(pull, session.store, session.config.paths.downloads, http, progress)
        with fetcher.checkpoint() as folder:
            progress.end()
            yield folder, fetcher.origin


def _decided(session: Session, request: Request, http: Http) -> Pull:
    def runs_well(size: int, member: Member | None) -> bool:
        return machines.runs_well(size, member, _machine())

    return decide(request, session.store, http, runs_well, session.notice)


@functools.cache
def _machine() -> Machine:
    # Takes 200 ms, which only a choice between quantizations is worth.
    from qwen3cli.engines import devices

    return machines.this_machine(devices())


def _converted(session: Session, pull: Pull, fetcher: Fetcher, progress: TransferProgress) -> Entry:
    """Fetch a checkpoint, and put what it is converted to into the store."""
    assert pull.recipe is not None
    recipe, notices = pull.recipe, list[str]()

    def build(folder: Path) -> Entry:
        progress.end()
        label = f"converting {pull.name} to {recipe}"
        with ConversionProgress(session, label, events=session.as_json) as conversion:

            def write(target: Path) -> None:
                notices.extend(convert_checkpoint(folder, target, recipe, progress=conversion.report))

            return session.store.add(pull.name, fetcher.origin, write, check=fetcher.check)

    entry = fetcher.build(build)
    for line in notices:
        session.notice(line)
    return entry


def _check_memory(session: Session, pull: Pull) -> None:
    """Raises `NotEnough` for a model that this machine could never load, and warns of one that it hardly could."""
    need, have = pull.result_bytes, machines.total_memory()
    # Only where main memory is not enough, a GPU is asked for its own.
    if need > have:
        have += sum(_machine().gpus)
    if need > have:
        raise NotEnough(
            f"`{pull.source}` has {size(need)} of weights, and this machine has {size(have)} of memory",
            "choose a smaller quantization or model; `--force` downloads it all the same",
        )
    if not machines.runs_well(need, pull.member, _machine()):
        session.notice(f"{size(need)} of weights leave little of this machine's memory: see `qwen3 plan`")


def _is_whole(session: Session, entry: Entry) -> bool:
    """Whether what is installed can be used."""
    try:
        session.store.facts(entry)
    except QwenError:
        return False
    return True


def _say_current(session: Session, pull: Pull, entry: Entry) -> None:
    if session.as_json:
        session.console.json({"event": "done", "current": True, **_as_json(pull)})
    else:
        session.console.talk(
            f"`{entry.name}` is installed and up to date; `qwen3 chat {shlex.quote(entry.name)}` runs it"
        )


def _say_installed(session: Session, pull: Pull, entry: Entry, *, checked: bool) -> None:
    if session.as_json:
        session.console.json(
            {"event": "done", "current": False, **_as_json(pull), "bytes": entry.facts.file_bytes}
        )
        return
    for file in pull.files:
        if file.sha256 and checked:
            session.console.talk(f"checked {file.name}: sha256 {file.sha256}")
    what = f"{size(entry.facts.file_bytes)}, {entry.facts.quantization}"
    session.console.talk(f"installed {entry.name} ({what}); `qwen3 chat {shlex.quote(entry.name)}` runs it")


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
