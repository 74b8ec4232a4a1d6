"""What goes wrong with a server, as sentences: nested groups of exceptions, protocol errors, HTTP, processes.

Knows the SDK's and httpx2's exceptions by looking at them, and imports neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from qwen3cli.errors import QwenError, ToolsFailed

_LONGEST = 300
CLOSED = -32000
TIMED_OUT = -32001


class ServerEnded(ToolsFailed):
    """The server went away by itself, or never answered; the next start may do better."""


class NoUse(ToolsFailed):
    """Starting the server again in another way would fail in the same way."""


class WantsLogin(NoUse):
    """The server wants a login."""


class ServerRefused(ToolsFailed):
    """The server says no to a request."""


@dataclass
class Trouble:
    """What a transport saw that the SDK's exceptions do not say."""

    status: int = 0
    ended: str = ""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside of groups, however nested."""
    inner = getattr(error, "exceptions", None)
    if isinstance(inner, tuple):
        for one in inner:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(one, BaseException):
                yield from leaves(one)
    else:
        yield error


def understood(name: str, error: BaseException, trouble: Trouble) -> QwenError:
    """One of ours that says why the server `name` failed."""
    found = list(leaves(error))
    for one in found:
        if isinstance(one, QwenError):
            return one
        if type(one).__module__.startswith("mcp.client.auth"):
            return NoUse(f"the login to the server `{name}` failed: {brief(one)}")
    if trouble.ended:
        return ServerEnded(f"the server `{name}` {trouble.ended}")
    if trouble.status:
        return _refused(name, trouble.status)
    # What ends one task of a transport cancels the others, which then complain of closed streams.
    telling = [one for one in found if "Resource" not in type(one).__name__] or found
    return _sentence(name, telling[0])


def _refused(name: str, status: int) -> QwenError:
    if status in (401, 403):
        return WantsLogin(
            f"the server `{name}` wants a login (HTTP {status})",
            "give a token as a header in mcp.json, or log in with `qwen3 mcp check` in a terminal",
        )
    return ServerEnded(f"the server `{name}` answers with HTTP {status}", "check its URL")


def _sentence(name: str, error: BaseException) -> QwenError:
    kind, module = type(error).__name__, type(error).__module__
    code = code_of(error)
    if code == CLOSED:
        return ServerEnded(f"the server `{name}` closed the connection")
    if code == TIMED_OUT or isinstance(error, TimeoutError):
        return ServerEnded(f"the server `{name}` does not answer")
    if code is not None:
        return ServerEnded(f"the server `{name}` says: {brief(error)}")
    if module.startswith("httpx2"):
        if kind.startswith("Connect") or kind in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
            return NoUse(f"the server `{name}` cannot be reached: {brief(error)}", "check its URL")
        return ServerEnded(f"the connection to the server `{name}` failed: {brief(error)}")
    if module.startswith("pydantic"):
        return ServerEnded(f"the server `{name}` does not follow the protocol: {brief(error)}")
    if isinstance(error, OSError):
        return NoUse(f"the server `{name}` cannot be started: {error.strerror or brief(error)}")
    return ServerEnded(f"the server `{name}` failed: {brief(error)}")


def code_of(error: BaseException) -> int | None:
    """The number of a JSON-RPC error."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def is_session_lost(error: BaseException) -> bool:
    """Whether a server at a URL has forgotten us, and wants the request once more in a new session."""
    return code_of(error) is not None and "session terminated" in str(error).lower()


def brief(error: BaseException) -> str:
    """The first words of what an exception says, in one line."""
    text = " ".join(_plain(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(error: BaseException) -> str:
    """What an exception says; of a validation, which writes pages, the first fault."""
    faults = getattr(error, "errors", None)
    if not callable(faults):
        return str(error)
    first = cast("list[dict[str, Any]]", faults())[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{first['msg']} at `{place}`" if place else str(first["msg"])
