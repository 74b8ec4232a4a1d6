"""What is asked of a connected server: calls, prompts, resources; and what to say when it dies meanwhile.

A call that reached the server is never repeated, for nobody knows what it has done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from qwen3cli.errors import QwenError, ToolsFailed
from qwen3cli.tools.connection import Connection
from qwen3cli.tools.content import message_text, prompt_of, resource_block, resource_of, result_of
from qwen3cli.tools.failures import (
    ServerEnded,
    ServerRefused,
    brief,
    is_gone,
    is_late,
    is_session_lost,
    speaks_itself,
    understood,
)
from qwen3cli.tools.kinds import RawResult, TextBlock
from qwen3cli.tools.listing import list_all
from qwen3cli.tools.offers import RemotePrompt, RemoteResource

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")


async def call(
    connection: Connection, tool: str, arguments: Mapping[str, object], watch: Callable[[str], None]
) -> RawResult:
    """Call a tool; what the server refuses is a result that says so."""

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        share = f"{progress:g}/{total:g}" if total else f"{progress:g}"
        watch(f"{share} {message}" if message else share)

    async def ask(client: Client) -> RawResult:
        timeout_s = connection.config.timeout_s
        return result_of(await client.call_tool(tool, dict(arguments), timeout_s, heard))

    connection.calls += 1
    try:
        return await _asked(connection, ask, f"`{connection.config.name}.{tool}`")
    except ServerRefused as refusal:
        return RawResult((TextBlock(refusal.message),), is_error=True)
    finally:
        connection.calls -= 1


async def prompts(connection: Connection) -> list[RemotePrompt]:
    """The prompts that a ready server offers."""
    if connection.client is None or connection.client.server_capabilities.prompts is None:
        return []
    name, tell = connection.config.name, connection.tell
    found = await _asked(
        connection, lambda client: list_all(client.list_prompts, "prompts", name, tell), "its prompts"
    )
    return [prompt_of(connection.config.name, prompt) for prompt in found]


async def prompt(connection: Connection, name: str, arguments: Mapping[str, str]) -> list[tuple[str, str]]:
    """The messages of one prompt: roles and texts."""
    what = f"the prompt `{name}` of `{connection.config.name}`"
    answer = await _asked(connection, lambda client: client.get_prompt(name, dict(arguments)), what)
    return [(message.role, message_text(message.content)) for message in answer.messages]


async def resources(connection: Connection) -> list[RemoteResource]:
    """The resources that a ready server offers."""
    if connection.client is None or connection.client.server_capabilities.resources is None:
        return []
    name, tell = connection.config.name, connection.tell
    found = await _asked(
        connection, lambda client: list_all(client.list_resources, "resources", name, tell), "its resources"
    )
    return [resource_of(connection.config.name, resource) for resource in found]


async def read(connection: Connection, uri: str) -> RawResult:
    """What is in a resource."""
    what = f"the resource `{uri}` of `{connection.config.name}`"
    answer = await _asked(connection, lambda client: client.read_resource(uri), what)
    return RawResult(tuple(resource_block(one) for one in answer.contents))


async def _asked(connection: Connection, ask: Callable[[Client], Awaitable[T]], what: str) -> T:
    """An answer of the server, which is started first if it is gone, and afterwards if it went meanwhile."""
    renewed = False
    while True:
        client = await connection.connected()
        connection.busy += 1
        try:
            return await ask(client)
        except Exception as error:
            # A server that forgot the session has not looked at the request: the only case for a second try.
            if renewed or not is_session_lost(error, connection.trouble):
                raise await _failure(connection, client, error, what) from None
        finally:
            connection.busy -= 1
        await connection.renew(client)
        renewed = True


async def _failure(connection: Connection, client: Client, error: Exception, what: str) -> QwenError:
    if is_gone(error) or connection.is_over(client):
        return await _buried(connection, what)
    if is_late(error):
        return ToolsFailed(
            f"{what} has not answered in {connection.config.timeout_s:g} seconds",
            f"`timeout` in `{connection.config.source}` sets how long it may take",
        )
    if connection.trouble.status in (401, 403) or not speaks_itself(error):
        return understood(connection.config.name, error, connection.trouble)
    return ServerRefused(f"{what}: {brief(error)}")


async def _buried(connection: Connection, what: str) -> QwenError:
    """What to say of a server that went away during a request, after having started it again, once."""
    await connection.over()
    reason = connection.reason or f"the server `{connection.config.name}` closed the connection"
    try:
        await connection.connected()
    except QwenError as error:
        why = "" if error.message == reason else f": {error.message}"
        return ServerEnded(f"{reason} while {what} was running, and it cannot be started again{why}")
    return ServerEnded(f"{reason} while {what} was running; it runs again, and nothing was repeated")
