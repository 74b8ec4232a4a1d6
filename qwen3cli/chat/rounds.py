"""The tool calls of one reply: asked for one after the other, run side by side, their results in order."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from qwen3cli.chat.events import Notice, Working
from qwen3cli.chat.messages import ToolCall, ToolResult
from qwen3cli.chat.ports import PreparedCall, ToolHost
from qwen3cli.errors import Interrupted

_AT_ONCE = 8
_LOOK_S = 0.1
"""How often a screen hears that tools are still running; Ctrl-C is heard in between."""
_INTERRUPTED = "The person stopped this call."
_REPEATED = (
    "This call with these arguments has just failed, so it was not run again."
    " Change the arguments, use another tool, or answer without it."
)


class Repeats:
    """Which calls failed in the last round; `hopeless` once the model has been told so and repeats one all the same."""

    def __init__(self) -> None:
        self.hopeless = False
        self._failed: list[ToolCall] = []
        self._told: list[ToolCall] = []

    def is_one(self, call: ToolCall) -> bool:
        """Whether this call has just failed."""
        if call in self._told:
            self.hopeless = True
        return call in self._failed

    def note(self, calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> None:
        """Keep what failed in a round."""
        failed = [call for call, result in zip(calls, results, strict=True) if result.is_error]
        self._told = [call for call in failed if call in self._failed]
        self._failed = failed


class Round:
    """The calls of one reply; `room` is what each result may take of the context, in tokens."""

    def __init__(self, tools: ToolHost, calls: Sequence[ToolCall], room: int, repeats: Repeats) -> None:
        self.interrupted = False
        self._tools = tools
        self._calls = calls
        self._room = room
        self._repeats = repeats
        self._results: list[ToolResult | None] = [None] * len(calls)

    def results(self) -> list[ToolResult]:
        """One result for each call, in order; calls that have not come back were stopped."""
        return [
            result or ToolResult(call.name, _INTERRUPTED, is_error=True)
            for call, result in zip(self._calls, self._results, strict=True)
        ]

    def run(self) -> Iterator[Notice | Working]:
        """Ask for each call, then run those that may."""
        prepared: dict[int, PreparedCall] = {}
        for number, call in enumerate(self._calls):
            if self._repeats.is_one(call):
                yield Notice(f"`{call.name}` has just failed with these arguments: it is not called again")
                self._results[number] = ToolResult(call.name, _REPEATED, is_error=True)
                continue
            try:
                ready = self._tools.prepare(call)
            except Interrupted:
                self.interrupted = True
                return
            if isinstance(ready, ToolResult):
                self._results[number] = ready
            else:
                prepared[number] = ready
        if prepared:
            yield from self._side_by_side(prepared)
        self._repeats.note(self._calls, self.results())

    def _side_by_side(self, prepared: dict[int, PreparedCall]) -> Iterator[Working]:
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(prepared)), thread_name_prefix="tool")
        running: dict[int, Future[ToolResult]] = {}
        try:
            for number, call in prepared.items():
                watch = partial(_say, said, call.call.name)
                running[number] = pool.submit(call.run, self._room, watch)
            while not said.empty() or not all(future.done() for future in running.values()):
                try:
                    yield Working(said.get(timeout=_LOOK_S))
                except queue.Empty:
                    yield Working("")
        finally:
            # The consumer may have walked away: then nobody waits for what still runs.
            if not all(future.done() for future in running.values()):
                self._tools.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            self._collect(running)

    def _collect(self, running: dict[int, Future[ToolResult]]) -> None:
        for number, future in running.items():
            if not future.done() or future.cancelled():
                continue
            error = future.exception()
            if error is None:
                self._results[number] = future.result()
            elif isinstance(error, Interrupted):
                self.interrupted = True
            else:
                raise error


def _say(said: queue.SimpleQueue[str], name: str, text: str) -> None:
    said.put(f"{name}: {text}")
