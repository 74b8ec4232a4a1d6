"""HTTP as listings and downloads need it: redirects followed by hand, and failures that may pass kept apart.

The headers of the caller (a token) go to the origin of the first URL only and never to one that a redirect names;
https never falls to http; proxies come from the environment. Knows nothing of hubs, files and ranges.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from qwen3cli.errors import NetworkError, UsageError
from qwen3cli.models.hitches import (
    Barrier,
    Hitch,
    HttpRefusal,
    Patience,
    host_of,
    phrase,
    translated,
    wait_asked,
)

if TYPE_CHECKING:
    import httpx2

_REDIRECTS: Final = 10
_PASSING: Final = (408, 425, 429)
"""Refusals that another try may cure; so may 5xx."""
_JSON_TRIES: Final = 3
_REASON_BYTES: Final = 1 << 16


class Answer:
    """A response whose body has not been read yet; `url` is where it came from in the end.

    `trusted` says whether that place is the origin that may see the caller's headers.
    """

    def __init__(self, response: httpx2.Response, url: str, trusted: bool, silence_s: float) -> None:
        self._response = response
        self._silence_s = silence_s
        self.url = url
        self.trusted = trusted
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def blocks(self) -> Iterator[bytes]:
        """The body as it comes, unpacked by nobody; `Hitch` if it breaks off."""
        with translated(self.url, self._silence_s):
            yield from self._response.iter_raw()

    def read(self, limit: int) -> bytes:
        """The body; NetworkError if it is longer than `limit` bytes."""
        body = bytearray()
        for block in self.blocks():
            body += block
            if len(body) > limit:
                raise NetworkError(f"`{host_of(self.url)}` answers with more than {limit:,} bytes")
        return bytes(body)

    def close(self) -> None:
        """Ends it; the connection is kept if the body was read to its end."""
        with suppress(OSError):
            self._response.close()

    def abort(self) -> None:
        """Wakes whoever waits for the body in another thread."""
        stream = self._response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream else None
        if isinstance(connection, socket.socket):
            with suppress(OSError):
                # Not the method of an SSLSocket, which would let the other thread read what is still encrypted.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Http:
    """Connections to servers, for one command; may be used from several threads."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._client: httpx2.Client | None = None
        self._forbidden: NetworkError | None = None

    def __enter__(self) -> Http:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def forbid(self, error: NetworkError) -> None:
        """From now on nothing is asked: `error` is raised instead."""
        self._forbidden = error

    def json(self, url: str, headers: Mapping[str, str] = {}, *, limit: int = 10 << 20) -> Any:
        """The document at `url`. Raises `HttpRefusal`, `Hitch`, `NetworkError`."""
        return self.document(url, headers, limit=limit)[0]

    def document(
        self, url: str, headers: Mapping[str, str] = {}, *, limit: int = 10 << 20
    ) -> tuple[Any, Mapping[str, str]]:
        """As `json`, with the headers that came with it."""
        body, told = self._body(url, headers, limit)
        packing = told.get("content-encoding", "").strip().lower()
        if packing not in ("", "identity"):
            raise Barrier(
                f"`{host_of(url)}` sends its answer packed ({packing[:20]}), though asked not to",
                "a proxy on the way may do that",
            )
        try:
            return json.loads(body), told
        except (ValueError, RecursionError):
            raise Barrier(
                f"`{host_of(url)}` does not answer with JSON",
                "check the address, or whether a login page of the network stands in between",
            ) from None

    def stream(self, url: str, headers: Mapping[str, str] = {}, *, asked: Mapping[str, str] = {}) -> Answer:
        """The answer to a GET, 2xx or 416; `headers` stay with the origin of `url`, `asked` go wherever it leads."""
        if self._forbidden is not None:
            raise self._forbidden
        trusted = True
        for _ in range(_REDIRECTS + 1):
            response = self._get(url, {**(headers if trusted else {}), **asked})
            if not response.has_redirect_location:
                self._judge(response, url)
                return Answer(response, url, trusted, self.patience.silence_s)
            target = target_of(url, response.headers["location"])
            _finish(response)
            trusted = trusted and _origin(target) == _origin(url)
            url = target
        raise NetworkError(f"`{host_of(url)}` leads from one address to the next and never to an end")

    def _body(self, url: str, headers: Mapping[str, str], limit: int) -> tuple[bytes, Mapping[str, str]]:
        failures = 0
        while True:
            try:
                with self.stream(url, headers, asked={"Accept": "application/json"}) as answer:
                    return answer.read(limit), answer.headers
            except Hitch as hitch:
                failures += 1
                if failures == _JSON_TRIES or (hitch.wait_s or 0) > self.patience.longest_pause_s:
                    raise
                time.sleep(self.patience.pause(failures, hitch))

    def _get(self, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        with translated(url, self.patience.silence_s):
            client = self._opened()
            request = client.build_request("GET", url, headers={"Accept-Encoding": "identity", **headers})
            return client.send(request, stream=True, follow_redirects=False)

    def _opened(self) -> httpx2.Client:
        if self._client is None:
            import httpx2

            timeout = httpx2.Timeout(self.patience.silence_s, connect=self.patience.connect_s, pool=None)
            try:
                self._client = httpx2.Client(timeout=timeout, headers={"User-Agent": "qwen3cli"})
            except ImportError:
                message = "the environment names a SOCKS proxy, which takes a package that is not installed"
                raise UsageError(message, "`pip install socksio`, or name an HTTP proxy") from None
            except httpx2.InvalidURL:  # Its text may be a part of the proxy's password.
                raise UsageError(
                    "the settings of the network name a proxy whose address is none",
                    "look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
                ) from None
            except (ValueError, OSError) as error:
                raise UsageError(
                    f"the settings of the network cannot be used: {error}",
                    "look at HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
                ) from None
        return self._client

    def _judge(self, response: httpx2.Response, url: str) -> None:
        status = response.status_code
        if 200 <= status < 300 or status == 416:
            return
        host = host_of(url)
        wait_s = wait_asked(response.headers)
        reason = _reason(response)
        response.close()
        if status in _PASSING or status >= 500:
            raise Hitch(f"`{host}` answers {status} {phrase(status)}", wait_s)
        is_page = "html" in response.headers.get("content-type", "").lower()
        code = response.headers.get("x-error-code", "")
        raise HttpRefusal(host, status, reason, code, is_page=is_page)


def target_of(url: str, location: str) -> str:
    """Where a redirect leads; NetworkError for what is no address, and from https to http."""
    import httpx2

    try:
        here, target = httpx2.URL(url), httpx2.URL(url).join(location)
    except (httpx2.InvalidURL, UnicodeError):
        raise NetworkError(f"`{host_of(url)}` leads to what is no address of the web") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise NetworkError(f"`{host_of(url)}` leads to what is no address of the web")
    if here.scheme == "https" and target.scheme == "http":
        raise Barrier(f"`{host_of(url)}` leads from https to http, where anyone could change the bytes")
    return str(target)


def _origin(url: str) -> tuple[str, str, int]:
    import httpx2

    parsed = httpx2.URL(url)
    return parsed.scheme, parsed.host, parsed.port or {"http": 80, "https": 443}[parsed.scheme]


def _finish(response: httpx2.Response) -> bytes:
    """Reads a short body, as it comes, so that its connection can be used again."""
    length = response.headers.get("content-length", "")
    body = b""
    if re.fullmatch(r"[0-9]{1,9}", length) and int(length) <= _REASON_BYTES:
        with suppress(Exception):
            body = b"".join(response.iter_raw())
    response.close()
    return body


def _reason(response: httpx2.Response) -> str:
    """What the server itself says about a refusal, in the ways that hubs have."""
    said = response.headers.get("x-error-message", "")
    if not said and "json" in response.headers.get("content-type", ""):
        with suppress(Exception):
            body = json.loads(_finish(response))
            said = next(body[key] for key in ("error", "message", "Message") if isinstance(body[key], str))
    return " ".join(said[:200].split())
