"""Servers as configurations, and hosts that end with their test."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwen3cli.tools.kinds import RawResult, ServerConfig, TextBlock
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.offers import Patience, ServerStatus

SERVERS = Path(__file__).parent / "servers"
HASTY = Patience(start_s=1.0, retry_s=1.0, exit_s=0.1)
"""For servers without the SDK, which start in no time, and are not waited for at their end."""


def friendly(name: str = "friendly", **more: Any) -> ServerConfig:
    """The server written with the SDK."""
    return ServerConfig(name, "stdio", sys.executable, (str(SERVERS / "friendly.py"), "stdio"), **more)


def hostile(mode: str, *arguments: str, name: str = "hostile", **more: Any) -> ServerConfig:
    """The server that misbehaves."""
    script = str(SERVERS / "hostile.py")
    return ServerConfig(name, "stdio", sys.executable, (script, mode, *arguments), **more)


def eventually(what: Callable[[], bool]) -> bool:
    """Whether something becomes true before long."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return False


@contextmanager
def hosting(folder: Path, *servers: ServerConfig, **more: Any) -> Generator[McpHost]:
    """A host whose servers are started."""
    host = McpHost(servers, folder, **more)
    host.start()
    host.wait()
    try:
        yield host
    finally:
        host.close()


def call(
    host: McpHost,
    server: str,
    tool: str,
    watch: Callable[[str], None] | None = None,
    cancelled: threading.Event | None = None,
    **arguments: Any,
) -> RawResult:
    """Call a tool."""
    ignore: list[str] = []
    return host.call(
        server, tool, arguments, watch=watch or ignore.append, cancelled=cancelled or threading.Event()
    )


def text_of(result: RawResult) -> str:
    """The text of a result that is nothing but that."""
    (block,) = result.blocks
    assert isinstance(block, TextBlock)
    return block.text


def only(host: McpHost) -> ServerStatus:
    """How the only server is."""
    (status,) = host.status()
    return status
