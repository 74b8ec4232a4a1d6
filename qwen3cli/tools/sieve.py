"""What is taken out of a server's messages before the SDK sees them, for one broken tool fails its whole list.

Knows what a list of tools looks like on the wire; why a tool was dropped is kept for a notice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from qwen3cli.tools.around import Around
from qwen3cli.tools.failures import brief
from qwen3cli.tools.threads import in_thread

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream
    from mcp.shared.message import SessionMessage

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
MOST: Final = 1000
"""Of tools, and of whatever else a server lists: no person and no model has use for more."""
_LARGEST: Final = 1 << 18
"""Characters of one tool's description with its schema, as JSON: a context has no room for more."""
_TOGETHER: Final = 1 << 20
"""Such characters of a whole list: to look at so many takes some seconds."""
_OF_LISTS: Final = ("resultType", "ttlMs", "cacheScope", "nextCursor")
"""What the protocol wants beside the tools; anything else may be large, and would be looked at with each of them."""
_OLDEST: Final = "2025-11-25"
_NAMED: Final = 10
_SHOWN: Final = 80


class LeftOut:
    """The tools of one list that are left out: why, for the first of them, and how many others there are."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._others = self._unseen = self._size = 0

    def note(self, name: str, reason: str) -> None:
        """One more."""
        if len(self._reasons) < _NAMED or name in self._reasons:
            self._reasons[name] = reason
        else:
            self._others += 1

    def note_unseen(self, count: int) -> None:
        """So many more, which nobody has looked at."""
        self._unseen += count

    def has_room(self, size: int) -> bool:
        """Whether one more tool of so many characters is looked at; what is not has no room for good."""
        self._size += size
        return self._size <= _TOGETHER

    def lines(self, server: str) -> list[str]:
        """What is to be said of it; callable while more are noted."""
        said = [
            f"the tool `{ascii(name)[1:-1][:_SHOWN]}` of the server `{server}` is left out: {reason}"
            for name, reason in list(self._reasons.items())
        ]
        if self._others:
            said.append(f"{self._others:,} more tools of the server `{server}` are left out for such reasons")
        if self._unseen:
            said.append(
                f"the server `{server}` lists more than {MOST:,} tools at once; {self._unseen:,} are left out"
            )
        return said


class Sieve(Around["ReadStream[SessionMessage | Exception]"]):
    """A transport's stream of messages, without the tools that nobody could use; says when it is over."""

    def __init__(
        self,
        stream: ReadStream[SessionMessage | Exception],
        version: Callable[[], str | None],
        left_out: Callable[[], LeftOut],
        hear: Callable[[SessionMessage | Exception], None],
        over: Callable[[], None],
    ) -> None:
        """`hear` is given every message, and may raise to end the connection."""
        super().__init__(stream)
        self._version = version
        self._left_out = left_out
        self._hear = hear
        self._over = over

    @property
    def last_context(self) -> Any:
        """The context that the SDK's streams carry along with a message."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        import anyio

        try:
            message = await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._over()
            raise
        self._hear(message)
        return await self._sifted(message)

    def __aiter__(self) -> ReadStream[SessionMessage | Exception]:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def _sifted(self, message: SessionMessage | Exception) -> SessionMessage | Exception:
        result = getattr(getattr(message, "message", None), "result", None)
        if isinstance(result, dict):
            answer = cast("dict[str, Any]", result)
            if isinstance(answer.get("tools"), list):
                left_out = self._left_out()
                # Large schemas take their time, in which other servers want to be heard.
                await in_thread(lambda: self._sift(answer, left_out))
        return message

    def _sift(self, answer: dict[str, Any], left_out: LeftOut) -> None:
        kept: list[Any] = []
        beside = {key: answer[key] for key in _OF_LISTS if key in answer}
        tools = cast("list[Any]", answer["tools"])
        if len(tools) > MOST:
            left_out.note_unseen(len(tools) - MOST)
        for tool in tools[:MOST]:
            name = str(tool.get("name")) if isinstance(tool, dict) else "(none)"  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            reason = self._fault(name, tool, beside, left_out)
            if reason is None:
                # The SDK would check each result with it, with patterns that may take for ever, on our only loop.
                tool.pop("outputSchema", None)
                kept.append(tool)
            else:
                left_out.note(name, reason)
        answer["tools"] = kept

    def _fault(self, name: str, tool: Any, beside: dict[str, Any], left_out: LeftOut) -> str | None:
        """Why a tool cannot be used, if so."""
        from mcp_types.methods import validate_server_result

        if not NAME.match(name):
            return "no model could be given its name"
        if (size := len(json.dumps(tool))) > _LARGEST:
            return f"its description has {size:,} characters, and at most {_LARGEST:,} are read"
        if not left_out.has_room(size):
            return f"the descriptions of all its tools have more than {_TOGETHER:,} characters together"
        try:
            validate_server_result("tools/list", self._version() or _OLDEST, {**beside, "tools": [tool]})
        except (ValueError, RecursionError) as error:
            return f"its description is broken: {brief(error)}"
        return schema_fault(tool["inputSchema"])


def schema_fault(schema: Any) -> str | None:
    """Why something is no JSON Schema of an object, if so."""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, dict) or cast("dict[str, Any]", schema).get("type") != "object":
        return "its schema is not that of an object"
    try:
        kind = validator_for(cast("dict[str, Any]", schema), default=Draft202012Validator)
        kind.check_schema(cast("dict[str, Any]", schema))
    except SchemaError as error:
        return f"its schema is broken: {brief(Exception(error.message))}"
    except (RecursionError, ValueError, TypeError) as error:
        return f"its schema is broken: {brief(error)}"
    return None
