"""Servers at a URL: streamable HTTP and SSE through the SDK's transports, with our headers, limits and ears.

Proxies and certificates are as httpx2 finds them in the environment. The SDK follows redirects within the origin only,
so headers and tokens stay there. Knows nothing of tools and of how tokens are had.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from qwen3cli.tools.failures import NoUse, Trouble, leaves
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.lines import LIMIT
from qwen3cli.tools.oauth import is_loopback

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

_CONNECT_S: Final = 15.0
_LAST_S: Final = 2.0
_SESSION: Final = "Mcp-Session-Id"
_STREAMS: Final = 10
_STREAMS_S: Final = 10.0
"""So many streams of events are asked for in so many seconds: a server that ends each at once decides how often."""


@asynccontextmanager
async def web_streams(
    config: ServerConfig, trouble: Trouble, auth: httpx2.Auth | None
) -> AsyncGenerator[TransportStreams]:
    """Connect to the server for as long as the block lasts."""
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client

    if config.transport == "sse":
        # The SDK makes the client itself and closes it.
        def factory(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
            return make_client(config, trouble, auth)

        async with AsyncExitStack() as stack:
            try:
                opening = sse_client(config.url, httpx_client_factory=factory, auth=auth)
                pair = await stack.enter_async_context(opening)
            except BaseException as error:
                # So the SDK puts it that the stream ended before it said where messages go.
                if any("task_status" in str(leaf) for leaf in leaves(error)):
                    raise NoUse(f"the server `{config.name}` ends its stream of events at once") from None
                raise
            yield pair
        return
    client = make_client(config, trouble, auth)
    async with (
        client,
        streamable_http_client(config.url, http_client=client, max_sse_event_size=LIMIT) as streams,
    ):
        yield streams


def make_client(config: ServerConfig, trouble: Trouble, auth: httpx2.Auth | None) -> httpx2.AsyncClient:
    """An HTTP client with the headers of mcp.json that notices refusals and bounds answers."""
    import httpx2

    async def hear(response: httpx2.Response) -> None:
        # Many servers have no stream of events to GET, and say so with an error.
        if response.request.method == "POST" or config.transport == "sse":
            trouble.status = response.status_code if response.status_code >= 400 else 0
            if trouble.status == 404 and _SESSION in response.request.headers:
                trouble.lost = True
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("", "identity"):
            raise NoUse(f"the server `{config.name}` sends its answers packed, though asked not to")
        # Streams of events are read event by event, which are bounded; but what a login says is read as a whole.
        if not _is_of_events(response):
            response.stream = _bounded(response.stream)

    try:
        return httpx2.AsyncClient(
            headers={**config.headers, "Accept-Encoding": "identity"},
            auth=auth,
            # A call has a time limit of its own, and a stream of events may be silent for hours.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
            event_hooks={"request": [_Manners(config).mind], "response": [hear]},
        )
    except (ValueError, OSError, ImportError) as error:
        # A proxy or a certificate file in the environment that makes no sense; SOCKS without its library.
        raise NoUse(f"the server `{config.name}` cannot be reached: {error}") from None


class _Manners:
    """What a request has to keep to, whoever makes it: the SDK does as the server says."""

    def __init__(self, config: ServerConfig) -> None:
        self._name, self._legacy = config.name, config.transport == "sse"
        self._host, self._origin = urlsplit(config.url).hostname, _origin(config.url)
        self._asked: deque[float] = deque(maxlen=_STREAMS)

    async def mind(self, request: httpx2.Request) -> None:
        """Raises `NoUse` for a place that no request may go to; waits with what comes too often."""
        import httpx2

        self._check_place(str(request.url))
        # The end of a session is said, and what a login needs is asked for, in a time of their own.
        limit_s = _LAST_S if request.method == "DELETE" else None if self._is_message(request) else _CONNECT_S
        if limit_s is not None:
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(limit_s).as_dict()}
        if request.method == "GET" and _accepts_events(request):
            now = time.monotonic()
            if len(self._asked) == _STREAMS and (wait_s := self._asked[0] + _STREAMS_S - now) > 0:
                await asyncio.sleep(wait_s)
            self._asked.append(time.monotonic())

    def _is_message(self, request: httpx2.Request) -> bool:
        return self._legacy or _accepts_events(request)

    def _check_place(self, url: str) -> None:
        """A login leads where the server says, with secrets of ours: over https, or within the same machine."""
        here = is_loopback(urlsplit(url).hostname) and is_loopback(self._host)
        if not (_origin(url) == self._origin or here or urlsplit(url).scheme == "https"):
            raise NoUse(f"the server `{self._name}` sends us to an address that is not https: {url[:200]}")


def _accepts_events(request: httpx2.Request) -> bool:
    """Whether a stream of events may be the answer: else it is no message, but of a login."""
    return "text/event-stream" in request.headers.get("Accept", "")


def _is_of_events(response: httpx2.Response) -> bool:
    request = response.request
    if request.method == "DELETE" or response.status_code != 200 or not _accepts_events(request):
        return False
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _bounded(stream: Any) -> Any:
    """A response's body that breaks off where it has more bytes than are read."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for block in stream:
                size += len(block)
                if size > LIMIT:
                    raise httpx2.StreamError(f"the answer has more than {LIMIT:,} bytes")
                yield block

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()
