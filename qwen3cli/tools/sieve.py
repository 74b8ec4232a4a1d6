"""What is taken out of a server's messages before the SDK sees them, for one broken tool fails its whole list.

Knows what a list of tools looks like on the wire; why a tool was dropped is kept for a notice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from qwen3cli.tools.failures import brief

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream
    from mcp.shared.message import SessionMessage
    from typing_extensions import Self

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_OLDEST: Final = "2025-11-25"


class Sieve:
    """A transport's stream of messages, without the tools that nobody could use; says when it is over."""

    def __init__(
        self,
        stream: ReadStream[SessionMessage | Exception],
        version: Callable[[], str | None],
        dropped: dict[str, str],
        over: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._version = version
        self._dropped = dropped
        self._over = over

    @property
    def last_context(self) -> Any:
        """The context that the SDK's streams carry along with a message."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        import anyio

        try:
            return self._sifted(await self._stream.receive())
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._over()
            raise

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def __aiter__(self) -> ReadStream[SessionMessage | Exception]:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _sifted(self, message: SessionMessage | Exception) -> SessionMessage | Exception:
        result = getattr(getattr(message, "message", None), "result", None)
        if isinstance(result, dict):
            answer = cast("dict[str, Any]", result)
            if isinstance(answer.get("tools"), list):
                self._sift(answer)
        return message

    def _sift(self, answer: dict[str, Any]) -> None:
        kept: list[Any] = []
        for tool in cast("list[Any]", answer["tools"]):
            name = str(tool.get("name")) if isinstance(tool, dict) else "(none)"  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            reason = self._fault(name, tool, answer)
            if reason is None:
                # The SDK would check each result with it, with patterns that may take for ever, on our only loop.
                tool.pop("outputSchema", None)
                kept.append(tool)
            else:
                self._dropped[name] = reason
        answer["tools"] = kept

    def _fault(self, name: str, tool: Any, answer: dict[str, Any]) -> str | None:
        """Why a tool cannot be used, if so."""
        from mcp_types.methods import validate_server_result

        if not NAME.match(name):
            return "no model could be given its name"
        try:
            validate_server_result("tools/list", self._version() or _OLDEST, {**answer, "tools": [tool]})
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
