"""One server from start to end: connecting, with a second try, and what becomes of it. For the host's loop.

Knows nothing of threads, of what is asked of the server and of who may ask.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from qwen3cli.errors import QwenError, ToolsFailed
from qwen3cli.tools.attempts import Try, World
from qwen3cli.tools.failures import NoUse, ServerEnded, Trouble, WantsLogin, leaves, understood
from qwen3cli.tools.inventory import Inventory
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.offers import ServerStatus, State
from qwen3cli.tools.owed import Owed
from qwen3cli.tools.server_log import ServerLog
from qwen3cli.tools.sieve import Sieve
from qwen3cli.tools.threads import in_thread
from qwen3cli.tools.transports import Access, has_own_login, streams

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

_LISTING_S: Final = 60.0
_LOST_S: Final = 2.0
_END_S: Final = 5.0
"""How long a server may take to its end; one that is a process has less."""
_NOT_OFFERED: Final = ("sampling/createMessage", "roots/list")
_ELICIT: Final = "elicitation/create"
_NOTE: Final = 2000


class Connection:
    """One server of mcp.json."""

    def __init__(self, config: ServerConfig, world: World) -> None:
        self.config = config
        self.client: Client | None = None
        self.trouble = Trouble()
        self.busy = 0
        self.calls = 0
        """Of the requests that are under way, those that call a tool: only these may ask the person something."""
        self.log = ServerLog(world.folder / "logs" / f"{config.name}.log")
        self.inventory = Inventory(config, self.log)
        self._world = world
        self._state: State = "stopped"
        self._reason = ""
        self._protocol = ""
        self._began = self._seconds = 0.0
        self._legacy = config.transport == "sse"
        self._ended = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._settled = asyncio.Event()
        self._renewing = asyncio.Lock()

    @property
    def reason(self) -> str:
        """Why it is not ready."""
        return self._reason

    def is_over(self, client: Client) -> bool:
        """Whether a connection that was made has come to its end, or is about to."""
        return self.client is not client or self._ended.is_set()

    def tell(self, line: str) -> None:
        """News for the person."""
        self._world.tell(line)

    def status(self) -> ServerStatus:
        """How it is."""
        lines = () if self._state == "ready" else self.log.lines()
        name, tools = self.config.name, len(self.inventory.tools)
        return ServerStatus(
            name, self._state, self._protocol, tools, self._reason, lines, self.log.path, self._seconds
        )

    def start(self) -> None:
        """Begin to connect, unless that is done or on its way."""
        if self._state in ("starting", "ready"):
            return
        self._state, self._reason, self._began = "starting", "", time.monotonic()
        self._closing, self._settled = asyncio.Event(), asyncio.Event()
        self._life = asyncio.get_running_loop().create_task(self._live(self._closing, self._settled))

    async def settled(self) -> None:
        """Wait until it is ready or has failed."""
        if self._state == "starting":
            await self._settled.wait()

    async def connected(self) -> Client:
        """The connection, made anew if it is gone."""
        async with self._renewing:
            # One that is about to end is of no use.
            self.start()
        await self.settled()
        if self.client is None:
            raise ToolsFailed(self._reason or f"the server `{self.config.name}` is not running")
        return self.client

    async def over(self) -> None:
        """Wait for the end of a connection that is about to end."""
        if self._life is not None:
            await asyncio.wait([self._life], timeout=5)

    async def renew(self, client: Client) -> None:
        """End a connection whose session is lost, unless somebody else has done that meanwhile.

        Other requests in it are about to hear the same, and may be repeated only when they have.
        """
        async with self._renewing:
            deadline = time.monotonic() + _LOST_S
            while self.busy and self.client is client and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            if self.client is client:
                await self.close()

    async def close(self) -> None:
        """End the connection and the server."""
        life, self._life = self._life, None
        if life is None:
            return
        self._closing.set()
        if self._state == "starting":
            life.cancel()
        await asyncio.wait([life], timeout=_END_S)
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life

    async def _live(self, closing: asyncio.Event, settled: asyncio.Event) -> None:
        failure: QwenError | None = None
        asked = False
        patience = self._world.patience
        tries = [] if self._legacy else [Try(False, patience.start_s)]
        tries.append(Try(True, patience.start_s if self._legacy else patience.retry_s))
        try:
            for one in tries:
                before, failure = failure, await self._serve(one, closing)
                if isinstance(failure, WantsLogin) and self._state == "starting" and self._may_log_in():
                    if asked:
                        # Why the login came to nothing is said, and nobody is asked for another.
                        failure = before
                        break
                    with_login = Try(one.legacy, one.limit_s, login=True)
                    failure = await self._serve(with_login, closing)
                    asked = with_login.asked
                # An end from outside may look like that of the time for a try.
                if self._state != "starting" or isinstance(failure, NoUse) or closing.is_set():
                    break
        finally:
            self.client = None
            self._bury(None if closing.is_set() else failure)
            settled.set()

    def _may_log_in(self) -> bool:
        return self._world.open_url is not None and not has_own_login(self.config)

    def _bury(self, failure: QwenError | None) -> None:
        if self._state == "ready":
            self._state = "stopped"
            self._reason = failure.message if failure else ""
            if failure is not None and not self.busy:
                self._world.tell(f"{failure.message}; it is started again when one of its tools is called")
            return
        self._state = "failed"
        self._seconds = time.monotonic() - self._began
        self._reason = failure.message if failure else "it was stopped"
        if failure is not None:
            hint = f" ({failure.hint})" if failure.hint else ""
            lines = "".join(f"\n  {line}" for line in self.log.lines())
            self._world.tell(failure.message + hint + (f"; it wrote:{lines}" if lines else ""))

    async def _serve(self, one: Try, closing: asyncio.Event) -> QwenError | None:
        """One connection from start to end; why it failed or ended, None where we ended it."""
        self.trouble, self._ended = one.trouble, one.ended
        self.log.begin(f"starting {self.config.command or self.config.url}")
        try:
            await self._session(one, closing)
        except BaseException as error:
            # Groups hold what happened in several tasks; an end from outside is no failure of the server.
            if not all(isinstance(inner, Exception) for inner in leaves(error)):
                raise
            return None if closing.is_set() else understood(self.config.name, error, one.trouble)
        if closing.is_set():
            return None
        error = ServerEnded(f"the server `{self.config.name}` closed the connection")
        return (
            ServerEnded(f"the server `{self.config.name}` {one.trouble.ended}")
            if one.trouble.ended
            else error
        )

    async def _session(self, one: Try, closing: asyncio.Event) -> None:
        # Half a second of imports, for which the loop need not stand still.
        await in_thread(_load)
        import anyio

        with anyio.fail_after(one.limit_s) as limit:

            def waiting(begins: bool) -> None:
                # Somebody logs in, which takes as long as it takes; then the server has its time again.
                one.asked = True
                if self._state == "starting":
                    limit.deadline = math.inf if begins else anyio.current_time() + one.limit_s

            open_url = self._world.open_url if one.login else None
            access = Access(self._world.folder / "tokens", open_url, waiting)
            async with self._client(one, access) as client:
                await self.inventory.take(client)
                limit.deadline = math.inf
                self._ready(client, one)
                await self._until_over(client, one.ended, closing)

    def _client(self, one: Try, access: Access) -> Client:
        from mcp import Client
        from mcp_types import Implementation

        def version() -> str | None:
            # There is no session before its first message, and a server may speak unasked.
            with suppress(RuntimeError):
                return client.session.protocol_version
            return None

        def sieve(stream: Any, owed: Owed) -> Sieve:
            def hear(message: Any) -> None:
                owed.hear(message)
                self._refuse(message)

            return Sieve(stream, version, lambda: self.inventory.left_out, hear, one.ended.set)

        exit_s = self._world.patience.exit_s
        client = Client(
            streams(self.config, self.log, one.trouble, access, sieve, exit_s),
            mode="legacy" if one.legacy else "auto",
            read_timeout_seconds=min(self.config.timeout_s, _LISTING_S),
            elicitation_callback=self._elicited if self._world.questions.possible else None,
            logging_callback=self._logged,
            message_handler=self._notified,
            client_info=Implementation(name="qwen3", version="1"),
        )
        return client

    def _ready(self, client: Client, one: Try) -> None:
        self._state, self._protocol = "ready", client.protocol_version
        self._legacy = self._legacy or one.legacy
        self._seconds = time.monotonic() - self._began
        self.client = client
        self._settled.set()

    async def _until_over(self, client: Client, ended: asyncio.Event, closing: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_task(ended.wait()), loop.create_task(closing.wait())]
        following = loop.create_task(self.inventory.follow(client))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, following):
                task.cancel()
            await asyncio.wait([*ends, following])

    def _refuse(self, message: Any) -> None:
        """Make a request for what we do not offer one that nobody knows.

        The SDK would call it invalid; the protocols that have such requests want to hear that there is no such method.
        """
        method = getattr(getattr(message, "message", None), "method", None)
        if method in _NOT_OFFERED or (method == _ELICIT and not self._world.questions.possible):
            message.message.method = f"{method} (not offered)"

    async def _notified(self, message: Any) -> None:
        import mcp_types

        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.inventory.note_change()

    async def _logged(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        self.log.note(f"{params.level}: {params.data}"[:_NOTE])

    async def _elicited(
        self, context: Any, params: mcp_types.ElicitRequestParams
    ) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        # Asked again when it is its turn: a server may ask much at once, and end the call meanwhile.
        return await self._world.questions.put(self.config.name, params, lambda: self.calls > 0)


def _load() -> None:
    importlib.import_module("mcp")
