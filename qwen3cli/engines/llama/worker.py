"""One thread that owns what must not be shared, and streams what happens there to its callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
Emit = Callable[[T], None]


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


class Worker:
    """A daemon thread that runs one job after the other.

    The callers' threads only wait, so signals reach their handlers at once, whatever native code does.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="llama", daemon=True)
        self._thread.start()

    def stream(
        self, job: Callable[[Emit[T]], None], give_up: Callable[[float], bool] = lambda _waited: False
    ) -> Iterator[T]:
        """Run `job` and yield what it emits, as it comes; its exception is raised here.

        `give_up` is asked about ten times a second, with the seconds since anything came; True stops waiting.
        """
        results: SimpleQueue[_Item[T] | _End] = SimpleQueue()

        def run() -> None:
            try:
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure
                job(lambda value: results.put(_Item(value)))
            except BaseException as error:
                results.put(_End(error))
            else:
                results.put(_End())

        self._jobs.put(run)
        latest = time.monotonic()
        while True:
            try:
                result = results.get(timeout=0.1)
            except Empty:
                if give_up(time.monotonic() - latest):
                    return
                continue
            latest = time.monotonic()
            if isinstance(result, _End):
                if result.error is not None:
                    raise result.error
                return
            yield result.value

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` when its turn has come, and wait for nothing; what it raises is raised by the next `stream`."""

        def run() -> None:
            try:
                job()
            except BaseException as error:
                self._failure = error

        self._jobs.put(run)

    def run(self, job: Callable[[], None]) -> None:
        """Run `job` there and wait for it."""
        for _ in self.stream(lambda _emit: job()):
            pass

    def close(self) -> None:
        """End the thread after the jobs it still has."""
        self._jobs.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """Let the thread end by itself when its job is over."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
