"""What downloads do with the disk: room, damage, calls that fail, and names that are not to be trusted."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from converters.disk import lock
from qwen3cli.errors import NetworkError, NotEnough, QwenError
from qwen3cli.models import turns
from qwen3cli.models.download import RemoteFile, bytes_there, claimed, discard
from qwen3cli.models.http import Http
from qwen3cli.models.partial import CHUNK
from tests.hubs.faults import truncate
from tests.models.fetching import HASTE, LARGE, SMALL, Shop, Watcher, counted, fetch, lying, some_bytes

ONE_TRY = replace(HASTE, tries=1)


@pytest.fixture
def shop() -> Generator[Shop]:
    with Shop() as server:
        yield server


def interrupted(shop: Shop, folder: Path, data: bytes, at: int = CHUNK * 5 // 2) -> RemoteFile:
    """A download that has stopped at some byte."""
    file = shop.put("/m.gguf", data)
    shop.inject(truncate(at))
    with pytest.raises(NetworkError):
        fetch(file, folder, patience=ONE_TRY)
    shop.heal()
    return file


def place(folder: Path, kind: str) -> Path:
    (found,) = folder.glob(f"*.{kind}")
    return found


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    def disk_usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=size)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)


def test_room_is_checked_before_the_first_byte(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shop.put("/m.gguf", some_bytes(LARGE))
    free(monkeypatch, 30_000_000)
    with pytest.raises(
        NotEnough, match=r"`m\.gguf` needs 37 MB more, and the disk .* has 30 MB free"
    ) as error:
        fetch(file, tmp_path)
    assert "free 7 MB" in str(error.value.hint)
    assert (shop.asked(), lying(tmp_path)) == ([], [])
    with pytest.raises(NotEnough):
        fetch(replace(file, size=None), tmp_path)
    assert (shop.sent() < LARGE, lying(tmp_path)) == (True, [])


def test_room_for_the_rest_is_enough(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = some_bytes(SMALL)
    file = interrupted(shop, tmp_path, data)
    free(monkeypatch, 2_500_000)
    assert fetch(file, tmp_path) == data


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_chunk_that_the_disk_has_lost_comes_again(shop: Shop, tmp_path: Path, size: int) -> None:
    data = some_bytes(size)
    file = interrupted(shop, tmp_path, data)
    there = bytes_there(file, tmp_path)
    with place(tmp_path, "part").open("rb+") as part:
        part.seek(CHUNK + 5)
        part.write(bytes(1000))
    with counted(shop) as sent:
        assert fetch(file, tmp_path) == data
    assert sent == [size - there + CHUNK]


def test_a_disk_that_keeps_nothing(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(_: int, data: memoryview, __: int) -> int:
        return len(data)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(QwenError, match="the disk does not keep what is written of"):
        fetch(shop.put("/m.gguf", some_bytes(SMALL)), tmp_path)


def test_nothing_is_asked_for_when_all_is_there(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(SMALL)
    file = interrupted(shop, tmp_path, data, SMALL - 1)
    fetch(file, tmp_path)
    # As if it had been killed before it was renamed.
    whole = place(tmp_path, "whole")
    kept = {kind: whole.with_suffix(f".{kind}") for kind in ("part", "map")}
    discard(file, tmp_path)
    interrupted(shop, tmp_path, data, SMALL - 1)
    ready = kept["map"].read_bytes()
    assert fetch(file, tmp_path) == data
    whole.rename(kept["part"])
    kept["map"].write_bytes(ready[:-4] + b"\0\0\0\1")
    with counted(shop) as sent:
        assert fetch(file, tmp_path) == data
    assert sent == [SMALL % CHUNK]


def shorten_map(folder: Path) -> None:
    place(folder, "map").write_bytes(place(folder, "map").read_bytes()[:-1])


def nest_map(folder: Path) -> None:
    place(folder, "map").write_bytes(b"[" * 20_000)


def deny_map(folder: Path) -> None:
    place(folder, "map").write_bytes(b'{"size": -1}'.ljust(16384))


def remove_map(folder: Path) -> None:
    place(folder, "map").unlink()


def remove_part(folder: Path) -> None:
    place(folder, "part").unlink()


def shorten_part(folder: Path) -> None:
    os.truncate(place(folder, "part"), 100)


def link_part(folder: Path) -> None:
    part = place(folder, "part")
    part.rename(folder / "elsewhere.x")
    part.symlink_to(folder / "elsewhere.x")


def pretend_whole(folder: Path) -> None:
    place(folder, "map").with_suffix(".whole").write_bytes(b"short")


@pytest.mark.parametrize(
    "spoil",
    [
        *(shorten_map, nest_map, deny_map, remove_map),
        *(remove_part, shorten_part, link_part, pretend_whole),
    ],
)
def test_leftovers_that_make_no_sense_do_no_harm(
    shop: Shop, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    data = some_bytes(SMALL)
    file = interrupted(shop, tmp_path, data)
    spoil(tmp_path)
    elsewhere = tmp_path / "elsewhere.x"
    linked = elsewhere.read_bytes() if elsewhere.exists() else b""
    assert fetch(file, tmp_path) == data
    assert linked == (elsewhere.read_bytes() if elsewhere.exists() else b"")
    assert not place(tmp_path, "whole").is_symlink()
    assert set(lying(tmp_path)) <= {"whole", "x"}


def test_what_is_there_can_be_dropped(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(SMALL)
    file = interrupted(shop, tmp_path, data)
    assert bytes_there(file, tmp_path) == 2 * CHUNK
    with claimed(file, tmp_path, Watcher()) as claim:
        # Somebody is at it.
        discard(file, tmp_path)
        assert bytes_there(file, tmp_path) == 2 * CHUNK
        with Http() as http:
            claim.fetch(http, Watcher())
        assert bytes_there(file, tmp_path) == SMALL
        claim.discard()
    assert (bytes_there(file, tmp_path), lying(tmp_path)) == (0, [])
    discard(file, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("sha256", ["../../x", "0" * 63, "/" + "0" * 63, "0" * 64 + "\0", "é" * 64, ""])
@pytest.mark.parametrize("size", [SMALL, -1])
def test_a_listing_cannot_name_files(shop: Shop, tmp_path: Path, sha256: str, size: int) -> None:
    file = replace(shop.put("/m.gguf", some_bytes(SMALL)), name="../../x\0", sha256=sha256 or None, size=size)
    if sha256 or size < 0:
        for action in (fetch, bytes_there, discard):
            with pytest.raises(NetworkError, match="cannot be"):
                action(file, tmp_path / "downloads")
        assert list(tmp_path.iterdir()) == []
    else:
        fetch(file, tmp_path / "downloads")
        assert lying(tmp_path / "downloads") == ["sum", "whole"]


def test_two_files_of_the_same_bytes(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(SMALL)
    files = [shop.put(path, data) for path in ("/one", "/two")]
    with claimed(files[0], tmp_path, Watcher()) as one, claimed(files[1], tmp_path, Watcher()) as two:
        for claim in (one, two):
            with Http() as http:
                claim.fetch(http, Watcher()).rename(tmp_path / "taken.x")
            assert (tmp_path / "taken.x").read_bytes() == data
        assert (bytes_there(files[0], tmp_path), lying(tmp_path)) == (0, ["lock", "x"])
    assert lying(tmp_path) == ["x"]


def test_a_lock_that_its_owner_removed_meanwhile(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = interrupted(shop, tmp_path, some_bytes(SMALL))
    replaced = list[Path]()

    def lock_late(descriptor: int) -> bool:
        if not replaced:
            replaced.append(place(tmp_path, "lock"))
            replaced[0].unlink()
            replaced[0].touch()
        return lock(descriptor)

    monkeypatch.setattr(turns, "lock", lock_late)
    with claimed(file, tmp_path, Watcher()):
        discard(file, tmp_path)
        assert bytes_there(file, tmp_path) == 2 * CHUNK


def test_a_folder_that_cannot_be_used(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(QwenError, match="cannot be used"):
        fetch(shop.put("/m.gguf", some_bytes(SMALL)), tmp_path / "file")


class Failing:
    """Lets the call of that number fail, of all that change the disk."""

    CALLS = ("pwrite", "fsync", "replace", "truncate", "unlink", "open")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.count = 0
        self.at = -1
        self.code = 0
        self.struck = ""
        self._folder = str(folder)
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*arguments: Any, **options: Any) -> Any:
            if name in ("open", "replace", "unlink") and not str(arguments[0]).startswith(self._folder):
                return call(*arguments, **options)
            self.count += 1
            if self.count == self.at:
                self.struck = f"{name} {arguments[0]}"
                raise OSError(self.code, os.strerror(self.code))
            return call(*arguments, **options)

        return failing


@pytest.mark.parametrize(
    ("code", "begun"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.EINTR, True)],
)
def test_any_call_may_fail(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, begun: bool
) -> None:
    data = some_bytes(CHUNK + 200_000)
    file = shop.put("/m.gguf", data)
    failing = Failing(monkeypatch, tmp_path)
    if begun:
        interrupted(shop, tmp_path / "begun", data, CHUNK)
    # How many calls there are depends on how the bytes arrive.
    at, most = 1, 1
    while at <= most + 2:
        folder = tmp_path / str(at)
        if begun:
            shutil.copytree(tmp_path / "begun", folder)
        failing.count, failing.at, failing.code, failing.struck = 0, at, code, ""
        try:
            fetch(file, folder)
            # That the lock cannot be removed at the end is nobody's trouble.
            assert not failing.struck or re.fullmatch(r"unlink .*\.lock", failing.struck)
        except QwenError as error:
            assert isinstance(error, NotEnough) == (code == errno.ENOSPC), error
            assert bytes_there(file, folder) >= (CHUNK if begun else 0)
        most, failing.at = max(most, failing.count), -1
        assert fetch(file, folder) == data
        assert lying(folder) == ["whole"]
        at += 1
    assert at > (15 if begun else 30)


@pytest.mark.parametrize("there", [False, True])
def test_a_link_in_the_place_of_a_lock_is_not_followed(shop: Shop, tmp_path: Path, there: bool) -> None:
    file = shop.put("/m.gguf", some_bytes(10))
    outside, folder = tmp_path / "outside", tmp_path / "downloads"
    folder.mkdir()
    if there:
        outside.write_text("mine")
    (folder / f"{file.sha256}.lock").symlink_to(outside)
    with pytest.raises(QwenError):
        fetch(file, folder)
    assert outside.exists() == there
    assert shop.sent() == 0
