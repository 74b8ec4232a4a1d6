"""Logins to servers: tokens kept between runs, and the listener that a browser comes back to.

The flow itself is the SDK's. A record belongs to one issuer and one server URL, and holds what the SDK would forget:
when the token runs out, and where it is renewed, so that a refresh token goes to nobody but its issuer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast
from urllib.parse import parse_qs, urlsplit

from qwen3cli.errors import QwenError
from qwen3cli.private import read_private, write_private
from qwen3cli.tools.failures import NoUse, WantsLogin
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.threads import in_thread

if TYPE_CHECKING:
    from mcp.client.auth import OAuthClientProvider
    from mcp.client.auth.oauth2 import OAuthContext
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthToken

_LOGIN_S: Final = 300.0
_AGAIN_S: Final = 60.0
"""Whoever has just logged in for the same is not asked again."""
_LOGINS: Final = 5
"""Of one connection: nobody has use for a server that wants yet another."""
_RECORD: Final = 1 << 18
_REQUEST: Final = 1 << 14
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PAGE: Final = "<!doctype html><meta charset=utf-8><title>qwen3</title><p>Done: go back to the terminal."


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Tokens:
    """What is kept of a login; the SDK's TokenStorage."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self.context: OAuthContext | None = None
        self.registered = True

    def record(self) -> dict[str, Any]:
        """The record of this URL; empty without one that can be read."""
        for path in sorted(self._folder.glob(f"*-{_digest(self._url)}.json")):
            with suppress(OSError, ValueError, RecursionError):
                found = json.loads(read_private(path, _RECORD))
                if isinstance(found, dict) and cast("dict[str, Any]", found).get("url") == self._url:
                    return cast("dict[str, Any]", found)
        return {}

    async def get_tokens(self) -> OAuthToken | None:
        """The token, if there is one."""
        from mcp.shared.auth import OAuthToken

        with suppress(ValueError):
            return OAuthToken.model_validate(self.record().get("tokens"))
        return None

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """How we are registered there, if we are and can still use that."""
        from mcp.shared.auth import OAuthClientInformationFull

        if not self.registered:
            return None
        with suppress(ValueError):
            return OAuthClientInformationFull.model_validate(self.record().get("client"))
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep a token."""
        self._keep(tokens=tokens.model_dump(mode="json", exclude_none=True), obtained=time.time())

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep a registration."""
        self._keep(client=client_info.model_dump(mode="json", exclude_none=True))

    def _keep(self, **news: Any) -> None:
        metadata = self.context.oauth_metadata if self.context else None
        issuer = str(metadata.issuer) if metadata else self._url
        old = self.record()
        # What another issuer gave is of no use with this one.
        fresh: dict[str, Any] = {"url": self._url, "issuer": issuer}
        kept = old if old.get("issuer") == issuer else fresh
        if metadata:
            kept["metadata"] = metadata.model_dump(mode="json", exclude_none=True)
        target = self._folder / f"{_digest(issuer)}-{_digest(self._url)}.json"
        try:
            write_private(target, json.dumps({**kept, **news}, indent=1).encode())
            for path in self._folder.glob(f"*-{_digest(self._url)}.json"):
                if path != target:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise QwenError(f"the login cannot be kept in `{self._folder}`: {error.strerror}") from None


