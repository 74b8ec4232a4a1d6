"""Carrying out `qwen3 convert`, and what a person or a script sees of it: the plan, and how far it is."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from converters.recipes import find_recipe
from converters.wishes import Overrides, Wishes
from qwen3cli.cli.session import Session
from qwen3cli.errors import InvalidFile
from qwen3cli.models.conversion import OTHER_HOME, convert_checkpoint, plan_conversion
from qwen3cli.models.facts import read_facts
from qwen3cli.models.manifest import Origin
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.room import free_bytes
from qwen3cli.models.store import Check, MayReplace
from qwen3cli.terminal.figures import count, size
from qwen3cli.terminal.progress import Progress as Bar

if TYPE_CHECKING:
    from typing_extensions import Self

    from converters import Progress

_EVENT_EVERY_S = 0.1
_SETTLED_S = 0.5


class ConversionProgress:
    """A bar for the person; with `events`, for a script up to ten of them a second, and one at the end."""

    def __init__(self, session: Session, label: str, *, events: bool) -> None:
        self._console = session.console
        self._events = events
        self._bar = Bar(session.console, label)
        self._started = self._told = time.monotonic()

    def report(self, step: Progress) -> None:
        """Show it."""
        tensors = f"{step.tensors_done:,}/{step.tensors_total:,} tensors"
        self._bar.update(step.bytes_done, step.bytes_total, tensors)
        now = time.monotonic()
        done = step.bytes_done == step.bytes_total
        if self._events and (done or now - self._told >= _EVENT_EVERY_S):
            self._told = now
            self._console.json(_as_event(step, now - self._started))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def _as_event(step: Progress, elapsed: float) -> dict[str, Any]:
    # The first moments say nothing: threads and tables are being made.
    rate = step.bytes_done / elapsed if elapsed > _SETTLED_S else 0.0
    return {
        "event": "progress",
        "bytes": step.bytes_done,
        "total": step.bytes_total,
        "tensors": step.tensors_done,
        "tensors_total": step.tensors_total,
        "tensor": step.tensor,
        "bytes_per_s": round(rate) if rate else None,
        "left_s": round((step.bytes_total - step.bytes_done) / rate, 1) if rate else None,
    }


@dataclass(frozen=True)
class Job:
    """What `qwen3 convert` was asked for; the model goes to the file `output`, or into the store as `name`.

    `origin` is where the checkpoint in the folder `source` came from; `check` refuses a model that is not what was
    asked for, `may_replace` to take another one's place in the store.
    """

    source: Path
    origin: Origin
    quantization: str
    wishes: Wishes
    output: Path | None
    name: str | None
    threads: int | None
    may_replace: MayReplace
    check: Check | None = None


def run_job(session: Session, job: Job) -> None:
    """Convert, show how far it is, and say what was made."""
    notices: list[str] = []
    label = f"converting {job.source.name or job.source}"
    elsewhere = OTHER_HOME if job.output is None else "write elsewhere with -o"
    with ConversionProgress(session, label, events=session.as_json) as progress:

        def write(target: Path) -> None:
            notices.extend(
                convert_checkpoint(
                    job.source,
                    target,
                    job.quantization,
                    job.wishes,
                    threads=job.threads,
                    progress=progress.report,
                    elsewhere=elsewhere,
                )
            )

        place, bytes_ = _written(session, job, write)
    for line in notices:
        session.notice(line)
    if session.as_json:
        session.console.json({"event": "done", "output": place, "bytes": bytes_})
    else:
        session.console.talk(
            f"wrote {place} ({bytes_ / 1e6:,.1f} MB); `qwen3 chat {shlex.quote(place)}` runs it"
        )


def _written(session: Session, job: Job, write: Callable[[Path], None]) -> tuple[str, int]:
    """Have the file made; gives the words that name it from now on, and its size."""
    output = job.output
    if output is None:
        origin = replace(job.origin, changes=changes_of(job.wishes))
        entry = session.store.add(job.name or "", origin, write, check=job.check, may_replace=job.may_replace)
        return entry.name, entry.facts.file_bytes
    write(output)
    if job.check is not None:
        try:
            job.check(read_facts(output))
        except InvalidFile:
            output.unlink(missing_ok=True)
            raise
    # A bare word without the suffix would be taken for a name.
    place = str(output) if ModelRef.parse(str(output)).kind == "path" else f"./{output}"
    return place, output.stat().st_size


def changes_of(wishes: Wishes) -> str:
    """What a conversion changes, so that the model is not what a pull would bring; empty for nothing."""
    changes = {
        f"adapter {wishes.adapter.name or wishes.adapter}" if wishes.adapter is not None else "",
        "importance matrix" if wishes.imatrix is not None else "",
        "types of its own" if wishes.overrides != Overrides() else "",
    }
    return ", ".join(sorted(filter(None, changes)))


def show_plan(session: Session, job: Job) -> None:
    """Print what a conversion would write, and what it would need."""
    plan = plan_conversion(job.source, job.quantization, job.wishes, job.output)
    folder = session.store.folder if job.output is None else job.output.absolute().parent
    free = free_bytes(folder)
    for line in plan.notices:
        session.notice(line)
    if plan.size > free:
        session.notice(f"`{folder}` has {size(free)} free: {size(plan.size - free)} are missing")
    quantization = find_recipe(job.quantization).name
    memory = plan.memory(job.threads or os.cpu_count() or 1)
    bits = plan.tensor_bytes * 8 / plan.parameters
    if session.as_json:
        types = {
            name: {"tensors": tensors, "bytes": bytes_} for name, (tensors, bytes_) in plan.by_type.items()
        }
        event = {"event": "plan", "quantization": quantization, "parameters": plan.parameters}
        event |= {"tensors": len(plan.tensors), "types": types, "bytes": plan.size}
        event |= {"bits_per_weight": round(bits, 4), "memory_bytes": memory}
        session.console.json({**event, "disk_bytes": plan.size, "disk_free_bytes": free})
        return
    rows = [(name, f"{tensors:,}", size(bytes_)) for name, (tensors, bytes_) in plan.by_type.items()]
    session.console.table(rows, ("TYPE", "TENSORS", "SIZE"), right=(1, 2))
    session.console.result("\n")
    facts = [
        ("quantization", quantization),
        ("parameters", count(plan.parameters)),
        ("tensors", f"{len(plan.tensors):,}"),
        ("output", f"{size(plan.size)} ({plan.size:,} bytes)"),
        ("bits per weight", f"{bits:.2f}"),
        ("memory", f"about {size(memory)}"),
        ("disk", f"{size(plan.size)} in {folder}, which has {size(free)} free"),
    ]
    session.console.table(facts)
