"""SIGKILL at any moment of a download: the next run continues it, and hardly a byte is sent twice.

`python -m tests.torture.pulls URL SIZE SHA256 FOLDER` is the download that is killed. In what phase it was is told by
the steps that it came to.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen3cli.models.download import RemoteFile, download
from qwen3cli.models.http import Http
from qwen3cli.models.partial import CHUNK
from tests.models.fetching import Shop, Watcher, some_bytes
from tests.torture.kills import spread
from tests.torture.steps import Ran, Strike, run_watched

SIZE = 64_000_000
CONNECTIONS = 4
PHASES = (
    *("start-up", "claim", "first answer", "making the files", "early chunks", "middle chunks"),
    *("late chunks", "sync", "rename", "cleaning up"),
)
BUFFER = 16 << 10
"""Bytes that a kernel may hold at either end of a connection, and as much again: they are on the way, and lost."""
ALLOWED = CONNECTIONS * (CHUNK + 4 * BUFFER + (64 << 10))
_HOW = ("before", "after", "half")


@dataclass(frozen=True)
class Cut:
    """In what phase a download was killed, and how many bytes were sent twice for it."""

    phase: str
    again: int


class Pulls:
    """A file on a server, and a folder for each run."""

    def __init__(self, folder: Path, shop: Shop, size: int = SIZE) -> None:
        self._folder = folder
        self._shop = shop
        self._data = some_bytes(size)
        self._sha256 = hashlib.sha256(self._data).hexdigest()
        begin = time.monotonic()
        ran = self._run("undisturbed")
        self._seconds = time.monotonic() - begin
        assert ran.code == 0, ran.stderr
        self._steps = tuple(phases(ran.steps))

    def strikes(self, count: int) -> Iterator[tuple[str | None, Strike]]:
        """`count` moments spread over the phases, each with its phase; a fifth are points in time, without one."""
        timed = count // 5
        for number in range(timed):
            yield None, Strike(seconds=self._seconds * (number + 0.5) / timed)
        for number, step in enumerate(spread(self._steps, count - timed)):
            yield self._steps[step], Strike(step, _HOW[number % len(_HOW)])

    def strike(self, strike: Strike, number: int) -> Cut | None:
        """Kills a download and lets the next one finish; None if the first was faster.

        AssertionError for anything that must not be.
        """
        name = f"run-{number}"
        ran = self._run(name, strike)
        assert ran.killed or ran.code == 0, (ran.code, ran.stderr)
        phase = [PHASES[0], *phases(ran.steps, len(self._steps))][-1]
        for whole in (self._folder / name).glob("*.whole"):
            assert whole.read_bytes() == self._data, phase
        again = self._run(name)
        assert again.code == 0, f"{phase}, then exit {again.code}: {again.stderr}"
        left = [path.name for path in (self._folder / name).iterdir()]
        assert left == [f"{self._sha256}.whole"], (phase, left)
        assert (self._folder / name / left[0]).read_bytes() == self._data, phase
        shutil.rmtree(self._folder / name)
        cut = Cut(phase, self._shop.sent(f"/{name}$") - len(self._data))
        return cut if ran.killed else None

    def _run(self, name: str, strike: Strike | None = None) -> Ran:
        url = self._shop.put(f"/{name}", self._data).url
        folder = self._folder / name
        arguments = ["tests.torture.pulls", url, str(len(self._data)), self._sha256, str(folder)]
        return run_watched(arguments, folder, strike, self._folder / f"{name}.steps")


def phases(steps: Sequence[str], expected: int = 0) -> Iterator[str]:
    """The phase of each step; those of a run that was killed are a part of the steps that were `expected`."""
    phase, total = PHASES[1], max(len(steps), expected)
    for number, (event, _, path) in enumerate(step.partition(" ") for step in steps):
        kind = Path(path).suffix
        if phase in PHASES[1:3]:
            phase = _beginning(phase, event, kind)
        elif event == "os.rename":
            phase = "rename"
        elif event == "sync" and phase != "rename":
            phase = "sync"
        elif phase == "rename" and event == "os.remove":
            phase = "cleaning up"
        elif phase not in ("sync", "rename", "cleaning up"):
            phase = _middle(phase, event, 3 * number // total)
        yield phase


def _beginning(phase: str, event: str, kind: str) -> str:
    if event == "os.truncate":
        return "making the files"
    return "first answer" if kind == ".part" or phase == "first answer" else "claim"


def _middle(phase: str, event: str, third: int) -> str:
    if event == "write" and phase == "making the files":
        return "early chunks"
    if phase == "making the files":
        return phase
    return ("early chunks", "middle chunks", "late chunks")[third]


def _narrow_connection(*arguments: Any, **options: Any) -> socket.socket:
    connection = _connect(*arguments, **options)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return connection


_connect = socket.create_connection


def _main(url: str, size: str, sha256: str, folder: str) -> None:
    socket.create_connection = _narrow_connection
    file = RemoteFile("m.gguf", url, int(size), sha256)
    with Http() as http:
        download(http, file, Path(folder), Watcher(), connections=CONNECTIONS)


if __name__ == "__main__":
    _main(*sys.argv[1:])
