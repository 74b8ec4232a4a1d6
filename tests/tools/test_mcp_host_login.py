"""Logins to servers: the whole flow against a server on the loopback, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from qwen3cli.errors import QwenError
from qwen3cli.tools.failures import Trouble
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.offers import Patience
from qwen3cli.tools.web import make_client
from tests.tools.hosts import call, eventually, hosting, only, text_of
from tests.tools.servers.web import Site, site


class Browser:
    """Follows the URL of a login as a person would."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.page = ""

    def __call__(self, url: str) -> None:
        self.urls.append(url)
        with urllib.request.urlopen(url) as response:
            self.page = response.read().decode()


def config(server: Site) -> ServerConfig:
    return ServerConfig("web", "http", url=f"{server.url}/mcp")


def record(folder: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (folder / "tokens").iterdir()
    return path, json.loads(path.read_text())


def test_a_login_is_asked_for_once(tmp_path: Path) -> None:
    browser = Browser()
    with site("login") as server:
        with hosting(tmp_path, config(server), open_url=browser) as host:
            assert (only(host).state, host.news()) == ("ready", [])
            assert text_of(call(host, "web", "fine")) == "fine"
        assert len(browser.urls) == 1
        assert browser.urls[0].startswith(f"{server.url}/authorize?")
        assert "go back to the terminal" in browser.page
        # The next run needs nobody.
        with hosting(tmp_path, config(server)) as host:
            assert text_of(call(host, "web", "fine")) == "fine"
        assert server.asked("/register") == 1
        path, kept = record(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert kept["issuer"].rstrip("/") == server.url
        assert kept["tokens"]["access_token"] == "first"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("login poured out", "the answer has more than 8,388,608 bytes"),
        ("login without end", "does not answer"),
    ],
)
def test_a_token_that_does_not_come(tmp_path: Path, mode: str, reason: str) -> None:
    """From when the browser came back, the server has the time that it has without a login."""
    browser = Browser()
    patience = Patience(start_s=2.0, retry_s=2.0, exit_s=0.1)
    with site(mode) as server:
        with hosting(tmp_path, config(server), open_url=browser, patience=patience) as host:
            assert only(host).state == "failed"
            assert only(host).reason.endswith(reason)
        assert len(browser.urls) == 1


def test_a_server_that_wants_ever_more_logins(tmp_path: Path) -> None:
    browser = Browser()
    with site("login for more") as server, hosting(tmp_path, config(server), open_url=browser) as host:
        for _ in range(4):
            with pytest.raises(QwenError, match="wants a login"):
                call(host, "web", "fine")
        with pytest.raises(QwenError, match=r"wants more than 5 logins while .* it runs again"):
            call(host, "web", "fine")
        # With what it gave, and without another login.
        with pytest.raises(QwenError, match=r"is no longer valid while .* it runs again"):
            call(host, "web", "fine")
    assert len(browser.urls) == 5


def test_without_a_person_a_login_is_a_sentence(tmp_path: Path) -> None:
    with site("login") as server, hosting(tmp_path, config(server)) as host:
        assert only(host).reason == "the server `web` wants a login (HTTP 401)"
        assert "qwen3 mcp check" in host.news()[0]
        assert server.asked("/register") == 0


def test_a_token_that_ran_out_is_renewed_where_it_came_from(tmp_path: Path) -> None:
    with site("login") as server:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert only(host).state == "ready"
        path, kept = record(tmp_path)
        path.write_text(json.dumps({**kept, "obtained": 0}))
        with hosting(tmp_path, config(server)) as host:
            assert text_of(call(host, "web", "fine")) == "fine"
        # At the origin of the server there is `/token`, which no refresh token may reach.
        assert server.asked("/token") == 0
        assert record(tmp_path)[1]["tokens"]["access_token"] == "second"


def test_a_token_that_is_no_longer_taken(tmp_path: Path) -> None:
    with site("login") as server:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert only(host).state == "ready"
        server.token = "another"
        with hosting(tmp_path, config(server)) as host:
            assert only(host).reason == "the login to the server `web` is no longer valid"
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert text_of(call(host, "web", "fine")) == "fine"


def test_a_token_stays_with_its_server(tmp_path: Path) -> None:
    with site("login") as server, site("login") as other:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert only(host).state == "ready"
        with hosting(tmp_path, config(other)) as host:
            assert only(host).state == "failed"
        assert not any("authorization" in headers for _, _, headers in other.seen)


def test_a_login_in_vain_is_asked_for_once(tmp_path: Path) -> None:
    """The server gives a token that it does not take."""
    browser = Browser()
    with site("login in vain") as server, hosting(tmp_path, config(server), open_url=browser) as host:
        assert only(host).reason == "the server `web` does not take the login that was just made"
        assert len(browser.urls) == 1
        assert len(host.news()) == 1


def test_a_login_that_leads_out_of_the_machine_goes_by_https(tmp_path: Path) -> None:
    with site("login elsewhere", elsewhere="http://login.invalid") as server:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            reason = only(host).reason
        # A remote server has no business on this machine.
        away = ServerConfig("web", "http", url="https://example.org/mcp")
        (mind,) = make_client(away, Trouble(), None).event_hooks["request"]
        with pytest.raises(QwenError, match="that is not https"):
            asyncio.run(mind(httpx2.Request("GET", server.url)))
    assert reason.startswith(
        "the server `web` sends us to an address that is not https: http://login.invalid"
    )


def test_a_login_without_pkce_is_not_used(tmp_path: Path) -> None:
    browser = Browser()
    with site("login open") as server, hosting(tmp_path, config(server), open_url=browser) as host:
        assert "does not say that it takes PKCE (S256)" in only(host).reason
    assert browser.urls == []


def test_only_the_answer_to_this_login_counts(tmp_path: Path) -> None:
    """Any page in a browser can make it go to where we listen."""
    pages: list[int] = []

    class Strayed(Browser):
        def __call__(self, url: str) -> None:
            back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
            for query in ("error=access_denied", "code=theirs&state=theirs"):
                with pytest.raises(urllib.error.HTTPError) as error:
                    urllib.request.urlopen(f"{back}?{query}")
                pages.append(error.value.code)
                error.value.close()
            super().__call__(url)

    with site("login") as server, hosting(tmp_path, config(server), open_url=Strayed()) as host:
        assert only(host).state == "ready"
    assert pages == [404, 404]


def test_a_login_can_be_given_up(tmp_path: Path) -> None:
    """Nobody ever comes back from the browser, and somebody else holds a connection to where we listen."""
    held: list[socket.socket] = []

    def hold(url: str) -> None:
        back = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0])
        held.append(socket.create_connection(("127.0.0.1", back.port or 0)))

    with site("login") as server:
        host = McpHost([config(server)], tmp_path, open_url=hold)
        host.start()
        assert eventually(lambda: bool(held))
        assert only(host).state == "starting"
        host.close()
        assert (only(host).state, host.news()) == ("failed", [])
    held[0].close()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"tokens": 5}', '{"url": "%s", "tokens": {"a": 1}}'])
def test_a_damaged_record_is_none(tmp_path: Path, damage: str) -> None:
    with site("login") as server:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert only(host).state == "ready"
        record(tmp_path)[0].write_text(damage.replace("%s", config(server).url))
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert text_of(call(host, "web", "fine")) == "fine"
