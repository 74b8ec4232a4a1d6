"""Runs a program as a process of its own and measures it from outside: wall time and peak memory. Needs Linux.

Memory is what the process holds for itself: RssAnon and RssShmem of /proc/PID/status, polled. Pages of
memory-mapped files are left out, since the system takes them back whenever it likes; `resident` includes them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PERIOD: Final = 0.01
"""Seconds between two looks at a process's memory."""
_OWN: Final = (b"RssAnon:", b"RssShmem:")
_LAST_WORDS: Final = 3000


@dataclass(frozen=True, slots=True)
class Run:
    """One process from start to end; `memory` is its own at the peak, `resident` is ru_maxrss; bytes.

    `work` is the seconds that all its threads computed.
    """

    seconds: float
    work: float
    memory: int
    resident: int

    def then(self, other: Run) -> Run:
        """Both, one after the other."""
        return Run(
            self.seconds + other.seconds,
            self.work + other.work,
            max(self.memory, other.memory),
            max(self.resident, other.resident),
        )


def measure(command: Sequence[str], log: Path, environ: Mapping[str, str]) -> Run:
    """Runs `command` with its output in `log`; ends this program with the last of it if the command fails."""
    # What others left to be written would compete with a program that waits for the disk, as ours does.
    os.sync()
    with log.open("wb") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
        )
        watch = _Watch(process.pid)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            seconds = time.perf_counter() - begin
            watch.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_bytes()[-_LAST_WORDS:].decode(errors="replace")
        sys.exit(f"`{' '.join(command)}` failed with {process.returncode}:\n{said}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, watch.peak, usage.ru_maxrss * 1024)


def own_memory(status: bytes) -> int:
    """Bytes of memory in a /proc/PID/status that belong to the process alone; 0 once it has ended."""
    lines = [line.split() for line in status.splitlines()]
    return sum(int(line[1]) * 1024 for line in lines if line and line[0] in _OWN)


class _Watch(threading.Thread):
    """Looks at a process's memory until it is told to end; opened early, it never sees another process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._descriptor = os.open(f"/proc/{pid}/status", os.O_RDONLY)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                self.peak = max(self.peak, own_memory(os.pread(self._descriptor, 1 << 16, 0)))
            except ProcessLookupError:
                return

    def end(self) -> None:
        self._over.set()
        self.join()
        os.close(self._descriptor)
