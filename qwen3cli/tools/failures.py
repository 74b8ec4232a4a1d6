"""What goes wrong with a server, as sentences: nested groups of exceptions, protocol errors, HTTP, processes.

Knows the SDK's and httpx2's exceptions by looking at them, and imports neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from qwen3cli.errors import QwenError, ToolsFailed

_LONGEST = 300
_CLOSED = -32000
_TIMED_OUT = -32001
# Servers use these numbers, too, for whatever they like; only with these words it is the SDK that speaks.
_GONE = "Connection closed"
_LATE = re.compile(r"Request '[^']*' timed out\Z")
# What the SDK says of an answer that is no message.
_STAND_INS = ("Server returned an error response", "Not Found", "Session terminated")
_MANUAL = re.compile(r"\s*For (?:more|further) information\b.*", re.DOTALL)
_PLACE_IN_C = re.compile(r"\s*\(_ssl\.c:\d+\)")


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
    """What a transport saw that the SDK's exceptions do not say.

    `status` is HTTP's for the latest message, where it was refused; `lost` whether a session was said to be unknown.
    """

    status: int = 0
    lost: bool = False
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
    # What ends one task of a transport cancels the others, which then complain of closed streams.
    telling = next((one for one in found if "Resource" not in type(one).__name__), found[0])
    if trouble.status in (401, 403):
        return WantsLogin(
            f"the server `{name}` wants a login (HTTP {trouble.status})",
            "give a token as a header in mcp.json, or log in with `qwen3 mcp check` in a terminal",
        )
    if trouble.status and not speaks_itself(telling):
        return ServerEnded(f"the server `{name}` answers with HTTP {trouble.status}", "check its URL")
    return _sentence(name, telling)


def _sentence(name: str, error: BaseException) -> QwenError:
    kind, module = type(error).__name__, type(error).__module__
    if is_gone(error):
        return ServerEnded(f"the server `{name}` closed the connection")
    if is_late(error) or isinstance(error, TimeoutError):
        return ServerEnded(f"the server `{name}` does not answer")
    if code_of(error) is not None:
        return ServerEnded(f"the server `{name}` says: {brief(error)}")
    if module.startswith("httpx2"):
        return _unreached(name, kind, brief(error))
    if module.startswith("pydantic"):
        return ServerEnded(f"the server `{name}` does not follow the protocol: {brief(error)}")
    if isinstance(error, OSError):
        return NoUse(f"the server `{name}` cannot be started: {error.strerror or brief(error)}")
    return ServerEnded(f"the server `{name}` failed: {brief(error)}")


def _unreached(name: str, kind: str, said: str) -> QwenError:
    _, unsound, fault = said.partition("certificate verify failed: ")
    if unsound:
        return NoUse(
            f"the certificate of the server `{name}` is not valid: {fault}",
            "if your network has a certificate of its own, set SSL_CERT_FILE to it",
        )
    if kind.startswith("Connect") or kind in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
        return NoUse(f"the server `{name}` cannot be reached: {said}", "check its URL")
    return ServerEnded(f"the connection to the server `{name}` failed: {said}")


def code_of(error: BaseException) -> int | None:
    """The number of a JSON-RPC error."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def is_gone(error: BaseException) -> bool:
    """Whether the connection ended before an answer came."""
    return code_of(error) == _CLOSED and str(error) == _GONE


def is_late(error: BaseException) -> bool:
    """Whether no answer came in time."""
    return code_of(error) == _TIMED_OUT and _LATE.match(str(error)) is not None


def speaks_itself(error: BaseException) -> bool:
    """Whether an error is what the server said, rather than what the SDK makes of an answer without a message."""
    return code_of(error) is not None and str(error) not in _STAND_INS


def is_session_lost(error: BaseException, trouble: Trouble) -> bool:
    """Whether a server at a URL has forgotten us, and wants the request once more in a new session.

    The protocol has 404 for that, and some servers 400; what they say beside it is theirs.
    """
    if code_of(error) is None or is_gone(error) or is_late(error):
        return False
    said = str(error).lower()
    if trouble.lost:
        return trouble.status == 404 or "session" in said
    return trouble.status == 400 and ("session" in said or "not initialized" in said)


def brief(error: BaseException) -> str:
    """The first words of what an exception says, in one line."""
    said = _PLACE_IN_C.sub("", _MANUAL.sub("", _plain(error)))
    text = " ".join(said.split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(error: BaseException) -> str:
    """What an exception says; of a validation, which writes pages, the first fault."""
    faults = getattr(error, "errors", None)
    if not callable(faults):
        return str(error)
    first = cast("list[dict[str, Any]]", faults())[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{first['msg']} at `{place}`" if place else str(first["msg"])
