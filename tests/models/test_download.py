"""Downloads from a server that does everything wrong."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from qwen3cli.errors import NetworkError
from qwen3cli.models.download import WrongBytes, bytes_there, claimed, discard, download
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.partial import CHUNK
from tests.hubs.faults import (
    flip,
    refuse,
    reset,
    shorten,
    stall,
    truncate,
    wrong_etag,
)
from tests.hubs.serving import Fault, Request, Response
from tests.models.fetching import HASTE, LARGE, SMALL, Shop, Watcher, counted, fetch, lying, some_bytes

ONE_TRY = replace(HASTE, tries=1)


@pytest.fixture
def shop() -> Generator[Shop]:
    with Shop() as server:
        yield server


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, SMALL, LARGE])
def test_each_byte_comes_once_and_nothing_else_is_left(shop: Shop, tmp_path: Path, size: int) -> None:
    data = some_bytes(size)
    file = shop.put("/m.gguf", data)
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == data
    assert lying(tmp_path) == ["whole"]
    assert shop.sent() == size
    assert watch.moves[-1] == (size, size)
    assert watch.says == []
    if size == LARGE:
        assert len(shop.asked()) > 4
    asked = len(shop.asked())
    # The caller has not moved it away: it is there, and neither asked for nor hashed again.
    assert fetch(file, tmp_path) == data
    assert len(shop.asked()) == asked


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_another_run_continues(shop: Shop, tmp_path: Path, size: int) -> None:
    data = some_bytes(size)
    file = shop.put("/m.gguf", data)
    shop.inject(truncate(CHUNK * 5 // 2), skip=size // (16 * CHUNK))
    with pytest.raises(NetworkError, match="broke off"):
        fetch(file, tmp_path, patience=ONE_TRY)
    assert lying(tmp_path) == ["map", "part"]
    there = bytes_there(file, tmp_path)
    assert 2 * CHUNK <= there < size
    shop.heal()
    watch = Watcher()
    with counted(shop) as sent:
        assert fetch(file, tmp_path, watch) == data
    assert sent == [size - there]
    assert watch.moves[0] == (there, size)
    # The etag of before is the condition.
    assert all(e.request.headers["if-range"] == '"1"' for e in shop.asked()[-1:])
    assert lying(tmp_path) == ["whole"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("at", [0, 1, 0.25, 0.5, -2, -1])
def test_a_flipped_bit_is_refused_and_the_file_put_aside(
    shop: Shop, tmp_path: Path, size: int, at: float
) -> None:
    data = some_bytes(size)
    file = shop.put("/m.gguf", data)
    for bit in (0, 7):
        shop.inject(flip(int(at * size) if 0 < at < 1 else int(at), bit))
        with pytest.raises(WrongBytes) as error:
            fetch(file, tmp_path)
        assert "`m.gguf`" in error.value.message
        assert str(file.sha256) in error.value.message
        assert lying(tmp_path) == ["bad"]
        shop.heal()
    assert fetch(file, tmp_path) == data
    assert lying(tmp_path) == ["whole"]


def test_of_wrong_files_only_the_latest_is_kept(shop: Shop, tmp_path: Path) -> None:
    shop.inject(flip(0))
    for name in ("/one.gguf", "/two.gguf"):
        with pytest.raises(WrongBytes):
            fetch(shop.put(name, some_bytes(SMALL, len(name) + ord(name[1]))), tmp_path)
    assert lying(tmp_path) == ["bad"]


@pytest.mark.parametrize("by", [1, 1000, SMALL, -1, -1000])
def test_another_size_is_refused(shop: Shop, tmp_path: Path, by: int) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(shorten(by))
    said = rf"{SMALL - by:,} bytes on .* {SMALL:,} are listed" if 0 < by < SMALL else "another part"
    with pytest.raises(NetworkError, match=said):
        fetch(file, tmp_path)
    assert lying(tmp_path) == []


@pytest.mark.parametrize("fault", [truncate, reset, stall])
@pytest.mark.parametrize("at", [0, 1, CHUNK - 1, CHUNK, SMALL - 1])
def test_a_connection_that_ends_early(shop: Shop, tmp_path: Path, fault: type, at: int) -> None:
    data = some_bytes(SMALL)
    file = shop.put("/m.gguf", data)
    shop.inject(fault(at), times=2)
    watch = Watcher()
    assert fetch(file, tmp_path, watch) == data
    # What has come is not asked for again; a reset takes what has not been read yet.
    assert shop.sent() == SMALL or fault is reset
    shop.inject(fault(0))
    with pytest.raises(NetworkError, match=r"broke off|sent nothing for") as error:
        fetch(shop.put("/n.gguf", some_bytes(SMALL, 2)), tmp_path)
    assert "continues where it stopped" in str(error.value.hint)


def test_one_fault_after_the_other(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    for number, fault in enumerate((reset(70_000), refuse(503), truncate(CHUNK + 1), stall(500_000)) * 3):
        shop.inject(fault, times=1, skip=number % 3)
    assert fetch(file, tmp_path) == data
    assert lying(tmp_path) == ["whole"]


def test_a_connection_that_never_lasts_long(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    shop.inject(truncate(CHUNK + 1))
    # Giving up is for those who bring nothing.
    assert fetch(file, tmp_path, patience=replace(HASTE, tries=2)) == data
    assert shop.sent() == LARGE


def test_connections_end_with_the_download(shop: Shop, tmp_path: Path) -> None:
    file = shop.put("/m.gguf", some_bytes(LARGE))
    shop.inject(stall(1), times=3)
    shop.inject(refuse(403), skip=3)
    with pytest.raises(HttpRefusal):
        fetch(file, tmp_path, patience=replace(HASTE, silence_s=600))
    ours = [thread for thread in threading.enumerate() if "_work" in thread.name]
    assert ours == []


def test_a_file_that_changed_is_fetched_anew(shop: Shop, tmp_path: Path) -> None:
    new = some_bytes(SMALL, 2)
    for etag, changed in (('"2"', True), ('"1"', False), ('W/"2"', False), ("", False)):
        shop.put("/m.gguf", some_bytes(SMALL))
        shop.inject(truncate(CHUNK * 3 // 2))
        file = replace(shop.put("/m.gguf", some_bytes(SMALL)), sha256=None)
        with pytest.raises(NetworkError):
            fetch(file, tmp_path, patience=ONE_TRY)
        shop.heal()
        shop.put("/m.gguf", new, etag)
        watch = Watcher()
        found = fetch(file, tmp_path, watch)
        assert (found == new) == changed
        assert ("has changed" in watch.says[0]) == changed
        discard(file, tmp_path)


def test_another_server_continues(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(SMALL)
    file = shop.put("/m.gguf", data)
    shop.inject(truncate(CHUNK * 3 // 2))
    with pytest.raises(NetworkError):
        fetch(file, tmp_path, patience=ONE_TRY)
    with Shop() as mirror:
        watch = Watcher()
        assert fetch(mirror.put("/mirrored", data, '"another etag"'), tmp_path, watch) == data
        assert mirror.sent() == SMALL - CHUNK
    assert watch.says == []


def test_a_size_that_changed_is_noticed_where_none_is_listed(shop: Shop, tmp_path: Path) -> None:
    shop.inject(truncate(CHUNK * 3 // 2))
    file = replace(shop.put("/m.gguf", some_bytes(SMALL), ""), sha256=None, size=None)
    with pytest.raises(NetworkError):
        fetch(file, tmp_path, patience=ONE_TRY)
    shop.heal()
    for size in (SMALL + 1, CHUNK // 2):
        shop.put("/m.gguf", some_bytes(size, 3), "")
        watch = Watcher()
        assert fetch(file, tmp_path, watch) == some_bytes(size, 3)
        assert "has changed" in watch.says[0]
        discard(file, tmp_path)
        shop.put("/m.gguf", some_bytes(SMALL), "")
        shop.inject(truncate(CHUNK * 3 // 2), times=1)
        with pytest.raises(NetworkError):
            fetch(file, tmp_path, patience=ONE_TRY)


def each_time_another_etag() -> Fault:
    numbers = iter(range(1000))

    def fault(request: Request, response: Response) -> Response | None:
        return wrong_etag(f'"{next(numbers)}"')(request, response)

    return fault


def test_an_etag_that_changes_all_the_time(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    shop.inject(each_time_another_etag())
    watch = Watcher()
    # The checksum is listed, and decides.
    assert fetch(file, tmp_path, watch) == data
    assert "has changed" in watch.says[0]
    with pytest.raises(NetworkError, match="something else each time"):
        fetch(replace(file, sha256=None), tmp_path)


@pytest.mark.parametrize("listed", ["sha256", "git", "version", "nothing"])
def test_a_claim_knows_the_sha256_of_what_it_fetched(shop: Shop, tmp_path: Path, listed: str) -> None:
    data = some_bytes(SMALL)
    file = shop.put("/m.gguf", data)
    wanted = file.sha256
    if listed != "sha256":
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        version = "1" if listed == "version" else ""
        file = replace(file, sha256=None, git=blob if listed == "git" else None, version=version)
    # The second one finds the file that the first one has left; nothing may tell whether it is still the same.
    for _ in range(2):
        with claimed(file, tmp_path, Watcher()) as claim, Http(HASTE) as http:
            claim.fetch(http, Watcher())
            assert claim.sha256 == wanted
    assert shop.sent() == (2 * SMALL if listed == "nothing" else SMALL)


def test_a_file_of_another_version_is_another_file(shop: Shop, tmp_path: Path) -> None:
    old, new = some_bytes(SMALL), some_bytes(SMALL)[::-1]
    for data, version in ((old, "1"), (new, "2")):
        file = replace(shop.put("/m.gguf", data, f'"{version}"'), sha256=None, version=version)
        with Http(HASTE) as http:
            assert download(http, file, tmp_path, Watcher()).read_bytes() == data


@pytest.mark.parametrize("digest", ["", "said"])
def test_what_nobody_lists_is_hashed_all_the_same(shop: Shop, tmp_path: Path, digest: str) -> None:
    data = some_bytes(SMALL)
    said = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"repr_digest": f"sha-256=:{said}:"} if digest else {}
    file = replace(shop.put("/m.gguf", data, **headers), sha256=None, version="1")
    with Http(HASTE) as http:
        whole, first = download(http, file, tmp_path, watch := Watcher()), SMALL
        assert ("nobody says" in " ".join(watch.says)) == (not digest)
        assert download(http, file, tmp_path, again := Watcher()) == whole
        # That nobody vouches for it is said each time.
        assert ("nobody says" in " ".join(again.says)) == (not digest)
        assert shop.sent() == first
        whole.write_bytes(data[:-1] + b"?")
        assert download(http, file, tmp_path, Watcher()).read_bytes() == data
        assert shop.sent() == 2 * first


@pytest.mark.parametrize("note", [b"sha", b"\0" * 75, b"shake_128:00", b"sha256:" + b"0" * 63, b"\xff", None])
def test_a_note_that_was_not_written_to_its_end_is_none(
    shop: Shop, tmp_path: Path, note: bytes | None
) -> None:
    file = replace(shop.put("/m.gguf", data := some_bytes(SMALL)), sha256=None, version="1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine", encoding="utf-8")
    folder = tmp_path / "downloads"
    with Http(HASTE) as http:
        whole = download(http, file, folder, Watcher())
        (place := whole.with_suffix(".sum")).unlink()
        if note is None:
            place.symlink_to(elsewhere)
        else:
            place.write_bytes(note)
        assert download(http, file, folder, Watcher()).read_bytes() == data
    assert shop.sent() == 2 * SMALL
    assert elsewhere.read_text(encoding="utf-8") == "mine"
    assert not place.is_symlink()