class Listener:
    """Waits on the loopback for the browser that comes back from a login."""

    def __init__(self) -> None:
        self._came: asyncio.Future[AuthorizationCodeResult] | None = None
        self._state: str | None = None
        self._guests: set[asyncio.StreamWriter] = set()

    def expect(self, url: str) -> None:
        """From now on a browser may come, that was at `url`."""
        self._state = parse_qs(urlsplit(url).query).get("state", [None])[0]
        self._came = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; only that for the callback counts."""
        self._guests.add(writer)
        try:
            line = await asyncio.wait_for(reader.readline(), 10.0)
            target = urlsplit(line.decode(errors="replace").split(" ")[1])
            query = parse_qs(target.query)
            # Any page that a browser shows can make it come here, but knows nothing of this login.
            ours = target.path == "/callback" and query.get("state", [None])[0] == self._state
            page = _PAGE if ours else ""
            head = (
                f"HTTP/1.1 {200 if ours else 404} -\r\nContent-Type: text/html\r\nContent-Length: {len(page)}"
            )
            writer.write(f"{head}\r\nConnection: close\r\n\r\n{page}".encode())
            await writer.drain()
            if ours and self._came is not None and not self._came.done():
                self._settle(self._came, query)
        except (OSError, ValueError, IndexError, asyncio.TimeoutError):
            return
        finally:
            self._guests.discard(writer)
            writer.close()

    def dismiss(self) -> None:
        """Let go of those who came and said nothing: browsers keep connections that they may never use."""
        for writer in self._guests:
            writer.close()

    @staticmethod
    def _settle(came: asyncio.Future[AuthorizationCodeResult], query: dict[str, list[str]]) -> None:
        from mcp.shared.auth import AuthorizationCodeResult

        fields = {name: values[0] for name, values in query.items()}
        if "code" in fields:
            code, state, issuer = fields["code"], fields.get("state"), fields.get("iss")
            came.set_result(AuthorizationCodeResult(code=code, state=state, iss=issuer))
        else:
            said = fields.get("error_description") or fields.get("error") or "no code came back"
            came.set_exception(NoUse(f"the login failed: {said[:200]}"))

    async def wait(self) -> AuthorizationCodeResult:
        """What the browser brought."""
        try:
            assert self._came is not None
            return await asyncio.wait_for(self._came, _LOGIN_S)
        except asyncio.TimeoutError:
            raise NoUse("nobody logged in within five minutes") from None


def _check_pkce(server: str, provider: OAuthClientProvider) -> None:
    """Raise `NoUse` where whoever sees the code could use it (MCP 2025-11-25, Authorization Code Protection)."""
    metadata = provider.context.oauth_metadata
    if metadata is not None and "S256" not in (metadata.code_challenge_methods_supported or ()):
        raise NoUse(
            f"the login to the server `{server}` does not say that it takes PKCE (S256), so it is not used"
        )


@asynccontextmanager
async def login(
    config: ServerConfig, folder: Path, open_url: Callable[[str], None], waiting: Callable[[bool], None]
) -> AsyncGenerator[OAuthClientProvider]:
    """Authentication that asks the person to log in; `waiting` hears when that begins and ends."""
    tokens = Tokens(folder, config.url)
    listener = Listener()
    server, tokens.registered = await _listen(listener, await tokens.get_client_info())
    port = server.sockets[0].getsockname()[1]

    provider = _provider(config, tokens, f"http://127.0.0.1:{port}/callback")
    asked: dict[str, float] = {}

    async def show(url: str) -> None:
        check_login_url(config.name, url)
        _check_pkce(config.name, provider)
        scope, now = parse_qs(urlsplit(url).query).get("scope", [""])[0], time.monotonic()
        if len(asked) == _LOGINS:
            raise NoUse(f"the server `{config.name}` wants more than {_LOGINS} logins")
        if now - asked.get(scope, -math.inf) < _AGAIN_S:
            raise NoUse(f"the server `{config.name}` does not take the login that was just made")
        asked[scope] = now
        waiting(True)
        listener.expect(url)
        await in_thread(lambda: open_url(url))

    async def back() -> AuthorizationCodeResult:
        came = await listener.wait()
        waiting(False)
        return came

    try:
        provider.context.redirect_handler = show
        provider.context.callback_handler = back
        yield provider
    finally:
        server.close()
        listener.dismiss()


def remembered(config: ServerConfig, folder: Path) -> OAuthClientProvider | None:
    """Authentication with a token of an earlier run; None without one. It asks nobody anything."""
    tokens = Tokens(folder, config.url)
    if "tokens" not in tokens.record():
        return None

    async def refuse(url: str = "") -> NoReturn:
        raise WantsLogin(
            f"the login to the server `{config.name}` is no longer valid",
            f"log in with `qwen3 mcp check {config.name}`",
        )

    provider = _provider(config, tokens, "http://127.0.0.1/callback")
    provider.context.redirect_handler = provider.context.callback_handler = refuse
    return provider


def _provider(config: ServerConfig, tokens: Tokens, callback: str) -> OAuthClientProvider:
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientMetadata, OAuthMetadata
    from pydantic import AnyUrl

    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(callback)], client_name="qwen3")
    provider = OAuthClientProvider(config.url, metadata, tokens)
    tokens.context = provider.context
    record = tokens.record()
    with suppress(ValueError):
        provider.context.oauth_metadata = OAuthMetadata.model_validate(record.get("metadata"))
    with suppress(TypeError, ValueError, KeyError, AttributeError):
        provider.context.token_expiry_time = record["obtained"] + record["tokens"]["expires_in"]
    return provider


async def _listen(
    listener: Listener, client: OAuthClientInformationFull | None
) -> tuple[asyncio.Server, bool]:
    """A server on the port that the registration names, and whether that was free; else we register anew."""
    port = client.redirect_uris[0].port if client and client.redirect_uris else None
    if port:
        with suppress(OSError):
            server = await asyncio.start_server(listener.serve, "127.0.0.1", port, limit=_REQUEST)
            return server, True
    return await asyncio.start_server(listener.serve, "127.0.0.1", 0, limit=_REQUEST), False


def is_loopback(host: str | None) -> bool:
    """Whether a name or an address is this machine's own, which nobody between can read."""
    return host in _LOOPBACK


def check_login_url(name: str, url: str) -> None:
    """Raises `NoUse` for a URL that no login may lead to."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise NoUse(f"the server `{name}` wants a login at a URL that is not https: {url}")
