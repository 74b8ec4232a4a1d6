"""Serves an application on loopback in threads of the test process: what all hubs of the tests stand on.

An application is a function from `Request` to `Response` and knows nothing of sockets. The server counts what is
asked and every byte that leaves, and lets faults change an answer on its way out (faults.py); so each hub,
whether ours or a process behind `forward`, suffers the same faults.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK = 64 << 10
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    target: str  # as it was sent, with its query
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path, unquoted."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The parameters after `?`."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Wire:
    """How a body leaves."""

    upto: int | None = None  # bytes before it ends early; None: all
    then: Literal["close", "reset", "stall"] = "close"
    rate: int | None = None  # bytes per second
    gate: threading.Event | None = None  # it leaves when this is set


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # names in lower case
    body: bytes = b""
    start: int = 0  # where in the file the body begins
    whole: bytes | None = None  # the file that the body is a range of
    wire: Wire = Wire()


App = Callable[[Request], Response]
Fault = Callable[[Request, Response], "Response | None"]  # None: nothing to spoil here


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    body = json.dumps(value).encode()
    return Response(status, {"content-type": "application/json; charset=utf-8", **(headers or {})}, body)


def file_response(request: Request, data: bytes, etag: str, headers: Mapping[str, str]) -> Response:
    """A file, as storage serves it: Range, If-Range, 206 and 416."""
    common = {"content-type": "application/octet-stream", "accept-ranges": "bytes", "etag": etag, **headers}
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    stale = request.headers.get("if-range", etag) != etag
    if asked is None or stale or asked.group(0) == "bytes=-":
        return Response(200, common, data, whole=data)
    first, last = asked.groups()
    start = int(first) if first else max(len(data) - int(last), 0)
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Response(416, {**common, "content-range": f"bytes */{len(data)}"})
    body = data[start : end + 1]
    return Response(206, {**common, "content-range": f"bytes {start}-{end}/{len(data)}"}, body, start, data)


def forward(url: str) -> App:
    """An application that asks the server at `url`; puts faults and counters in front of a process."""
    host = urlsplit(url).netloc
    own = {"connection", "keep-alive", "transfer-encoding", "date", "server"}

    def app(request: Request) -> Response:
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(request.method, request.target, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        headers = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in own}
        return Response(answer.status, headers, body)

    return app


@dataclass
class Exchange:
    """One request and what left for it."""

    request: Request
    status: int
    sent: int = 0  # bytes of the body


@dataclass
class _Rule:
    fault: Fault
    path: re.Pattern[str]
    methods: tuple[str, ...]
    skip: int
    times: int | None


class Server:
    """An application on a free port of loopback; a context manager."""

    def __init__(self, app: App, host: str = "127.0.0.1") -> None:
        self.app = app
        self.exchanges: list[Exchange] = []
        self.injected = 0  # answers that a fault has spoiled
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._server = _Server(self)
        self.url = f"http://{host}:{self._server.server_address[1]}"
        # Stopping waits for this interval.
        serve = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        serve.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops serving; what stalls is let go."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def inject(
        self,
        fault: Fault,
        path: str = "",
        *,
        times: int | None = None,
        skip: int = 0,
        methods: tuple[str, ...] = ("GET",),
    ) -> None:
        """Spoils answers to targets that `path` (a regular expression) is found in, after the first `skip`."""
        with self._lock:
            self._rules.append(_Rule(fault, re.compile(path), methods, skip, times))

    def heal(self) -> None:
        """Ends all faults."""
        with self._lock:
            self._rules.clear()

    def asked(self, path: str = "", method: str = "") -> list[Exchange]:
        """The exchanges whose target `path` (a regular expression) is found in."""
        with self._lock:
            known = list(self.exchanges)
        return [e for e in known if re.search(path, e.request.target) and method in ("", e.request.method)]

    def sent(self, path: str = "") -> int:
        """Bytes of bodies that left for such targets."""
        return sum(exchange.sent for exchange in self.asked(path))

    def answer(self, request: Request) -> tuple[Response, Exchange]:
        """What goes back, spoiled where a fault applies."""
        response = self.app(request)
        with self._lock:
            for rule in self._rules:
                response = self._spoiled(rule, request, response)
            exchange = Exchange(request, response.status)
            self.exchanges.append(exchange)
        return response, exchange

    def _spoiled(self, rule: _Rule, request: Request, response: Response) -> Response:
        if request.method not in rule.methods or rule.times == 0 or not rule.path.search(request.target):
            return response
        spoiled = rule.fault(request, response)
        if spoiled is None:
            return response
        if rule.skip:
            rule.skip -= 1
            return response
        rule.times = None if rule.times is None else rule.times - 1
        self.injected += 1
        return spoiled


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner

    def shutdown_request(self, request: Any) -> None:
        # Saying goodbye first would turn a reset into an orderly end.
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed in tests; anything else is a bug here."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        response, exchange = self.server.owner.answer(Request(self.command, self.path, headers, body))
        self.send_response(response.status)
        for name, value in {"content-length": str(len(response.body)), **response.headers}.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            if self.command != "HEAD":
                self._send(response, exchange)
        except OSError:  # the client is gone
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _send(self, response: Response, exchange: Exchange) -> None:
        wire = response.wire
        while wire.gate and not wire.gate.wait(0.05) and not self.server.owner.stopped.is_set():
            pass
        body = memoryview(response.body)[: wire.upto]
        size = CHUNK if wire.rate is None else max(wire.rate // 50, 1)
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            # Counted first: the client may have it, and look, before this thread runs again.
            exchange.sent += len(piece)
            self.wfile.write(piece)
            if wire.rate is not None:
                time.sleep(len(piece) / wire.rate)
        if wire.upto is not None:
            self._end_early(wire)

    def _end_early(self, wire: Wire) -> None:
        self.close_connection = True
        if wire.then == "stall":
            self.server.owner.stopped.wait()
        if wire.then == "reset":
            # Lingering for no time at all makes closing a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: object) -> None:
        """Tests read the exchanges."""


def without(response: Response, *names: str) -> Response:
    """The answer without some headers."""
    return replace(response, headers={k: v for k, v in response.headers.items() if k not in names})
