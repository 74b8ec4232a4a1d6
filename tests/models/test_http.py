"""Requests: where tokens go, where redirects may lead, what listings may be, and what passes."""

from __future__ import annotations

import socket
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from qwen3cli.errors import NetworkError, UsageError
from qwen3cli.models.download import WrongBytes
from qwen3cli.models.hitches import Barrier, Hitch, HttpRefusal, host_of
from qwen3cli.models.http import Http, target_of
from qwen3cli.models.reference import without_secrets
from tests.hubs.faults import error_page, gzipped, refuse, stall, truncate
from tests.hubs.serving import Fault, Response, json_response
from tests.models.fetching import HASTE, LARGE, SMALL, Shop, Watcher, fetch, some_bytes

TOKEN = {"Authorization": "Bearer secret", "Cookie": "session=secret", "X-Hub-Token": "secret"}


@pytest.fixture
def hub() -> Generator[Shop]:
    with Shop() as server:
        yield server


@pytest.fixture
def storage() -> Generator[Shop]:
    with Shop() as server:
        yield server


@pytest.fixture
def http() -> Generator[Http]:
    with Http(HASTE) as connections:
        yield connections


def secrets(shop: Shop) -> list[str]:
    """What requests carried that is nobody else's business."""
    names = {name.lower() for name in TOKEN}
    return [name for e in shop.asked() for name in e.request.headers if name in names]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_token_stays_with_its_host(hub: Shop, storage: Shop, tmp_path: Path, size: int) -> None:
    data = some_bytes(size)
    storage.put("/blob", data)
    storage.shelf.leads["/signed"] = "/blob"
    signed = f"{storage.url}/signed?signature=s"
    hub.put("/m.gguf", data)
    file = replace(hub.put("/m.gguf", data), headers=TOKEN)
    hub.shelf.leads["/m.gguf"] = "/moved"
    hub.shelf.leads["/moved"] = signed
    assert fetch(file, tmp_path) == data
    assert secrets(hub) == [name.lower() for name in TOKEN] * len(hub.asked())
    assert secrets(storage) == []
    # The address that the redirects led to is used again.
    assert len(hub.asked()) <= 2 * 4
    assert storage.sent() == size
    assert "secret" not in repr(file)


def test_a_token_does_not_come_back(hub: Shop, storage: Shop, http: Http) -> None:
    hub.put("/end", b"{}")
    hub.shelf.leads["/begin"] = f"{storage.url}/away"
    storage.shelf.leads["/away"] = f"{hub.url}/end"
    assert http.json(f"{hub.url}/begin", TOKEN) == {}
    assert [e.request.target for e in hub.asked() if "authorization" in e.request.headers] == ["/begin"]


def test_an_address_that_is_good_for_some_time(hub: Shop, storage: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = replace(hub.put("/m.gguf", data), headers=TOKEN)
    hub.shelf.leads["/m.gguf"] = storage.put("/blob", data).url
    # Once: two refusals in a row, which one connection may get, are no matter of time.
    storage.inject(refuse(403), skip=1, times=1)
    assert fetch(file, tmp_path) == data
    assert storage.injected == 1
    storage.inject(refuse(403))
    with pytest.raises(HttpRefusal, match="403"):
        fetch(replace(file, sha256="0" * 64), tmp_path)


@pytest.mark.parametrize("target", ["http://host/x", "http://other/x", "HTTP://host:443/x"])
def test_https_never_falls_to_http(target: str) -> None:
    with pytest.raises(NetworkError, match="from https to http"):
        target_of("https://host/x", target)


@pytest.mark.parametrize("target", ["ftp://host/x", "file:///x", "data:,x", "javascript:x", "http://host:x/"])
def test_redirects_lead_to_the_web_only(target: str) -> None:
    with pytest.raises(NetworkError, match="no address of the web"):
        target_of("http://host/x", target)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/y?z", "https://user:word@host/y?z"),
        ("y", "https://user:word@host/a/y"),
        ("//other/y", "https://other/y"),
        ("https://other/y", "https://other/y"),
    ],
)
def test_redirects_may_be_relative(target: str, found: str) -> None:
    assert target_of("https://user:word@host/a/x?q", target) == found


def test_sentences_do_not_tell_secrets(http: Http) -> None:
    assert without_secrets("https://user:word@host/a?token=t#f") == "https://host/a"
    assert host_of("https://user:word@host:80/a?token=t") == "host:80"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for url in (
            f"http://user:word@127.0.0.1:{port}/a?token=t",
            "user:word@host?token=t",
            "http://[?token=t",
        ):
            with pytest.raises((Hitch, UsageError)) as error:
                http.json(url)
            assert "word" not in error.value.message
            assert "token" not in error.value.message


def answering(status: int, body: bytes, **headers: str) -> Fault:
    return lambda _, __: Response(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answering(200, b"<!DOCTYPE html>"), "does not answer with JSON"),
        (answering(200, b"[" * 100_000), "does not answer with JSON"),
        (answering(200, b'"' + b"x" * 200_000 + b'"'), "more than 150,000 bytes"),
        (answering(500, b""), "answers 500 Internal Server Error"),
        (answering(500, b"", retry_after="60"), "answers 500 Internal Server Error"),
        (
            answering(499, b'{"error": "no\\u001b[31m"}', content_type="application/json"),
            "refuses: 499 unknown",
        ),
        (gzipped(), r"sends its answer packed \(gzip\)"),
        (truncate(1), "broke off"),
        (stall(1), "sent nothing for 0.3 s"),
    ],
)
def test_what_is_no_listing(hub: Shop, http: Http, fault: Fault, said: str) -> None:
    hub.put("/list", b'{"a": 1}')
    hub.inject(fault)
    with pytest.raises(NetworkError, match=said):
        http.json(f"{hub.url}/list", limit=150_000)
    hub.heal()
    assert http.json(f"{hub.url}/list") == {"a": 1}


