"""What tools one server has: listed at the start, listed again when they change, and what of that is worth telling.

News is made when it is asked for, from what was told before and what is true now: a server that changes its tools
a hundred times between two questions of a person is one line. For the host's loop, but for `news`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from qwen3cli.tools.failures import brief
from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.listing import changes, list_tools
from qwen3cli.tools.server_log import ServerLog
from qwen3cli.tools.sieve import LeftOut

if TYPE_CHECKING:
    from mcp import Client

_SETTLE_S: Final = 0.2
"""A server that changes its tools again and again is asked for them this often at most."""
_AGAIN_S: Final = (1.0, 60.0)
"""After how long a stream of changes that broke off is asked for again: at first, and at most."""


class Inventory:
    """The tools of one server."""

    def __init__(self, config: ServerConfig, log: ServerLog) -> None:
        self.tools: list[RemoteTool] = []
        self.left_out = LeftOut()
        self._config = config
        self._log = log
        self._remarks: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._told_tools: list[RemoteTool] | None = None
        self._told_remarks: tuple[str, ...] = ()

    def news(self) -> list[str]:
        """What of the tools nobody has been told yet; callable from any thread."""
        tools, remarks, name = self.tools, self._remarks, self._config.name
        said = [line for line in remarks if line not in self._told_remarks]
        if self._told_tools is not None and (what := changes(self._told_tools, tools)):
            said.append(f"the server `{name}` has changed its tools: {what}")
        if self._told_tools is not None:
            self._told_tools = tools
        self._told_remarks = remarks
        return said

    async def take(self, client: Client) -> None:
        """List the tools; raises what the SDK does."""
        self.left_out = LeftOut()
        tools, remarks = await list_tools(client, self._config)
        self._remarks = (*remarks, *self.left_out.lines(self._config.name))
        self.tools = tools
        if self._told_tools is None:
            self._told_tools = tools

    def note_change(self) -> None:
        """The server says that its tools are others now."""
        self._changed.set()

    async def follow(self, client: Client) -> None:
        """List the tools again whenever they changed, for as long as the connection lasts."""
        hearing = asyncio.get_running_loop().create_task(self._listen(client))
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(_SETTLE_S)
                self._changed.clear()
                try:
                    await self.take(client)
                except Exception as error:
                    self._log.note(f"its tools could not be listed again: {brief(error)}")
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _listen(self, client: Client) -> None:
        """Hear of changes in the newer protocol, where one has to ask for that, and again when it broke off."""
        tools = client.server_capabilities.tools
        if tools is None or not tools.list_changed:
            return
        loop = asyncio.get_running_loop()
        first_s, longest_s = _AGAIN_S
        wait_s, began, heard_before = first_s, loop.time(), False
        while await self._heard(client, heard_before) or heard_before:
            heard_before = True
            if loop.time() - began > longest_s:
                wait_s = first_s
            await asyncio.sleep(wait_s)
            wait_s, began = min(wait_s * 2, longest_s), loop.time()

    async def _heard(self, client: Client, heard_before: bool) -> bool:
        """One stream of changes, from its start to its end; whether it came to be."""
        from mcp.client.subscriptions import ListenNotSupportedError

        opened = False
        try:
            async with client.listen(tools_list_changed=True) as changed:
                opened = True
                if heard_before:
                    # Nobody has told what changed in between.
                    self._changed.set()
                async for _ in changed:
                    self._changed.set()
        except ListenNotSupportedError:
            return False
        except Exception as error:
            self._log.note(f"changes of its tools are not heard of: {brief(error)}")
        return opened
