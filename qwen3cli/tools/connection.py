"""One server from start to end: connecting, with a second try; its tools; what becomes of it. For the host's loop.

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
from qwen3cli.tools.failures import NoUse, ServerEnded, Trouble, WantsLogin, brief, leaves, understood
from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.listing import changes, list_tools
from qwen3cli.tools.offers import ServerStatus, State
from qwen3cli.tools.server_log import ServerLog
from qwen3cli.tools.sieve import Sieve
from qwen3cli.tools.threads import in_thread
from qwen3cli.tools.transports import Access, has_own_login, streams

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

_SETTLE_S: Final = 0.2
"""A server that changes its tools again and again is asked for them this often at most."""
_LISTING_S: Final = 60.0
_NOTE: Final = 2000


class Connection:
    """One server of mcp.json."""

    def __init__(self, config: ServerConfig, world: World) -> None:
        self.config = config
        self.tools: list[RemoteTool] = []
        self.client: Client | None = None
        self.trouble = Trouble()
        self.busy = 0
        self.calls = 0
        """Of the requests that are under way, those that call a tool: only these may ask the person something."""
        self.log = ServerLog(world.folder / "logs" / f"{config.name}.log")
        self._world = world
        self._state: State = "stopped"
        self._reason = ""
        self._protocol = ""
        self._began = self._seconds = 0.0
        self._legacy = config.transport == "sse"
        self._dropped: dict[str, str] = {}
        self._life: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._settled = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def reason(self) -> str:
        """Why it is not ready."""
        return self._reason

    def status(self) -> ServerStatus:
        """How it is."""
        lines = () if self._state == "ready" else self.log.lines()
        name, tools = self.config.name, len(self.tools)
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
        self.start()
        await self.settled()
        if self.client is None:
            raise ToolsFailed(self._reason or f"the server `{self.config.name}` is not running")
        return self.client

    async def over(self) -> None:
        """Wait for the end of a connection that is about to end."""
        if self._life is not None:
            await asyncio.wait([self._life], timeout=5)

    async def close(self) -> None:
        """End the connection and the server."""
        life, self._life = self._life, None
        if life is None:
            return
        self._closing.set()
        if self._state == "starting":
            life.cancel()
        with suppress(asyncio.CancelledError):
            await life

    async def _live(self, closing: asyncio.Event, settled: asyncio.Event) -> None:
        failure: QwenError | None = None
        patience = self._world.patience
        tries = [] if self._legacy else [Try(False, patience.start_s)]
        tries.append(Try(True, patience.start_s if self._legacy else patience.retry_s))
        try:
            for one in tries:
                failure = await self._serve(one, closing)
                if isinstance(failure, WantsLogin) and self._may_log_in():
                    failure = await self._serve(Try(one.legacy, one.limit_s, login=True), closing)
                if self._state != "starting" or isinstance(failure, NoUse):
                    break
        finally:
            self.client = None
            self._bury(failure)
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
        self.trouble = one.trouble
        self.log.begin(f"starting {self.config.command or self.config.url}")
        try:
            await self._session(one, closing)
        except BaseException as error:
            # Groups hold what happened in several tasks; an end from outside is no failure of the server.
            if not all(isinstance(inner, Exception) for inner in leaves(error)):
                raise
            return understood(self.config.name, error, one.trouble)
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

            def waiting() -> None:
                # Somebody logs in, which takes as long as it takes.
                limit.deadline = math.inf

            open_url = self._world.open_url if one.login else None
            access = Access(self._world.folder / "tokens", open_url, waiting)
            async with self._client(one, access) as client:
                tools = await self._list(client)
                limit.deadline = math.inf
                self._ready(client, tools, one)
                await self._until_over(client, one.ended, closing)

    def _client(self, one: Try, access: Access) -> Client:
        from mcp import Client
        from mcp_types import Implementation

        def sieve(stream: Any) -> Sieve:
            return Sieve(stream, lambda: client.session.protocol_version, self._dropped, one.ended.set)

        client = Client(
            streams(self.config, self.log, one.trouble, access, sieve),
            mode="legacy" if one.legacy else "auto",
            read_timeout_seconds=min(self.config.timeout_s, _LISTING_S),
            elicitation_callback=self._elicited if self._world.questions.possible else None,
            logging_callback=self._logged,
            message_handler=self._notified,
            client_info=Implementation(name="qwen3", version="1"),
        )
        return client

    def _ready(self, client: Client, tools: list[RemoteTool], one: Try) -> None:
        self._state, self._protocol = "ready", client.protocol_version
        self._legacy = self._legacy or one.legacy
        self._seconds = time.monotonic() - self._began
        if self.tools and (what := changes(self.tools, tools)):
            self._world.tell(f"the server `{self.config.name}` has other tools than before: {what}")
        self.tools, self.client = tools, client
        self._settled.set()

    async def _until_over(self, client: Client, ended: asyncio.Event, closing: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_task(ended.wait()), loop.create_task(closing.wait())]
        others = [loop.create_task(self._listen(client)), loop.create_task(self._relist(client))]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, *others):
                task.cancel()
            await asyncio.gather(*ends, *others, return_exceptions=True)

    async def _list(self, client: Client) -> list[RemoteTool]:
        known = dict(self._dropped)
        self._dropped.clear()
        tools = await list_tools(client, self.config, self._world.tell)
        for name, reason in self._dropped.items():
            if known.get(name) != reason:
                shown = ascii(name)[1:-1][:80]
                self._world.tell(
                    f"the tool `{shown}` of the server `{self.config.name}` is left out: {reason}"
                )
        return tools

    async def _listen(self, client: Client) -> None:
        """Hear of changes in the newer protocol, where one has to ask for that."""
        from mcp.client.subscriptions import ListenNotSupportedError

        tools = client.server_capabilities.tools
        if tools is None or not tools.list_changed:
            return
        with suppress(ListenNotSupportedError):
            try:
                async with client.listen(tools_list_changed=True) as changed:
                    async for _ in changed:
                        self._changed.set()
            except ListenNotSupportedError:
                raise
            except Exception as error:
                self.log.note(f"changes of its tools are no longer heard of: {brief(error)}")

    async def _relist(self, client: Client) -> None:
        """List the tools again whenever they changed, not more often than is of use."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_S)
            self._changed.clear()
            try:
                tools = await self._list(client)
            except Exception as error:
                self.log.note(f"its tools could not be listed again: {brief(error)}")
                continue
            if what := changes(self.tools, tools):
                self._world.tell(f"the server `{self.config.name}` has changed its tools: {what}")
            self.tools = tools

    async def _notified(self, message: Any) -> None:
        import mcp_types

        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._changed.set()

    async def _logged(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        self.log.note(f"{params.level}: {params.data}"[:_NOTE])

    async def _elicited(
        self, context: Any, params: mcp_types.ElicitRequestParams
    ) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        import mcp_types

        if not self.calls:
            return mcp_types.ElicitResult(action="decline")
        return await self._world.questions.put(self.config.name, params)


def _load() -> None:
    importlib.import_module("mcp")
