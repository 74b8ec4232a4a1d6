"""Calls functions in child processes that may die: a death by a signal is a result like any other.

ggml ends the process where an assertion fails, and no exception tells of it; so whatever is given odd numbers is
called here. A warning in the child is an error, since a person would see it on the terminal.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_ROOM = 6 << 30
"""Bytes of addresses that a child may have: enough for its libraries, and no machine is brought to its knees."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call: a `value`, or how the child failed."""

    value: Any = None
    failure: str | None = None

    @property
    def checked(self) -> Any:
        """The value; AssertionError for anything else."""
        assert self.failure is None, self.failure
        return self.value


class Worker:
    """A child process that answers one call after the other, and is started again after a death."""

    def __init__(self, function: str, folder: Path) -> None:
        self._function = function
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._errors = folder / "errors.txt"

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def call(self, argument: Any, timeout_s: float = 60) -> Outcome:
        """The outcome of one call; a child that does not answer in time is ended."""
        child = self._process or self._start()
        assert child.stdin and child.stdout
        silent = threading.Event()

        def end() -> None:
            silent.set()
            child.kill()

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            child.stdin.write(json.dumps(argument) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line:
            return Outcome(**json.loads(line))
        code = self._end()
        if silent.is_set():
            return Outcome(failure=f"no answer in {timeout_s:.0f} s")
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return Outcome(failure=f"died: {how}: {self._said()}")

    def _start(self) -> subprocess.Popen[str]:
        # Without them ggml calls a debugger, and numpy's library takes a thread and its memory for each core.
        quiet = {"GGML_NO_BACKTRACE": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", __name__, self._function, str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env={**os.environ, **quiet},
            )
        return self._process

    def _end(self) -> int:
        child, self._process = self._process, None
        if child is None:
            return 0
        child.communicate()  # Closes its stdin, which ends it.
        return child.returncode

    def _said(self) -> str:
        return self._errors.read_text(encoding="utf-8", errors="replace")[-500:].strip()


def each(
    function: str, arguments: Sequence[Any], folder: Path, *, workers: int = 2
) -> Iterator[tuple[Any, Outcome]]:
    """`module:function(argument, folder)` for each argument, in children with a folder each; in any order."""
    waiting = iter(arguments)
    lock = threading.Lock()

    def work(number: int) -> list[tuple[Any, Outcome]]:
        mine = folder / f"worker-{number}"
        mine.mkdir()
        found: list[tuple[Any, Outcome]] = []
        with Worker(function, mine) as worker:
            while True:
                with lock:
                    argument = next(waiting, None)
                if argument is None:
                    return found
                found.append((argument, worker.call(argument)))

    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(work, range(workers)):
            yield from found


def _serve(name: str, folder: Path) -> None:
    """The child: a line in, a line out; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ROOM, _ROOM))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, _, function = name.partition(":")
    call = getattr(importlib.import_module(module), function)
    for line in sys.stdin:
        try:
            answer = {"value": call(json.loads(line), folder)}
        except Exception:
            answer = {"failure": traceback.format_exc(limit=-4)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
