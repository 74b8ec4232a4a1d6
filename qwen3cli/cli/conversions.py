"""What a person or a script sees of a conversion: the plan, and how far it is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qwen3cli.cli.session import Session
from qwen3cli.models.conversion import free_bytes
from qwen3cli.terminal.figures import count, size
from qwen3cli.terminal.progress import Progress as Bar

if TYPE_CHECKING:
    from typing_extensions import Self

    from converters import Progress
    from converters.plan import Plan

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


def show_plan(session: Session, plan: Plan, quantization: str, folder: Path, threads: int | None) -> None:
    """Print what a conversion into `folder` would write, and what it would need."""
    free = free_bytes(folder)
    memory = plan.memory(threads or os.cpu_count() or 1)
    bits = plan.tensor_bytes * 8 / plan.parameters
    for line in plan.notices:
        session.notice(line)
    if plan.size > free:
        session.notice(f"`{folder}` has {size(free)} free: {size(plan.size - free)} are missing")
    if session.as_json:
        types = {
            name: {"tensors": tensors, "bytes": bytes_} for name, (tensors, bytes_) in plan.by_type.items()
        }
        event = {"event": "plan", "quantization": quantization, "parameters": plan.parameters}
        event |= {"tensors": len(plan.tensors), "types": types, "bytes": plan.size}
        event |= {"bits_per_weight": round(bits, 4), "memory_bytes": memory}
        session.console.json({**event, "disk_bytes": plan.size, "disk_free_bytes": free})
        return
    console = session.console
    rows = [(name, f"{tensors:,}", size(bytes_)) for name, (tensors, bytes_) in plan.by_type.items()]
    console.table(rows, ("TYPE", "TENSORS", "SIZE"), right=(1, 2))
    console.result("\n")
    console.table(
        [
            ("quantization", quantization),
            ("parameters", count(plan.parameters)),
            ("tensors", f"{len(plan.tensors):,}"),
            ("output", f"{size(plan.size)} ({plan.size:,} bytes)"),
            ("bits per weight", f"{bits:.2f}"),
            ("memory", f"about {size(memory)}"),
            ("disk", f"{size(plan.size)} in {folder}, which has {size(free)} free"),
        ]
    )
