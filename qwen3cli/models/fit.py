"""What a model needs in memory, what this machine has, and the placement that follows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qwen3cli.errors import NotEnough
from qwen3cli.machine import ModelFacts, Placement

NATIVE_CONTEXT = 32_768
"""Qwen3's native context; longer ones need YaRN, which harms short texts."""
SMALLEST_CONTEXT = 2_048
COMPUTE_BYTES = 320 * 1024 * 1024
"""Compute buffers and the rest: 512 tokens of logits over a vocabulary of 151,936 make 311 MB."""

_KV_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}
"""Bits for each cached value, block scales counted (ggml-common.h)."""


def place(
    facts: ModelFacts,
    *,
    threads: int,
    context: int | None = None,
    gpu_layers: int | None = None,
    kv_type: str = "f16",
    available: int | None = None,
) -> Placement:
    """A placement that fits: the asked context, else the native one, halved until weights and KV cache fit.

    Raises `NotEnough` with both figures when it cannot fit; `available` bytes default to this machine's.
    """
    have = available_memory() if available is None else available
    size = context or default_context(facts)
    while context is None and size > SMALLEST_CONTEXT and needed(facts, size, kv_type) > have:
        size //= 2
    need = needed(facts, size, kv_type)
    if need > have and gpu_layers is None:
        raise NotEnough(
            f"`{facts.name}` with a context of {size:,} tokens needs about {_gb(need)} of memory"
            f" and {_gb(have)} are free",
            "close other programs, give a smaller `--ctx` or `--kv-type q8_0`, or take a smaller model",
        )
    return Placement(context_size=size, threads=threads, gpu_layers=gpu_layers, kv_type=kv_type)


def default_context(facts: ModelFacts) -> int:
    """The context a model gets where memory is no question."""
    return min(facts.context_length or NATIVE_CONTEXT, NATIVE_CONTEXT)


def needed(facts: ModelFacts, context: int, kv_type: str) -> int:
    """Bytes: weights, KV cache, compute buffers."""
    cache = facts.kv_bytes_per_token * context * _KV_BITS[kv_type] / 16
    return facts.file_bytes + int(cache) + COMPUTE_BYTES


def available_memory() -> int:
    """Bytes a new process may take without pushing others out; a container's limit counts."""
    found = _linux() if sys.platform.startswith("linux") else None
    if found is None:
        found = _windows() if sys.platform == "win32" else _posix_total()
    return found


def _linux() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    figures = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    free = figures.get("MemAvailable")
    limit = _container_room()
    if free is None or limit is None:
        return free
    return min(free, limit)


def _container_room() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used)


def _posix_total() -> int:
    """macOS tells the total cheaply; it compresses and evicts well, so three quarters count as free."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


def _windows() -> int:
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
    return int(status.free)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
