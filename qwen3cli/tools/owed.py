"""Answers that we owe a server: each takes memory until the server reads it, and a server need not read.

Knows what requests and answers look like, not what they ask.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from qwen3cli.tools.around import Around
from qwen3cli.tools.failures import ServerEnded

if TYPE_CHECKING:
    from mcp.client._transport import WriteStream
    from mcp.shared.message import SessionMessage

_MOST: Final = 500
"""Requests of a server that wait for their answers, a few kilobytes each."""


class Owed:
    """The requests of one server that are not answered yet."""

    def __init__(self, server: str) -> None:
        self._server = server
        # By their ids, which a server may use twice.
        self._open: Counter[str | int] = Counter()

    def hear(self, message: SessionMessage | Exception) -> None:
        """Take note of what the server says; raises `ServerEnded` when it asks more than it hears."""
        from mcp_types import JSONRPCNotification, JSONRPCRequest

        said = getattr(message, "message", None)
        if isinstance(said, JSONRPCRequest):
            self._open[said.id] += 1
            if self._open.total() > _MOST:
                raise ServerEnded(f"the server `{self._server}` asks and asks, and reads no answer")
        elif isinstance(said, JSONRPCNotification) and said.method == "notifications/cancelled":
            # What it no longer wants to know is never answered.
            self._settle((said.params or {}).get("requestId"))

    def answer(self, message: SessionMessage) -> None:
        """Take note of what the server was told."""
        from mcp_types import JSONRPCError, JSONRPCResponse

        if isinstance(message.message, JSONRPCResponse | JSONRPCError):
            self._settle(message.message.id)

    def _settle(self, number: object) -> None:
        if isinstance(number, str | int) and number in self._open:
            self._open[number] -= 1
            if not self._open[number]:
                del self._open[number]


class Outlet(Around["WriteStream[SessionMessage]"]):
    """A transport's stream of messages to the server that takes note of answers."""

    def __init__(self, stream: WriteStream[SessionMessage], owed: Owed) -> None:
        super().__init__(stream)
        self._owed = owed

    async def send(self, item: SessionMessage, /) -> None:
        """Hand a message on."""
        await self._stream.send(item)
        self._owed.answer(item)
