"""What can go wrong on the way to a server: what no other try cures, what one may, and how patient to be.

Errors of httpx2 become ours here. A message names the host, never the whole URL, which may hold a token.
"""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from qwen3cli.errors import NetworkError, UsageError
from qwen3cli.models.reference import without_secrets

_HINTS: Final = {
    401: "it needs a token, or another one",
    403: "it needs a token that may read this, or terms to be accepted there",
    404: "check the address",
    410: "check the address",
    451: "try another hub",
}
_AGAIN: Final = "check the connection and run the same command again: it continues where it stopped"


class HttpRefusal(NetworkError):
    """An answer that no other try cures: 401, 403, 404 and the like; `code` is a hub's own word for it.

    `is_page` says that it came as a page for people, which no hub's API sends.
    """

    def __init__(
        self, host: str, status: int, reason: str = "", code: str = "", *, is_page: bool = False
    ) -> None:
        said = f": {reason}" if reason else ""
        super().__init__(f"`{host}` refuses: {status} {phrase(status)}{said}", _HINTS.get(status))
        self.status = status
        self.reason = reason
        self.code = code
        self.is_page = is_page


class Barrier(NetworkError):
    """Something that stands between us and a server: a login page, a proxy, a certificate that is not its own."""


class Hitch(NetworkError):
    """A failure that another try may cure; `wait_s` is how long the server asks to wait."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message, _AGAIN)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, and how often to try."""

    connect_s: float = 15.0
    silence_s: float = 30.0
    tries: int = 7
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    longest_wait_s: float = 900.0

    def pause(self, failures: int, hitch: Hitch) -> float:
        """Seconds to wait after so many failures in a row; raises the last one when it is time to give up."""
        if failures >= self.tries:
            raise hitch
        if hitch.wait_s is None:
            longest = min(self.first_pause_s * 2 ** (failures - 1), self.longest_pause_s)
            return longest * random.uniform(0.75, 1)
        if hitch.wait_s > self.longest_wait_s:
            minutes = f"{hitch.wait_s / 60:,.0f} minutes"
            raise NetworkError(f"{hitch.message}: it asks to wait {minutes}", "try again then")
        return hitch.wait_s


def host_of(url: str) -> str:
    """For sentences: never the whole URL, which may hold a token."""
    found = re.match(r"[a-zA-Z]+://([^/]+)", without_secrets(url))
    return found[1] if found else without_secrets(url)


@contextmanager
def translated(url: str, silence_s: float) -> Generator[None]:
    """Raises what httpx2 raises as ours."""
    import httpx2

    host = host_of(url)
    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError):
        raise UsageError(f"`{without_secrets(url)}` is no address of the web") from None
    except (httpx2.ReadTimeout, httpx2.WriteTimeout):
        raise Hitch(f"`{host}` has sent nothing for {silence_s:g} s") from None
    except httpx2.TimeoutException:
        raise Hitch(f"`{host}` does not answer") from None
    except httpx2.ProxyError as error:
        hint = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
        raise Barrier(f"the proxy does not let us reach `{host}`: {error}", hint) from None
    except httpx2.ConnectError as error:
        cause = _cause(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "if your network has a certificate of its own, set SSL_CERT_FILE to it"
            raise Barrier(f"the certificate of `{host}` is not valid: {cause.verify_message}", hint) from None
        raise Hitch(f"`{host}` cannot be reached: {cause.strerror or error}") from None
    except (httpx2.TransportError, httpx2.StreamError) as error:
        raise Hitch(f"the connection to `{host}` broke off: {_cause(error).strerror or error}") from None


def _cause(error: BaseException) -> OSError:
    """The error of the system behind one of httpx2's."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    return seen or OSError()


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After`, a number or a date, or from the `t` of `RateLimit`."""
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after[:9])
    with suppress(ValueError, TypeError):
        return max(parsedate_to_datetime(after).timestamp() - time.time(), 0)
    limit = re.search(r"r=0;\s*t=(\d{1,9})", headers.get("ratelimit", ""))
    return float(limit[1]) if limit else None


def phrase(status: int) -> str:
    """What a status is called."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
