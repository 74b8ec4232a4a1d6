"""How many threads computing pays for: physical cores, as llama.cpp itself counts them (common/common.cpp).

Knows nothing of llama.cpp and loads nothing heavy: placements are made without an engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_FAST_CORES = Path("/sys/devices/cpu_core/cpus")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """Cores this process may use, at least 1: one per pair of hyper-threads, only fast ones on hybrids."""
    cores = _linux_cores() if sys.platform.startswith("linux") else _apple_cores()
    return max(1, min(cores or os.cpu_count() or 1, _quota()))


def _linux_cores() -> int:
    usable = os.sched_getaffinity(0)
    if _FAST_CORES.exists():
        usable = usable & parse_cpu_list(_FAST_CORES.read_text()) or usable
    siblings: set[str] = set()
    for cpu in usable:
        try:
            siblings.add((_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            siblings.add(str(cpu))
    return len(siblings)


def parse_cpu_list(text: str) -> set[int]:
    """The numbers in the kernel's list format, as in `0-3,8`."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def _apple_cores() -> int | None:
    for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
        try:
            answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True)
            return int(answer.stdout)
        except (OSError, ValueError, subprocess.CalledProcessError):
            continue
    return None


def _quota() -> int:
    """What a container's CPU quota amounts to, in cores; threads beyond it only wait for one another."""
    try:
        quota, period = _QUOTA.read_text().split()
        return ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return sys.maxsize
