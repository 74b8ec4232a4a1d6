"""Servers at URLs: the SDK's over both transports, and those that refuse or answer oddly."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from qwen3cli.errors import ToolsFailed
from qwen3cli.tools import web
from qwen3cli.tools.failures import Trouble
from qwen3cli.tools.kinds import ServerConfig, Transport
from tests.ports import free_port
from tests.tools.hosts import HASTY, SERVERS, call, hosting, only, text_of
from tests.tools.servers.web import site


def serving(kind: str, port: int) -> subprocess.Popen[bytes]:
    """The SDK's server as a process that answers."""
    process = subprocess.Popen(
        [sys.executable, str(SERVERS / "friendly.py"), kind, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            assert process.poll() is None
            time.sleep(0.05)


def blue(server: str, message: str, schema: Mapping[str, Any], _: object) -> Mapping[str, Any]:
    return {"colour": "blue"}


Serve = Callable[[str], tuple[subprocess.Popen[bytes], ServerConfig]]


@pytest.fixture
def serve() -> Generator[Serve]:
    processes: list[subprocess.Popen[bytes]] = []

    def run(kind: Transport) -> tuple[subprocess.Popen[bytes], ServerConfig]:
        port = free_port()
        processes.append(serving(kind, port))
        path = "mcp" if kind == "http" else "sse"
        return processes[-1], ServerConfig("web", kind, url=f"http://127.0.0.1:{port}/{path}")

    yield run  # pyright: ignore[reportReturnType]
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("kind", "protocol"), [("http", "2026-07-28"), ("sse", "2025-11-25")])
def test_a_server_at_a_url(tmp_path: Path, serve: Serve, kind: str, protocol: str) -> None:
    heard: list[str] = []
    _, config = serve(kind)
    with hosting(tmp_path, config, elicit=blue) as host:
        assert (only(host).state, only(host).protocol) == ("ready", protocol)
        assert text_of(call(host, "web", "add", a=1, b=2)) == "3"
        assert text_of(call(host, "web", "count", heard.append, upto=2)) == "counted"
        assert text_of(call(host, "web", "ask")) == "accept blue"
        call(host, "web", "grow", name="late")
        while "late" not in [tool.name for tool in host.tools()]:
            time.sleep(0.02)
        assert host.news() == ["the server `web` has changed its tools: new `late`"]
    assert heard


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_server_that_went_and_came_back(tmp_path: Path, serve: Serve, kind: str) -> None:
    process, config = serve(kind)
    with hosting(tmp_path, config) as host:
        process.kill()
        process.wait()
        with pytest.raises(ToolsFailed, match="cannot be reached"):
            call(host, "web", "add", a=1, b=2)
        assert only(host).state == "failed"
        again = serving(kind, int(config.url.split(":")[2].split("/")[0]))
        try:
            assert text_of(call(host, "web", "add", a=1, b=2)) == "3"
        finally:
            again.kill()
            again.wait()


def test_headers_go_along(tmp_path: Path) -> None:
    with site("fine") as server:
        config = ServerConfig(
            "web", "http", url=f"{server.url}/mcp", headers={"X-Key": "k", "Authorization": "A"}
        )
        with hosting(tmp_path, config) as host:
            assert text_of(call(host, "web", "fine")) == "fine"
        posts = [headers for method, _, headers in server.seen if method == "POST"]
    assert len(posts) >= 3
    assert {(headers["x-key"], headers["authorization"]) for headers in posts} == {("k", "A")}


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("500", "answers with HTTP 500"),
        ("401", "wants a login (HTTP 401)"),
        ("403", "wants a login (HTTP 403)"),
        ("html", "says: Unexpected content type: text/html"),
        ("packed", "sends its answers packed, though asked not to"),
    ],
)
def test_a_server_that_does_not_work(tmp_path: Path, mode: str, reason: str) -> None:
    with (
        site(mode) as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
    ):
        status = only(host)
        assert status.state == "failed"
        assert f"the server `web` {reason}" in status.reason
        assert len(host.news()) == 1


@pytest.mark.parametrize(
    ("mode", "kind", "reason"),
    [
        ("elsewhere", "http", r"says: Redirect to .*/mcp not followed"),
        # The SDK waits for a better address, without end.
        ("stream leads away", "sse", "does not answer"),
    ],
)
def test_nothing_of_ours_goes_to_another_place(
    tmp_path: Path, mode: str, kind: Transport, reason: str
) -> None:
    with site("fine") as other, site(mode, elsewhere=f"{other.url}/mcp") as server:
        config = ServerConfig("web", kind, url=f"{server.url}/mcp", headers={"X-Key": "secret"})
        with hosting(tmp_path, config, patience=HASTY) as host:
            assert only(host).state == "failed"
            assert re.search(reason, only(host).reason)
        assert server.seen
        assert other.seen == []


