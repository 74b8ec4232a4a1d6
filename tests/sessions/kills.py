"""SIGKILL at moments of a session that is written: what it had confirmed is there, and one can go on.

As a program, `python -m tests.sessions.kills FOLDER SEED AT HOW` says a conversation into a journal, and tells of each
moment of it that is confirmed. At its write number AT it kills itself: `before` it, in the middle (`half`) or `after`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.records import Record, Replay, changes
from qwen3cli.sessions.snapshot import Snapshot
from tests.sessions.talking import conversation

NAME, LENGTH = "tea", 25
WRITES = 80
"""About as many as there are."""
HOW = ("before", "half", "after")


def killed(folder: Path, seed: int, at: int = -1, how: str = "", seconds: float | None = None) -> int:
    """Kill such a process, at a write or after some seconds; how many moments it had confirmed."""
    command = [sys.executable, "-m", "tests.sessions.kills", str(folder), str(seed), str(at), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b""
        if seconds is not None:
            said = process.stdout.readline()
            time.sleep(seconds)
            process.kill()
        told = (said + process.stdout.read()).count(b"\n")
        assert process.wait() in (0, -signal.SIGKILL)
    return told


def check(folder: Path, seed: int, told: int) -> None:
    """Raises `AssertionError` unless all that was confirmed is there, and nothing that was never said."""
    moments = [*conversation(seed, LENGTH)]
    journal = Journal.open(folder, NAME)
    assert journal.before in _possible(moments, told)
    more = next(one for one in reversed(moments) if one.messages)
    journal.follow(more)
    journal.close()
    again = Journal.open(folder, NAME)
    again.close()
    assert (again.before, again.notices()) == (more, [])


def _possible(moments: Sequence[Snapshot], told: int) -> list[Snapshot | None]:
    """What may be there after so many moments were confirmed: the last of them, or parts of what was under way."""
    begun = next((n for n, one in enumerate(moments) if one.messages), LENGTH)
    known = moments[told - 1] if told > begun else None
    possible, replay = [known], Replay()
    if known is not None:
        _take(replay, changes(None, known))
    for record in changes(known, moments[told]) if begun <= told < LENGTH else ():
        _take(replay, [record])
        possible.append(replay.snapshot.mended() if replay.snapshot else None)
    return possible


def _take(replay: Replay, records: Iterable[Record]) -> None:
    for record in records:
        replay.take(json.loads(json.dumps(record)))


def _main(folder: Path, seed: int, at: int, how: str) -> None:
    write, number = os.write, 0

    def strike(descriptor: int, data: bytes) -> int:
        nonlocal number
        number += 1
        if number == at and how != "after":
            if how == "half":
                write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        written = write(descriptor, data)
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    os.write = strike
    journal = Journal.open(folder, NAME)
    for now in conversation(seed, LENGTH):
        journal.follow(now)
        journal.sync()
        print("confirmed", flush=True)
    journal.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
