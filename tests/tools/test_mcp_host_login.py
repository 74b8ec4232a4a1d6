"""Logins to servers: the whole flow against a server on the loopback, and what is kept of it."""

from __future__ import annotations

import json
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.tools.kinds import ServerConfig
from tests.tools.hosts import call, hosting, only, text_of
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


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"tokens": 5}', '{"url": "%s", "tokens": {"a": 1}}'])
def test_a_damaged_record_is_none(tmp_path: Path, damage: str) -> None:
    with site("login") as server:
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert only(host).state == "ready"
        record(tmp_path)[0].write_text(damage.replace("%s", config(server).url))
        with hosting(tmp_path, config(server), open_url=Browser()) as host:
            assert text_of(call(host, "web", "fine")) == "fine"
