"""What a machine has: main memory, and the memory of GPUs; this one, or one that a person describes.

How much of it a model can have is decided here, once, and so is whether one that is to be pulled would run well.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.errors import UsageError
from qwen3cli.machine import Device
from qwen3cli.models.catalog import Member
from qwen3cli.models.sizes import buffers_of_member

LEAST_CONTEXT = 8_192
"""Tokens that a model must have room for to be of use: a question, some thinking, an answer."""
GPU_MARGIN = 1 << 30
"""What stays free on each GPU, as in llama.cpp's own fitting: the driver's context, and the screen."""
_MOST_FOR_THE_SYSTEM = 4 << 30

_POWERS = {"": 3, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?:([kmgt])(i?)b?)?", re.IGNORECASE)
_LEAST_RAM = 100_000_000
_MOST = 1 << 50


@dataclass(frozen=True)
class Machine:
    """Memory in bytes: `total` is built in, a model can have `usable`; `free` at this moment, None if described.

    `gpus` is what is free on each GPU that has memory of its own. `shared` says that there is a GPU that computes in
    main memory, as Apple's do.
    """

    total: int
    usable: int
    free: int | None = None
    gpus: tuple[int, ...] = ()
    shared: bool = False

    @property
    def gpu_room(self) -> int:
        """What a model can have on the GPUs."""
        return sum(max(0, free - GPU_MARGIN) for free in self.gpus)


def this_machine(devices: Sequence[Device] = ()) -> Machine:
    """The machine we run on; `devices` are those that the engine can compute on."""
    total, free = total_memory(), available_memory()
    own = [device for device in devices if device.kind == "GPU" and not _is_apples(device)]
    sharing = [d for d in devices if not own and (d.kind == "integrated GPU" or _is_apples(d))]
    usable = max(_usable(total), free)
    for device in sharing:
        # Metal tells how much of the memory a GPU may work in.
        usable = min(usable, device.total_memory or usable)
    return Machine(total, usable, free, tuple(device.free_memory for device in own), bool(sharing))


def described(ram: int, vram: int | None = None) -> Machine:
    """A machine with so much memory; `vram` is that of a GPU of its own."""
    return Machine(ram, _usable(ram), gpus=(vram,) if vram else ())


def runs_well(size: int, member: Member | None, machine: Machine | None = None) -> bool:
    """Whether `size` bytes of weights fit the machine, this one unless given, with `LEAST_CONTEXT` tokens.

    The margin is what `Machine.usable` leaves to others. Of a model outside the family only the size is known: the
    cache and the buffers of most take less than a third of it.
    """
    machine = machine or this_machine()
    room = machine.usable + machine.gpu_room
    if member is None:
        return size * 4 // 3 <= room
    buffers = buffers_of_member(member)
    return size + buffers.cache(LEAST_CONTEXT, "f16") + buffers.compute(LEAST_CONTEXT) <= room


def _usable(total: int) -> int:
    """What is left when a quarter, at most 4 GiB, is the system's and other programs'."""
    return max(total * 3 // 4, total - _MOST_FOR_THE_SYSTEM)


def _is_apples(device: Device) -> bool:
    return device.name.startswith(("Metal", "MTL"))


def parse_size(text: str, flag: str) -> int:
    """Bytes of `16G`, `24GiB`, `512 MB` or plainly `16`; a `UsageError` that names `flag` for anything else."""
    match = _SIZE.fullmatch(text.strip())
    hint = "write it as in `16G` or `24GiB`; a plain number is in gigabytes"
    if match is None:
        raise UsageError(f"`{flag}` takes a size, not `{text[:40]}`", hint)
    size = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[(match[2] or "").lower()])
    if size > _MOST:
        raise UsageError(f"`{flag} {text[:40]}` is more than any machine has", hint)
    return size


def parse_ram(text: str) -> int:
    """Bytes of main memory that a person describes."""
    size = parse_size(text, "--ram")
    if size < _LEAST_RAM:
        raise UsageError(f"`--ram {text[:40]}` is too little for any model", "write it as in `16G`")
    return size


def available_memory() -> int:
    """Bytes a new process may take without pushing others out; a container's limit counts."""
    if sys.platform == "win32":
        return _windows()[1]
    if not sys.platform.startswith("linux"):
        # macOS tells the total cheaply; it compresses and evicts well, so three quarters count as free.
        return total_memory() * 3 // 4
    limit = _container()
    free = _meminfo("MemAvailable")
    return free if limit is None else min(free, max(0, limit[0] - limit[1]))


def total_memory() -> int:
    """Bytes of main memory, or of what a container may take of it."""
    if sys.platform == "win32":
        return _windows()[0]
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _container()
    return total if limit is None else min(total, limit[0])


def _meminfo(key: str) -> int:
    """A figure of Linux's own; three quarters of all where it tells none."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


def _container() -> tuple[int, int] | None:
    """A container's limit and what it uses of it."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return None if limit == "max" else (int(limit), used)
    except (OSError, ValueError):
        return None


def _windows() -> tuple[int, int]:
    """Total and free bytes."""
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "total_page", "free_page")),
            *((name, ctypes.c_ulonglong) for name in ("total_virtual", "free_virtual", "free_extended")),
        ]

    status = MemoryStatus()
    status.length = ctypes.sizeof(MemoryStatus)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.total), int(status.free)
