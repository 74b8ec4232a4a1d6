"""Which way leads to a server, with which login; every stream of messages goes through the sieve."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.tools.failures import Trouble
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.oauth import login, remembered
from qwen3cli.tools.owed import Outlet, Owed
from qwen3cli.tools.server_log import ServerLog
from qwen3cli.tools.sieve import Sieve
from qwen3cli.tools.stdio import stdio_streams
from qwen3cli.tools.web import web_streams

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams


@dataclass(frozen=True)
class Access:
    """How a login may go: where tokens are kept, and, if the person may be asked, how to show them a URL."""

    folder: Path
    open_url: Callable[[str], None] | None
    waiting: Callable[[bool], None]
    """Hears that it is the person's turn, and that it is over."""


@asynccontextmanager
async def streams(
    config: ServerConfig,
    log: ServerLog,
    trouble: Trouble,
    access: Access,
    sieve: Callable[..., Sieve],
    exit_s: float,
) -> AsyncGenerator[TransportStreams]:
    """Messages from the server, sifted, and to it, for as long as the block lasts; `exit_s` is for its end."""
    owed = Owed(config.name)
    async with AsyncExitStack() as stack:
        if config.transport == "stdio":
            pair = await stack.enter_async_context(stdio_streams(config, log, trouble, exit_s))
        else:
            auth = await _authentication(config, access, stack)
            pair = await stack.enter_async_context(web_streams(config, trouble, auth))
        yield sieve(pair[0], owed), Outlet(pair[1], owed)


async def _authentication(config: ServerConfig, access: Access, stack: AsyncExitStack) -> httpx2.Auth | None:
    if has_own_login(config):
        return None
    if access.open_url is None:
        return remembered(config, access.folder)
    return await stack.enter_async_context(login(config, access.folder, access.open_url, access.waiting))


def has_own_login(config: ServerConfig) -> bool:
    """Whether mcp.json gives the login itself."""
    return any(name.lower() == "authorization" for name in config.headers)
