"""A server at a URL without the SDK, for what the SDK's would not do: refuse, answer oddly, want a login."""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


@dataclass
class Site:
    """What it does, and what it has seen."""

    mode: str = "fine"
    url: str = ""
    token: str = "first"
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[tuple[str, str, dict[str, str]]])
    challenges: dict[str, str] = field(default_factory=dict[str, str])

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(seen == path for _, seen, _ in self.seen)


@contextmanager
def site(mode: str) -> Generator[Site]:
    """The server, while the block lasts."""
    shown = Site(mode)

    class Handler(_Handler):
        site = shown

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shown.url = f"http://127.0.0.1:{server.server_address[1]}"
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

    def do_GET(self) -> None:
        url, path = self.site.url, self.note()
        if self.site.mode != "login":
            self.reply(405)
        elif path == "/.well-known/oauth-protected-resource/mcp":
            self.json({"resource": f"{url}/mcp", "authorization_servers": [url]})
        elif path == "/.well-known/oauth-authorization-server":
            self.json(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/secret/token",
                    "registration_endpoint": f"{url}/register",
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif path == "/authorize":
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self.site.challenges["code"] = query["code_challenge"]
            back = urlencode({"code": "code", "state": query["state"]})
            self.reply(302, Location=f"{query['redirect_uri']}?{back}")
        else:
            self.reply(404)

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
        self.json(
            {
                "access_token": self.site.token,
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
            self.reply(307, Location="http://localhost:1/mcp")
        elif mode == "login" and self.headers.get("Authorization") != f"Bearer {self.site.token}":
            where = f'Bearer resource_metadata="{self.site.url}/.well-known/oauth-protected-resource/mcp"'
            self.reply(401, WWW_Authenticate=where)
        elif "id" not in request:
            self.reply(202)
        else:
            self.answer(request)

    def answer(self, request: dict[str, Any]) -> None:
        method = request["method"]
        if method == "initialize":
            info = {"protocolVersion": "2025-11-25", "serverInfo": {"name": "web", "version": "1"}}
            result: dict[str, Any] = {**info, "capabilities": {"tools": {}}}
        elif method == "tools/list":
            result = {"tools": [{"name": "fine", "inputSchema": {"type": "object"}}]}
        elif method == "tools/call":
            text = "x" * (9 << 20) if self.site.mode == "flood" else "fine"
            result = {"content": [{"type": "text", "text": text}]}
        else:
            error = {"code": -32601, "message": "what?"}
            return self.json({"jsonrpc": "2.0", "id": request["id"], "error": error})
        return self.json({"jsonrpc": "2.0", "id": request["id"], "result": result})
