"""The MCP servers of one run: a face for ordinary threads over one background thread with one asyncio loop.

Nothing is imported or started before `start`. Names of tools are as servers give them; who may call what, how results
are shortened, and what the model sees, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from qwen3cli.errors import Interrupted, QwenError, ToolsFailed
from qwen3cli.tools import requests
from qwen3cli.tools.attempts import World
from qwen3cli.tools.connection import Connection
from qwen3cli.tools.elicitation import Questions
from qwen3cli.tools.kinds import RawResult, RemoteTool, ServerConfig
from qwen3cli.tools.offers import Elicit, Patience, RemotePrompt, RemoteResource, ServerStatus

_LOOK_S: Final = 0.05
"""How often a waiting thread looks whether it was told to stop."""
_CLOSE_S: Final = 4.5
_LAST_S: Final = 0.2
_LIST_S: Final = 15.0
T = TypeVar("T")


class McpHost:
    """All configured servers; every method may be called from any thread but the loop's."""

    def __init__(
        self,
        servers: Sequence[ServerConfig],
        folder: Path,
        *,
        elicit: Elicit | None = None,
        open_url: Callable[[str], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`folder` holds logs and tokens; `elicit` asks the person, `open_url` shows a URL of a login and opens it."""
        self._news: deque[str] = deque(maxlen=200)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        tell = self._news.append
        world = World(folder, Questions(elicit, open_url, tell), open_url, tell, patience or Patience())
        self._connections = {server.name: Connection(server, world) for server in servers}

    def start(self, names: Iterable[str] | None = None) -> None:
        """Begin to start all servers, or those of `names`, at once; returns immediately."""
        chosen = [self._connection(name) for name in (self._connections if names is None else names)]
        if not chosen:
            return

        async def begin() -> None:
            for connection in chosen:
                connection.start()

        self._ask(begin())

    def wait(self, timeout_s: float = 30.0, stop: threading.Event | None = None) -> None:
        """Wait until each server that was started is ready or has failed, until the time is over, or for `stop`."""
        if self._loop is None:
            return
        deadline = time.monotonic() + timeout_s

        async def settle() -> None:
            await asyncio.gather(*(connection.settled() for connection in self._connections.values()))

        future = self._submit(settle())
        while not concurrent.futures.wait([future], timeout=_LOOK_S).done:
            if time.monotonic() > deadline or (stop is not None and stop.is_set()):
                future.cancel()
                return

    def tools(self) -> list[RemoteTool]:
        """The tools of all servers that are ready, or are started again when they are called."""
        return [
            tool
            for connection in self._connections.values()
            if connection.status().state in ("ready", "stopped")
            for tool in list(connection.inventory.tools)
        ]

    def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        watch: Callable[[str], None],
        cancelled: threading.Event,
    ) -> RawResult:
        """Call a tool; `watch` hears of progress on the loop's thread.

        Raises `Interrupted` soon after `cancelled` is set, when the server is told so, and `ToolsFailed` when the
        server is dead, does not answer in its time, or answers with nonsense. A dead server is started again, once.
        """
        return self._awaited(requests.call(self._connection(server), tool, arguments, watch), cancelled)

    def status(self) -> list[ServerStatus]:
        """How each server is, in the order of the configuration."""
        return [connection.status() for connection in self._connections.values()]

    def news(self) -> list[str]:
        """What happened since this was asked last: servers that failed, tools that changed or cannot be used."""
        found: list[str] = []
        with suppress(IndexError):
            while True:
                found.append(self._news.popleft())
        return found + [
            line for connection in self._connections.values() for line in connection.inventory.news()
        ]

    def reconnect(self, name: str) -> None:
        """End one server and start it again; `status` tells what came of it."""
        connection = self._connection(name)

        async def again() -> None:
            await connection.close()
            connection.start()
            await connection.settled()

        self._ask(again())

    def prompts(self) -> list[RemotePrompt]:
        """The prompts that all ready servers offer."""
        return self._gathered(requests.prompts)

    def prompt(
        self,
        server: str,
        name: str,
        arguments: Mapping[str, str],
        cancelled: threading.Event | None = None,
    ) -> list[tuple[str, str]]:
        """The messages of one prompt: roles and texts; raises `Interrupted` soon after `cancelled` is set."""
        return self._awaited(requests.prompt(self._connection(server), name, arguments), cancelled)

    def resources(self) -> list[RemoteResource]:
        """The resources that all ready servers offer."""
        return self._gathered(requests.resources)

    def read(self, server: str, uri: str, cancelled: threading.Event | None = None) -> RawResult:
        """What is in a resource; raises `Interrupted` soon after `cancelled` is set."""
        return self._awaited(requests.read(self._connection(server), uri), cancelled)

    def close(self) -> None:
        """End all servers and the thread; within five seconds, whatever the servers do."""
        with self._starting:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is None:
            return

        async def end() -> None:
            ends = [asyncio.ensure_future(connection.close()) for connection in self._connections.values()]
            await asyncio.wait(ends, timeout=_CLOSE_S)

        future = asyncio.run_coroutine_threadsafe(end(), loop)
        concurrent.futures.wait([future], timeout=_CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(0.5)

    def _connection(self, name: str) -> Connection:
        found = self._connections.get(name)
        if found is None:
            raise ToolsFailed(f"there is no server `{name}`", "`qwen3 mcp list` shows what there is")
        return found

    def _gathered(self, ask: Callable[[Connection], Coroutine[Any, Any, list[T]]]) -> list[T]:
        """What all ready servers answer; those that fail are news."""
        if self._loop is None:
            return []

        async def one(connection: Connection) -> list[T]:
            try:
                return await asyncio.wait_for(ask(connection), _LIST_S)
            except QwenError as error:
                self._news.append(error.message)
            except asyncio.TimeoutError:
                self._news.append(f"the server `{connection.config.name}` does not answer")
            return []

        async def everyone() -> list[list[T]]:
            return await asyncio.gather(*(one(connection) for connection in self._connections.values()))

        return [found for answers in self._ask(everyone()) for found in answers]

    def _awaited(self, work: Coroutine[Any, Any, T], cancelled: threading.Event | None) -> T:
        """The result of a request, unless the person stops it: then the server is told so."""
        future = self._submit(work)
        while not concurrent.futures.wait([future], timeout=_LOOK_S).done:
            if cancelled is not None and cancelled.is_set():
                future.cancel()
                raise Interrupted
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _ended() from None

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return self._submit(work).result()

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with self._starting:
            if self._closed:
                work.close()
                raise _ended()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=[self._loop], name="mcp", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)


def _ended() -> ToolsFailed:
    return ToolsFailed("the servers have been ended, for the program ends")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The background thread."""
    # Without a handler, Python writes warnings of the SDK to the terminal.
    for name in ("mcp", "client", "mcp_types"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # Whoever did not end in time is told, for Python complains at the terminal of tasks that it finds unfinished.
        late = asyncio.all_tasks(loop)
        for task in late:
            task.cancel()
        if late:
            loop.run_until_complete(asyncio.wait(late, timeout=_LAST_S))
    finally:
        loop.close()
