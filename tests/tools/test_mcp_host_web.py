"""Servers at URLs: the SDK's over both transports, and those that refuse or answer oddly."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import ToolsFailed
from qwen3cli.tools.kinds import ServerConfig, Transport
from tests.tools.hosts import SERVERS, call, hosting, only, text_of
from tests.tools.servers.web import site


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


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


def blue(server: str, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
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
        ("elsewhere", "says: Redirect to http://localhost:1/mcp not followed"),
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
