"""Questions of servers to the person, while a call of that server runs; nobody is asked at other times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwen3cli.errors import Interrupted
from qwen3cli.tools.offers import Elicit
from qwen3cli.tools.threads import in_thread

if TYPE_CHECKING:
    import mcp_types


class Questions:
    """Puts servers' questions to the person, one at a time."""

    def __init__(self, elicit: Elicit | None, open_url: Callable[[str], None] | None) -> None:
        self._elicit = elicit
        self._open_url = open_url
        self._turn = asyncio.Lock()

    @property
    def possible(self) -> bool:
        """Whether there is somebody to ask."""
        return self._elicit is not None

    async def put(self, server: str, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
        """Ask, and say what came of it."""
        import mcp_types

        async with self._turn:
            if isinstance(params, mcp_types.ElicitRequestURLParams):
                return await self._consent(server, params)
            answers = await self._ask(server, params.message, params.requested_schema)
        if answers is None:
            return mcp_types.ElicitResult(action="decline")
        return mcp_types.ElicitResult(action="accept", content=dict(answers))

    async def _consent(self, server: str, params: mcp_types.ElicitRequestURLParams) -> mcp_types.ElicitResult:
        """Show a URL in full, and open it only if the person wants that."""
        import mcp_types

        if urlsplit(params.url).scheme not in ("http", "https") or self._open_url is None:
            return mcp_types.ElicitResult(action="decline")
        if await self._ask(server, f"{params.message}\n{params.url}", {"type": "object"}) is None:
            return mcp_types.ElicitResult(action="decline")
        await in_thread(lambda: self._open_url and self._open_url(params.url))
        return mcp_types.ElicitResult(action="accept")

    async def _ask(self, server: str, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        elicit = self._elicit
        if elicit is None:
            return None
        try:
            return await in_thread(lambda: elicit(server, message, schema))
        except Interrupted:
            return None
