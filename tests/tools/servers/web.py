"""A server at a URL without the SDK, for what the SDK's would not do: refuse, answer oddly, forget, want a login.

A mode that begins with "call" is about calls only; with "forgets", about sessions that it knows nothing of any more.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


@dataclass
class Site:
    """What it does, and what it has seen."""

    mode: str = "fine"
    url: str = ""
    elsewhere: str = ""
    token: str = "first"
    sessions: int = 0
    known: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[tuple[str, str, dict[str, str]]])
    challenges: dict[str, str] = field(default_factory=dict[str, str])

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(seen == path for _, seen, _ in self.seen)


@contextmanager
def site(
    mode: str, tls: ssl.SSLContext | None = None, elsewhere: str = "http://localhost:1/mcp"
) -> Generator[Site]:
    """The server, while the block lasts; `elsewhere` is where it would like us to go."""
    shown = Site(mode, elsewhere=elsewhere)

    class Handler(_Handler):
        site = shown

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shown.url = f"http://127.0.0.1:{server.server_address[1]}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        shown.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield shown
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def reply(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, body: Any, status: int = 200) -> None:
        self.reply(status, json.dumps(body).encode())

    def note(self) -> str:
        path = urlsplit(self.path).path
        self.site.seen.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
        return path

    def events(self, *events: str) -> None:
        """A stream of events that ends with them."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(f"{event}\n\n" for event in events).encode())

    def do_GET(self) -> None:
        url, path = self.site.url, self.note()
        if self.site.mode == "stream ends":
            self.events()
        elif self.site.mode == "stream leads away":
            self.events(f"event: endpoint\ndata: {self.site.elsewhere}")
        elif not self.site.mode.startswith("login"):
            self.reply(405)
        elif path == "/.well-known/oauth-protected-resource/mcp":
            issuer = self.site.elsewhere if self.site.mode == "login elsewhere" else url
            self.json({"resource": f"{url}/mcp", "authorization_servers": [issuer]})
        elif path == "/.well-known/oauth-authorization-server":
            self.json(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/secret/token",
                    "registration_endpoint": f"{url}/register",
                    **(
                        {"code_challenge_methods_supported": ["S256"]}
                        if self.site.mode != "login open"
                        else {}
                    ),
                }
            )
        elif path == "/authorize":
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self.site.challenges["code"] = query["code_challenge"]
            back = urlencode({"code": "code", "state": query["state"]})
            self.reply(302, Location=f"{query['redirect_uri']}?{back}")
        else:
            self.reply(404)

    def do_DELETE(self) -> None:
        self.note()
        if self.site.mode == "forgets slowly":
            time.sleep(60)
        self.reply(200)

    def pour(self) -> None:
        """Send a stream without events that ends when nobody reads it any more."""
        self.events()
        with suppress(OSError):
            while True:
                self.wfile.write(b"x" * (1 << 20))

    def do_POST(self) -> None:
        path = self.note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/register":
            self.json({**json.loads(body), "client_id": "us"}, 201)
        elif path == "/secret/token":
            self.token({name: values[0] for name, values in parse_qs(body.decode()).items()})
        elif path == "/mcp":
            self.mcp(json.loads(body))
        else:
            self.reply(404)

    def token(self, form: dict[str, str]) -> None:
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            assert urlsafe_b64encode(digest).decode().rstrip("=") == self.site.challenges["code"]
        else:
            assert form["refresh_token"] == "again"
            self.site.token = "second"
        if self.site.mode == "login poured out":
            return self.pour()
        if self.site.mode == "login without end":
            time.sleep(60)
        return self.json(
            {
                "access_token": "never taken" if self.site.mode == "login in vain" else self.site.token,
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": "again",
            }
        )

    def mcp(self, request: dict[str, Any]) -> None:
        mode = self.site.mode
        if mode.isdigit():
            self.reply(int(mode), b"no", "text/plain")
        elif mode == "html":
            self.reply(200, b"<html>log in to the hotel", "text/html")
        elif mode == "packed":
            self.reply(200, b"\x1f\x8b", Content_Encoding="gzip")
        elif mode == "elsewhere":
            self.reply(307, Location=self.site.elsewhere)
        elif mode.startswith("login") and self.headers.get("Authorization") != f"Bearer {self.site.token}":
            where = f'Bearer resource_metadata="{self.site.url}/.well-known/oauth-protected-resource/mcp"'
            self.reply(401, WWW_Authenticate=where)
        elif self.site.mode == "login for more" and request["method"] == "tools/call":
            self.site.sessions += 1
            more = f'Bearer error="insufficient_scope", scope="right{self.site.sessions}"'
            self.reply(403, WWW_Authenticate=more)
        elif "id" not in request:
            self.reply(202)
        else:
            self.answer(request)

    def answer(self, request: dict[str, Any]) -> None:
        method, mode = request["method"], self.site.mode
        session: dict[str, str] = {}
        if method == "initialize":
            self.site.sessions += 1
            self.site.known = str(self.site.sessions)
            session = {"Mcp_Session_Id": self.site.known} if mode.startswith("forgets") else {}
            info = {"protocolVersion": "2025-11-25", "serverInfo": {"name": "web", "version": "1"}}
            result: dict[str, Any] = {**info, "capabilities": {"tools": {}}}
        elif mode.startswith("forgets") and self.headers.get("Mcp-Session-Id") not in (None, self.site.known):
            return self.forget(request)
        elif method == "tools/list":
            result = {"tools": [{"name": "fine", "inputSchema": {"type": "object"}}]}
        elif method == "tools/call" and mode.startswith("call"):
            return self.call(request)
        elif method == "tools/call":
            text = "x" * (9 << 20) if mode == "flood" else "fine"
            result = {"content": [{"type": "text", "text": text}]}
        else:
            return self.refuse(request, -32601, "what?")
        body = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        return self.reply(200, json.dumps(body).encode(), **session)

    def refuse(self, request: dict[str, Any], code: int, message: str, status: int = 200) -> None:
        error = {"code": code, "message": message}
        self.json({"jsonrpc": "2.0", "id": request["id"], "error": error}, status)

    def forget(self, request: dict[str, Any]) -> None:
        """Know nothing of a session, as the protocol wants it, as one SDK says it, and as its examples do."""
        if self.site.mode == "forgets":
            self.reply(404)
        elif self.site.mode == "forgets with a message":
            self.refuse({"id": None}, -32001, "Session not found", 404)
        else:
            self.refuse(request, -32000, "Bad Request: No valid session ID provided", 400)

    def call(self, request: dict[str, Any]) -> None:
        """Answer a call in one of the ways that are not quite an answer."""
        match self.site.mode:
            case "call refused":
                self.refuse(request, -32602, "no such city", 400)
            case "call accepted":
                self.reply(202)
            case "call without end":
                self.events(": nothing yet")
                time.sleep(5)
            case "call cut off":
                self.events('data: {"jsonrpc"')
            case "call flood":
                self.events("data: " + "x" * (9 << 20))
            case _:
                self.reply(200, b'{"jsonrpc": "2.0"', Content_Length="1000")
