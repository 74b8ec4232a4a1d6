"""What servers answer that is no file, or not in the way that was asked for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from qwen3cli.errors import NetworkError
from qwen3cli.models.download import discard
from qwen3cli.models.http import HttpRefusal
from qwen3cli.models.partial import CHUNK
from tests.hubs.faults import error_page, gzipped, no_ranges, refuse, truncate, wrong_range
from tests.hubs.serving import Fault, Response
from tests.models.fetching import HASTE, LARGE, SMALL, Shop, Watcher, fetch, lying, some_bytes

ONE_TRY = replace(HASTE, tries=1)


@pytest.fixture
def shop() -> Generator[Shop]:
    with Shop() as server:
        yield server


def answering(status: int, body: bytes = b"", **headers: str) -> Fault:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, response: Response(status, told, body or response.body)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (gzipped(), r"packed \(gzip\)"),
        (error_page(), "an HTML page instead of `m.gguf`"),
        (
            answering(200, b" \n<!DOCTYPE html>", content_length=f"{SMALL}"),
            "an HTML page instead of `m.gguf`",
        ),
        (answering(206), "another part of `m.gguf`"),
        (answering(206, content_range=f"bytes 1-{SMALL - 1}/{SMALL}"), "another part of `m.gguf`"),
        (answering(206, content_range=f"bytes 0-{SMALL}/{SMALL}"), "another part of `m.gguf`"),
        (answering(206, content_range=f"bytes 0-{10**30}/{10**31}"), "another part of `m.gguf`"),
        (answering(206, content_range="bytes 0-9/*"), "another part of `m.gguf`"),
        (answering(302, location="/m.gguf"), "never to an end"),
        (answering(302, location="file:///etc/passwd"), "no address of the web"),
        (answering(302, location="gopher://host/m.gguf"), "no address of the web"),
        (answering(304), "refuses: 304"),
        (answering(416, content_range="bytes */7"), "7 bytes on"),
    ],
)
def test_what_is_no_answer_is_refused(shop: Shop, tmp_path: Path, fault: Fault, said: str) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(fault)
    with pytest.raises(NetworkError, match=said):
        fetch(file, tmp_path)
    assert "whole" not in lying(tmp_path)


@pytest.mark.parametrize("by", [1, -1, CHUNK])
def test_another_part_than_asked_for_is_refused(shop: Shop, tmp_path: Path, by: int) -> None:
    shop.inject(truncate(CHUNK * 3 // 2), times=1)
    shop.inject(wrong_range(by), skip=1)
    with pytest.raises(NetworkError, match="another part"):
        fetch(shop.put("/m.gguf", some_bytes(SMALL)), tmp_path)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(shop: Shop, tmp_path: Path, status: int) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(refuse(status, x_error_message="Access to it is restricted"))
    with pytest.raises(HttpRefusal, match=f"refuses: {status} .*: Access to it is restricted") as error:
        fetch(file, tmp_path)
    assert error.value.status == status
    assert len(shop.asked()) == 1
    assert lying(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(shop: Shop, tmp_path: Path, status: int) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(refuse(status), times=3)
    assert fetch(file, tmp_path) == some_bytes(SMALL)
    assert len(shop.asked()) == 4
    discard(file, tmp_path)
    shop.inject(refuse(status))
    with pytest.raises(NetworkError, match=f"answers {status}"):
        fetch(file, tmp_path)
    assert len(shop.asked()) == 8


def test_a_server_may_ask_to_wait(shop: Shop, tmp_path: Path) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(refuse(429, retry_after="0"), times=1)
    shop.inject(refuse(429, ratelimit='"api";r=0;t=0'), times=1, skip=1)
    shop.inject(refuse(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), times=1, skip=2)
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == some_bytes(SMALL)
    assert [text.rpartition(": ")[2] for text in watch.says] == ["trying again in 0 s"] * 3
    discard(file, tmp_path)
    shop.heal()
    shop.inject(refuse(429, retry_after="36000"))
    with pytest.raises(NetworkError, match="asks to wait 600 minutes"):
        fetch(file, tmp_path)


def test_a_server_without_parts(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    shop.inject(no_ranges())
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == data
    assert len(shop.asked()) == 1
    assert "does not send parts of files" in watch.says[0]
    discard(file, tmp_path)
    # What another run has left is of no use there.
    shop.heal()
    shop.inject(truncate(CHUNK * 3 // 2))
    with pytest.raises(NetworkError):
        fetch(file, tmp_path, patience=ONE_TRY)
    shop.heal()
    shop.inject(no_ranges())
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == data
    assert "starting from the beginning" in watch.says[0]
    discard(file, tmp_path)
    shop.inject(truncate(LARGE // 2), times=2)
    assert fetch(file, tmp_path) == data
    discard(file, tmp_path)
    shop.inject(truncate(LARGE // 2))
    with pytest.raises(NetworkError):
        fetch(file, tmp_path)
