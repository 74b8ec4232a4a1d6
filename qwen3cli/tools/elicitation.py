"""Questions of servers to the person, while a call of that server runs; nobody is asked at other times."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qwen3cli.errors import Interrupted
from qwen3cli.tools.expand import is_url
from qwen3cli.tools.forms import BadForm, fields_of, sound_message
from qwen3cli.tools.offers import Elicit
from qwen3cli.tools.showing import site_of
from qwen3cli.tools.threads import in_thread

if TYPE_CHECKING:
    import mcp_types

_LOOK_S = 0.1
"""How often it is looked whether a question still stands."""


class Questions:
    """Puts servers' questions to the person, one at a time; `tell` takes what the person should know of it."""

    def __init__(
        self, elicit: Elicit | None, open_url: Callable[[str], None] | None, tell: Callable[[str], None]
    ) -> None:
        self._elicit = elicit
        self._open_url = open_url
        self._tell = tell
        self._turn = asyncio.Lock()

    @property
    def possible(self) -> bool:
        """Whether there is somebody to ask."""
        return self._elicit is not None

    async def put(
        self, server: str, params: mcp_types.ElicitRequestParams, still: Callable[[], bool]
    ) -> mcp_types.ElicitResult:
        """Ask, and say what came of it: an answer, a refusal, or that the person stopped everything.

        `still` says whether the call still runs that a question belongs to: once it is over, nobody is asked any more.
        """
        import mcp_types

        async with self._turn:
            if not still():
                return mcp_types.ElicitResult(action="decline")
            try:
                sound_message(params.message)
                if isinstance(params, mcp_types.ElicitRequestURLParams):
                    return await self._consent(server, params, still)
                fields_of(params.requested_schema)
            except BadForm as error:
                self._tell(f"the server `{server}` asked something that nobody could answer: {error}")
                return mcp_types.ElicitResult(action="decline")
            return await self._ask(server, params.message, params.requested_schema, still)

    async def _consent(
        self, server: str, params: mcp_types.ElicitRequestURLParams, still: Callable[[], bool]
    ) -> mcp_types.ElicitResult:
        """Show a URL in full, and open it only if the person wants that."""
        import mcp_types

        open_url, url = self._open_url, params.url
        if open_url is None or not is_url(url):
            return mcp_types.ElicitResult(action="decline")
        message = f"{params.message}\nIt wants you to open an address, which leads {site_of(url)}:\n{url}"
        result = await self._ask(server, message, {"type": "object"}, still)
        if result.action != "accept":
            return result
        await in_thread(lambda: open_url(url))
        return mcp_types.ElicitResult(action="accept")

    async def _ask(
        self, server: str, message: str, schema: Mapping[str, Any], still: Callable[[], bool]
    ) -> mcp_types.ElicitResult:
        import mcp_types

        elicit, gone = self._elicit, threading.Event()
        if elicit is None:
            return mcp_types.ElicitResult(action="decline")
        asked = asyncio.ensure_future(in_thread(lambda: elicit(server, message, schema, gone)))
        try:
            while still() and not asked.done():
                await asyncio.wait([asked], timeout=_LOOK_S)
            if not asked.done():
                return mcp_types.ElicitResult(action="cancel")
            answers = await asked
        except Interrupted:
            return mcp_types.ElicitResult(action="cancel")
        except Exception as error:
            self._tell(f"a question of the server `{server}` could not be put: {type(error).__name__}")
            answers = None
        finally:
            gone.set()
            asked.cancel()
        if answers is None:
            return mcp_types.ElicitResult(action="decline")
        return mcp_types.ElicitResult(action="accept", content=dict(answers))