def test_a_stream_of_events_that_ends_at_once(tmp_path: Path) -> None:
    with (
        site("stream ends") as server,
        hosting(tmp_path, ServerConfig("web", "sse", url=f"{server.url}/sse")) as host,
    ):
        assert only(host).reason == "the server `web` ends its stream of events at once"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("call refused", "no such city"),
        ("call accepted", "server answered a request with 202 Accepted"),
        ("call cut off", "Failed to parse SSE message: 1 validation error"),
        ("call flood", "SSE stream failed: Server-sent event exceeded the 8388608 byte limit"),
    ],
)
def test_a_call_that_gets_no_answer_is_a_result(tmp_path: Path, mode: str, said: str) -> None:
    with (
        site(mode) as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
    ):
        result = call(host, "web", "fine")
        assert text_of(result).startswith(f"`web.fine`: {said}")
        assert "http" not in text_of(result)
        assert result.is_error
        assert only(host).state == "ready"


def test_a_stream_without_end_is_left_in_time(tmp_path: Path) -> None:
    with (
        site("call without end") as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp", timeout_s=0.2)) as host,
        pytest.raises(ToolsFailed, match=r"`web\.fine` has not answered in 0\.2 seconds"),
    ):
        call(host, "web", "fine")


@pytest.mark.parametrize("mode", ["forgets", "forgets with a message", "forgets in its own way"])
def test_a_session_that_is_lost_is_had_anew(tmp_path: Path, mode: str) -> None:
    """Also where several calls notice it: none is lost, and there is one new session."""
    with (
        site(mode) as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
        ThreadPoolExecutor(5) as pool,
    ):
        assert text_of(call(host, "web", "fine")) == "fine"
        server.known = "another"
        calls = [pool.submit(call, host, "web", "fine") for _ in range(5)]
        assert [text_of(one.result()) for one in calls] == ["fine"] * 5
        assert (server.sessions, host.news()) == (2, [])


def test_the_end_of_a_session_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_LAST_S", 0.1)
    with (
        site("forgets slowly") as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
    ):
        again = threading.Thread(target=host.reconnect, args=["web"], daemon=True)
        again.start()
        again.join(30)
        assert not again.is_alive()
        assert text_of(call(host, "web", "fine")) == "fine"
        assert (server.sessions, [method for method, _, _ in server.seen].count("DELETE")) == (2, 1)


def test_streams_of_events_are_not_asked_for_all_the_time() -> None:
    """A server that ends each of them says itself when it wants to be asked again."""

    async def ask() -> None:
        client = web.make_client(ServerConfig("web", "http", url="https://example.org/mcp"), Trouble(), None)
        (mind,) = client.event_hooks["request"]
        stream = httpx2.Request("GET", "https://example.org", headers={"Accept": "text/event-stream"})
        for _ in range(10):
            await mind(stream)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mind(stream), 0.1)
        await mind(httpx2.Request("POST", "https://example.org"))

    asyncio.run(ask())


def certified(folder: Path) -> ssl.SSLContext:
    """What a server needs that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_a_certificate_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site("fine", certified(tmp_path)) as server:
        config = ServerConfig("web", "http", url=f"{server.url}/mcp")
        with hosting(tmp_path, config) as host:
            (news,) = host.news()
            assert news.startswith("the certificate of the server `web` is not valid: self")
            assert "_ssl.c" not in news
            assert news.endswith("(if your network has a certificate of its own, set SSL_CERT_FILE to it)")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with hosting(tmp_path, config) as host:
            assert text_of(call(host, "web", "fine")) == "fine"


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_server_that_is_not_there(tmp_path: Path, kind: Transport) -> None:
    config = ServerConfig("web", kind, url=f"http://127.0.0.1:{free_port()}/mcp")
    with hosting(tmp_path, config) as host:
        assert only(host).reason.startswith("the server `web` cannot be reached: ")
        assert host.news()[0].endswith("(check its URL)")


def test_a_url_that_is_none(tmp_path: Path) -> None:
    with hosting(tmp_path, ServerConfig("web", "http", url="ftp://example.org")) as host:
        assert only(host).state == "failed"
        assert "cannot be reached" in only(host).reason


def test_a_flood_is_refused(tmp_path: Path) -> None:
    with (
        site("flood") as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
    ):
        result = call(host, "web", "fine")
        assert result.is_error
        assert "more than 8,388,608 bytes" in text_of(result)


def test_a_proxy_that_makes_no_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://proxy")
    with (
        site("fine") as server,
        hosting(tmp_path, ServerConfig("web", "http", url=f"{server.url}/mcp")) as host,
    ):
        assert only(host).state == "failed"
        assert "cannot be reached" in only(host).reason
