"""Answers that we owe a server: each takes memory until the server reads it, and a server need not read.

Knows what requests and answers look like, not what they ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3cli.tools.around import Around
from qwen3cli.tools.failures import ServerEnded

if TYPE_CHECKING:
    from mcp.client._transport import WriteStream
    from mcp.shared.message import SessionMessage

_MOST: Final = 500
"""Requests of a server that wait for their answers."""
_MOST_SAID: Final = 8 << 20
"""Characters of all of them together."""


@dataclass
class _Requests:
    """Those of one id, which a server may use twice: how long each is, and how many answers are on their way."""

    sizes: list[int] = field(default_factory=list[int])
    answers: int = 0
    mixed: bool = False


class Owed:
    """The requests of one server that are not answered yet."""

    def __init__(self, server: str) -> None:
        self._server = server
        # By ids as the SDK tells them apart, for which 1 and "1" are the same.
        self._open: dict[str | int, _Requests] = {}
        self._count = self._said = 0

    def hear(self, message: SessionMessage | Exception) -> None:
        """Take note of what the server says; raises `ServerEnded` when it asks more than it hears."""
        from mcp.shared.dispatcher import coerce_request_id
        from mcp_types import JSONRPCNotification, JSONRPCRequest

        said = getattr(message, "message", None)
        if isinstance(said, JSONRPCRequest):
            self._note(coerce_request_id(said.id), len(said.model_dump_json()))
        elif isinstance(said, JSONRPCNotification) and said.method == "notifications/cancelled":
            self._withdraw((said.params or {}).get("requestId"))

    def answering(self, message: SessionMessage) -> None:
        """Take note of what the server is about to be told: from now on it cannot withdraw that request."""
        number = _answered(message)
        if number is not None and number in self._open:
            self._open[number].answers += 1

    def answered(self, message: SessionMessage) -> None:
        """Take note of what the server was told."""
        number = _answered(message)
        if number is not None and number in self._open:
            self._open[number].answers -= 1
            self._settle(number)

    def _note(self, number: str | int, size: int) -> None:
        asked = self._open.setdefault(number, _Requests())
        asked.mixed = asked.mixed or bool(asked.sizes)
        asked.sizes.append(size)
        self._count += 1
        self._said += size
        if self._count > _MOST or self._said > _MOST_SAID:
            raise ServerEnded(f"the server `{self._server}` asks and asks, and reads no answer")

    def _withdraw(self, number: object) -> None:
        """What a server no longer wants to know is never answered, unless an answer waits already to be read."""
        from mcp.shared.dispatcher import coerce_request_id

        if not isinstance(number, str | int):
            return
        number = coerce_request_id(number)
        asked = self._open.get(number)
        # Of several with one id, nobody can tell which is meant: all of them stay.
        if asked is not None and not asked.answers and not asked.mixed:
            self._settle(number)

    def _settle(self, number: str | int) -> None:
        asked = self._open[number]
        self._count -= 1
        self._said -= asked.sizes.pop(0)
        if not asked.sizes:
            del self._open[number]


def _answered(message: SessionMessage) -> str | int | None:
    """The id of the request that is answered; None for what is no answer."""
    from mcp.shared.dispatcher import coerce_request_id
    from mcp_types import JSONRPCError, JSONRPCResponse

    said = message.message
    if isinstance(said, JSONRPCResponse | JSONRPCError) and said.id is not None:
        return coerce_request_id(said.id)
    return None


class Outlet(Around["WriteStream[SessionMessage]"]):
    """A transport's stream of messages to the server that takes note of answers."""

    def __init__(self, stream: WriteStream[SessionMessage], owed: Owed) -> None:
        super().__init__(stream)
        self._owed = owed

    async def send(self, item: SessionMessage, /) -> None:
        """Hand a message on."""
        self._owed.answering(item)
        await self._stream.send(item)
        self._owed.answered(item)
