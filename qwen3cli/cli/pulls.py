"""Carrying out `qwen3 pull`, and what a person or a script hears of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.cli.conversions import ConversionProgress
from qwen3cli.cli.pulled import replacing, say_choice, say_current, say_installed, show_plan, summary
from qwen3cli.cli.session import Session
from qwen3cli.cli.transfers import TransferProgress
from qwen3cli.errors import NotEnough, QwenError
from qwen3cli.models import machines
from qwen3cli.models.catalog import Member
from qwen3cli.models.conversion import convert_checkpoint
from qwen3cli.models.fetch import Fetcher
from qwen3cli.models.leftovers import sweep_downloads
from qwen3cli.models.machines import Machine
from qwen3cli.models.plan import GOOD, make_plan, needs_of_family, smaller_member
from qwen3cli.models.pull import Pull, Request, decide
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.store import Check, Entry, Origin
from qwen3cli.terminal.ask import confirm
from qwen3cli.terminal.figures import size

if TYPE_CHECKING:
    from qwen3cli.models.http import Http

_FORGOTTEN_S = 30 * 86_400
"""After so long nobody goes on with a transfer."""


@dataclass(frozen=True)
class Fetched:
    """A checkpoint from a hub: its folder, where it came from, and what a model made of it must be."""

    folder: Path
    origin: Origin
    check: Check | None = None


def run_pull(
    session: Session, request: Request, *, force: bool = False, ask: str | None = None
) -> Entry | None:
    """Fetch a model, show how far it is, and say what was installed.

    With `ask`, the beginning of a question, the person is asked first; None if they do not want it.
    """
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        pull = _decided(session, request, http, progress)
        fetcher = Fetcher(pull, session.store, session.config.paths.downloads, http, progress)
        if pull.installed is not None and _is_whole(session, pull.installed):
            if pull.current:
                fetcher.clean(pull.installed)
                say_current(session, pull, pull.installed)
                return pull.installed
            session.notice(replacing(pull, pull.installed))
        if not force:
            _check_memory(session, request, pull)
        if ask is not None and not confirm(session.console, f"{ask}: download {summary(pull)}?"):
            return None
        say_choice(session, pull)
        sweep_downloads(session.config.paths.downloads, _FORGOTTEN_S)
        with _stoppable(session, fetcher, progress):
            entry = fetcher.install() if pull.recipe is None else _converted(session, pull, fetcher, progress)
    say_installed(session, pull, entry, checked=fetcher.checked)
    return entry


def show_pull(session: Session, request: Request) -> None:
    """Say what a pull would fetch, and whether there is room for it."""
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        pull = _decided(session, request, http, progress)
        fetcher = Fetcher(pull, session.store, session.config.paths.downloads, http, progress)
        current = pull.current and pull.installed is not None and _is_whole(session, pull.installed)
        missing, problems = 0, list[str]()
        if not current:
            missing = fetcher.missing()
            checks = (lambda: _check_memory(session, request, pull), fetcher.check_room, fetcher.check_place)
            problems = [error.message for check in checks for error in _raised(check)]
    show_plan(session, pull, missing, problems, current=current)


def _raised(check: Callable[[], None]) -> list[QwenError]:
    """What a check has to object to."""
    try:
        check()
    except QwenError as error:
        return [error]
    return []


@contextmanager
def fetched_checkpoint(
    session: Session, reference: ModelRef, recipe: str, target: Path
) -> Generator[Fetched]:
    """A checkpoint on a hub, for the length of the block; what it is converted to will go to the folder `target`."""
    from qwen3cli.models.http import Http

    with Http() as http, TransferProgress(session) as progress:
        pull = _decided(session, Request(reference, recipe=recipe, stored=False), http, progress)
        fetcher = Fetcher(pull, session.store, session.config.paths.downloads, http, progress)
        fetcher.check_room(target)
        files, bytes_ = len(pull.files), size(pull.size)
        session.console.talk(f"{files} files, {bytes_}, to be converted to {pull.recipe}")
        with _stoppable(session, fetcher, progress), fetcher.checkpoint() as folder:
            progress.end()
            yield Fetched(folder, fetcher.origin, fetcher.check)


@contextmanager
def _stoppable(session: Session, fetcher: Fetcher, progress: TransferProgress) -> Generator[None]:
    """Says how far it was when the person stops it."""
    try:
        yield
    except KeyboardInterrupt:
        progress.end()
        if session.console.stderr_is_terminal:
            # The terminal has written `^C` behind the bar.
            session.console.err.write("\n")
        pull, missing = fetcher.pull, fetcher.missing()
        there = f"{size(pull.size - missing)} of {size(pull.size)}"
        session.console.talk(f"stopped at {there}: the same command continues from there")
        raise


def _decided(session: Session, request: Request, http: Http, progress: TransferProgress) -> Pull:
    def runs_well(size: int, member: Member | None) -> bool:
        return machines.runs_well(size, member, _machine())

    pull = decide(request, session.store, http, runs_well, progress)
    progress.end()
    return pull


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

            return session.store.add(
                pull.name, fetcher.origin, write, check=fetcher.check, may_replace=fetcher.may_replace
            )

    entry = fetcher.build(build)
    for line in notices:
        session.notice(line)
    return entry


def _check_memory(session: Session, request: Request, pull: Pull) -> None:
    """Raises `NotEnough` for a model that this machine could not run, or hardly, if nobody asked for just this one."""
    need, have = pull.result_bytes, machines.total_memory()
    # Only where main memory is not enough, a GPU is asked for its own.
    if need > have:
        have += sum(_machine().gpus)
    what = f"`{pull.source}` has {size(need)} of weights"
    if need <= have and machines.runs_well(need, pull.member, _machine()):
        return
    chosen = request.reference.wanted or request.recipe or pull.installed
    if need <= have and chosen:
        session.notice(f"{what}, which leaves little of this machine's {size(have)} of memory")
        return
    much = "too much for" if need > have else "too much to run well in"
    raise NotEnough(
        f"{what}, {much} this machine's {size(have)} of memory",
        f"{_way_out(pull)}; `--force` downloads it all the same",
    )


def _way_out(pull: Pull) -> str:
    """What to take instead of a model that is too large for this machine."""
    member = pull.member
    if member is None:
        return "`qwen3 plan 4b` shows what a model needs"
    best = make_plan(needs_of_family(member), _machine(), machines.LEAST_CONTEXT).best
    usable = best is not None and best.fits and best.needs.quantization in GOOD
    if best is not None and usable and best.needs.quantization != pull.label:
        return f"its {best.needs.quantization} fits: `qwen3 plan {member.name}` tells how to get it"
    smaller = smaller_member(member, _machine(), machines.LEAST_CONTEXT)
    return f"`qwen3 pull {smaller[0].name}` fits" if smaller else "`qwen3 plan 4b` shows what a model needs"


def _is_whole(session: Session, entry: Entry) -> bool:
    """Whether what is installed can be used."""
    try:
        session.store.facts(entry)
    except QwenError:
        return False
    return True