def test_a_listing_is_asked_for_again(hub: Shop, http: Http) -> None:
    hub.put("/list", b"[]")
    hub.inject(refuse(503), times=2)
    assert http.json(f"{hub.url}/list") == []
    assert len(hub.asked()) == 3
    hub.inject(lambda _, __: json_response({"error": "this is gated"}, 403))
    with pytest.raises(HttpRefusal, match="403 Forbidden: this is gated") as error:
        http.json(f"{hub.url}/list")
    assert (error.value.status, error.value.reason) == (403, "this is gated")
    assert len(hub.asked()) == 4


def test_proxies_come_from_the_environment(hub: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    monkeypatch.setenv("NO_PROXY", "")
    hub.put("/list", b"[]")
    with Http(HASTE) as http:
        assert http.json("http://models.invalid/list") == []
    assert hub.asked()[0].request.target == "http://models.invalid/list"
    for proxy, said in (
        ("gopher://x", "settings of the network"),
        ("socks5://x", "SOCKS"),
        ("http://me:secret/1@x", "name a proxy whose address is none"),
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with Http(HASTE) as http, pytest.raises(UsageError, match=said) as error:
            http.json("http://models.invalid/list")
        assert "secret" not in error.value.message


def test_what_stands_between_us_and_a_server_is_told_apart(hub: Shop, http: Http) -> None:
    """Another hub may be asked then, which no wrong bytes of this one may lead to."""
    hub.put("/list", b"[]")
    for fault, barred in ((error_page(), True), (gzipped(), True), (refuse(403), False)):
        hub.heal()
        hub.inject(fault)
        with pytest.raises(NetworkError) as error:
            http.json(f"{hub.url}/list")
        assert isinstance(error.value, Barrier) == barred
    assert len(hub.asked()) == 3


def test_what_a_server_says_is_one_line_and_unpacked_by_nobody(hub: Shop, http: Http) -> None:
    hub.inject(lambda _, __: json_response({"error": "no\n\n  way", "x": "y"}, 400, {"x-error-code": "Bad"}))
    with pytest.raises(HttpRefusal, match=r"400 Bad Request: no way$") as error:
        http.json(f"{hub.url}/x")
    assert error.value.code == "Bad"
    hub.inject(gzipped())
    with pytest.raises(HttpRefusal, match=r"400 Bad Request$"):
        http.json(f"{hub.url}/x")


def test_nothing_is_asked_when_that_is_forbidden(hub: Shop, http: Http) -> None:
    http.forbid(NetworkError("offline"))
    for ask in (http.json, http.document, http.stream):
        with pytest.raises(NetworkError, match="offline"):
            ask(f"{hub.url}/x")
    assert hub.asked() == []


SUMS = {
    "x_goog_hash": "crc32c=AAAAAA==,md5={md5}",
    "repr_digest": "sha-256=:{sha256}:",
    "digest": "SHA-256={sha256}",
}


@pytest.mark.parametrize("header", SUMS)
def test_a_checksum_of_the_server_is_checked(hub: Shop, tmp_path: Path, header: str) -> None:
    import base64
    import hashlib

    data = some_bytes(SMALL)
    for right in (True, False):
        of = data if right else data[1:]
        sums = {kind: base64.b64encode(hashlib.new(kind, of).digest()).decode() for kind in ("md5", "sha256")}
        hub.put("/m.gguf", data, **{header: SUMS[header].format(**sums)})
        file = replace(hub.put("/m.gguf", data, **{header: SUMS[header].format(**sums)}), sha256=None)
        watch = Watcher()
        if right:
            assert fetch(file, tmp_path, watch) == data
            next(tmp_path.glob("*.whole")).unlink()
        else:
            with pytest.raises(WrongBytes, match=r"`m\.gguf` is not what it should be: its (md5|sha256)"):
                fetch(file, tmp_path, watch)
        assert watch.says == []


@pytest.mark.parametrize("size", [SMALL, None])
@pytest.mark.parametrize("header", ["", "md5=", "md5=AAAA", "md5=é", "crc32c=AAAAAA=="])
def test_what_cannot_be_checked_is_said(hub: Shop, tmp_path: Path, size: int | None, header: str) -> None:
    data = some_bytes(SMALL)
    file = replace(hub.put("/m.gguf", data, x_goog_hash=header), size=size, sha256=None)
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == data
    assert watch.says == ["nobody says what checksum `m.gguf` should have: only its size could be checked"]


def test_a_size_that_nobody_knows(hub: Shop, tmp_path: Path) -> None:
    file = replace(hub.put("/m.gguf", some_bytes(SMALL)), size=None)
    assert fetch(file, tmp_path) == some_bytes(SMALL)
    hub.inject(answering(206, b"x", content_range="bytes 0-0/*"))
    with pytest.raises(NetworkError, match="does not say how large"):
        fetch(replace(file, sha256="0" * 64), tmp_path)
