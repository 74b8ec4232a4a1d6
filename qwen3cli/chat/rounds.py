"""The tool calls of one reply: asked for one after the other, run side by side, their results in order."""

from __future__ import annotations

import json
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
STOPPED = "The user stopped this call."
_REPEATED = (
    "This call with these arguments has just failed, so it was not run again."
    " Change the arguments, use another tool, or answer without it."
)


class Repeats:
    """Which calls have failed, and may not come again before another one has succeeded.

    `hopeless` once the model has been told so of all that it calls, and calls it all the same.
    """

    def __init__(self) -> None:
        self.hopeless = False
        self._failed: set[str] = set()
        self._told: set[str] = set()

    def is_one(self, call: ToolCall) -> bool:
        """Whether this call has failed, and nothing has succeeded since."""
        return _key(call) in self._failed

    def note(self, calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> None:
        """Keep what came of a round."""
        keys = [_key(call) for call in calls]
        failed = {key for key, result in zip(keys, results, strict=True) if result.is_error}
        repeated = failed & self._failed
        self.hopeless = self._told.issuperset(keys)
        if len(failed) < len(set(keys)):
            # What was refused would now meet another world; what failed beside a success would meet the same.
            self._failed, self._told = failed - repeated, set()
        else:
            self._failed |= failed
            self._told |= repeated


def _key(call: ToolCall) -> str:
    """The call as text: `True` equals `1` in Python, and the order of names means nothing in JSON."""
    return json.dumps([call.name, dict(call.arguments)], sort_keys=True)


class Round:
    """The calls of one reply."""

    def __init__(self, tools: ToolHost, calls: Sequence[ToolCall], repeats: Repeats) -> None:
        self.interrupted = False
        self.only_searched = True
        """Whether the host has answered all calls itself: what it offers has been looked through, and nothing done."""
        self._tools = tools
        self._calls = calls
        self._repeats = repeats
        self._results: list[ToolResult | None] = [None] * len(calls)

    def results(self, otherwise: str = STOPPED) -> list[ToolResult]:
        """One result for each call, in order; `otherwise` is told of calls that have not come back."""
        return [
            result or ToolResult(call.name, otherwise, is_error=True)
            for call, result in zip(self._calls, self._results, strict=True)
        ]

    def run(self, room: int) -> Iterator[Notice | Working]:
        """Ask for each call, then run those that may; each result may take `room` tokens of the context."""
        prepared: dict[int, PreparedCall] = {}
        try:
            yield from self._prepare(prepared)
        except BaseException as error:
            # At a question or in between: whoever left wants none of them, nor does a terminal that is gone.
            for one in prepared.values():
                one.drop()
            if not isinstance(error, Interrupted):
                raise
            self.interrupted = True
            return
        if prepared:
            yield from self._side_by_side(prepared, room)
        self._repeats.note(self._calls, self.results())

    def _prepare(self, prepared: dict[int, PreparedCall]) -> Iterator[Notice]:
        """Ask for each call; those that may run are in `prepared`, the others have their results."""
        for number, call in enumerate(self._calls):
            if self._repeats.is_one(call):
                yield Notice(f"`{call.name}` has just failed with these arguments: it is not called again")
                self._results[number] = ToolResult(call.name, _REPEATED, is_error=True)
                self.only_searched = False
                continue
            ready = self._tools.prepare(call)
            if isinstance(ready, ToolResult):
                self._results[number] = ready
                self.only_searched &= not ready.is_error
            else:
                self.only_searched = False
                prepared[number] = ready

    def _side_by_side(self, prepared: dict[int, PreparedCall], room: int) -> Iterator[Working]:
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(prepared)), thread_name_prefix="tool")
        running: dict[int, Future[ToolResult]] = {}
        try:
            for number, call in prepared.items():
                watch = partial(_say, said, call.call.name)
                running[number] = pool.submit(call.run, room, watch)
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
            for number, call in prepared.items():
                if number not in running or running[number].cancelled():
                    call.drop()
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
