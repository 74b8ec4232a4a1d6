"""A transport's stream with something of ours around it: all that the SDK asks of either kind, besides messages."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self


class Closable(Protocol):
    """A stream of either direction."""

    async def aclose(self) -> None:
        """Close the stream."""
        ...


S = TypeVar("S", bound=Closable)


class Around(Generic[S]):
    """Closes the stream that it stands around, as the stream itself would be closed."""

    def __init__(self, stream: S) -> None:
        self._stream = stream

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()
