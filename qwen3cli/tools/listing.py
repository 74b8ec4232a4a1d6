"""Lists of what a server offers: page by page, bounded, and what of its tools has changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qwen3cli.tools.content import tool_of, wanted
from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.sieve import MOST

if TYPE_CHECKING:
    from mcp import Client

_PAGES: Final = 100
_NAMED: Final = 10


async def list_tools(client: Client, config: ServerConfig) -> tuple[list[RemoteTool], list[str]]:
    """The tools that the server offers and mcp.json lets through, and what is to be said of the list."""
    if client.server_capabilities.tools is None:
        return [], []
    remarks: list[str] = []
    found = await list_all(
        partial(client.list_tools, cache_mode="refresh"), "tools", config.name, remarks.append
    )
    tools: dict[str, RemoteTool] = {}
    for tool in found:
        tools.setdefault(tool.name, tool_of(config, tool))
    if len(tools) < len(found):
        remarks.append(f"the server `{config.name}` lists tools twice; the first of each name counts")
    return wanted(config, tools.values()), remarks


async def list_all(
    page: Callable[..., Awaitable[Any]], field: str, server: str, tell: Callable[[str], None]
) -> list[Any]:
    """Everything that the pages of a list hold; a list that is too long, or without end, is cut, which is told."""
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        answer = await page(cursor=cursor)
        found.extend(getattr(answer, field))
        cursor = answer.next_cursor
        if len(found) > MOST:
            tell(f"the server `{server}` has more than {MOST:,} {field}; the first {MOST:,} are offered")
            return found[:MOST]
        if not cursor:
            return found
    tell(f"the list of {field} of the server `{server}` does not end after {_PAGES} pages; it is cut there")
    return found


def changes(old: Sequence[RemoteTool], new: Sequence[RemoteTool]) -> str | None:
    """What is different, in words; None if nothing is."""
    before = {tool.name: tool for tool in old}
    after = {tool.name: tool for tool in new}
    parts = [
        ("new", [name for name in after if name not in before]),
        ("gone", [name for name in before if name not in after]),
        ("changed", [name for name in after if name in before and after[name] != before[name]]),
    ]
    return "; ".join(f"{what} {_names(names)}" for what, names in parts if names) or None


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
