"""Servers at a URL: streamable HTTP and SSE through the SDK's transports, with our headers, limits and ears.

Proxies and certificates are as httpx2 finds them in the environment. The SDK follows redirects within the origin only,
so headers and tokens stay there. Knows nothing of tools and of how tokens are had.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from qwen3cli.tools.failures import NoUse, Trouble
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.lines import LIMIT

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

_CONNECT_S: Final = 15.0


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

        async with sse_client(config.url, httpx_client_factory=factory, auth=auth) as streams:
            yield streams
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
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("", "identity"):
            raise NoUse(f"the server `{config.name}` sends its answers packed, though asked not to")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _bounded(response.stream)

    try:
        return httpx2.AsyncClient(
            headers={**config.headers, "Accept-Encoding": "identity"},
            auth=auth,
            # A call has a time limit of its own, and a stream of events may be silent for hours.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
            event_hooks={"response": [hear]},
        )
    except (ValueError, OSError, ImportError) as error:
        # A proxy or a certificate file in the environment that makes no sense; SOCKS without its library.
        raise NoUse(f"the server `{config.name}` cannot be reached: {error}") from None


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
