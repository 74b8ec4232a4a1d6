"""Prefixes on the disk: found, verified to the last bit, bounded, private."""

from __future__ import annotations

import os
import stat
import struct
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest

from qwen3cli.engines.prefixes import Keeping, PrefixFiles, clear, forget, mark_of, stored_in

TOKENS = [*range(300)]
STATE = memoryview(os.urandom(5000))


@pytest.fixture
def files(tmp_path: Path) -> PrefixFiles:
    return PrefixFiles(Keeping(tmp_path, 1 << 20), b"a model")


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_is_found_by_what_begins_alike(files: PrefixFiles, tmp_path: Path) -> None:
    assert files.longest(TOKENS) is None
    files.write(TOKENS, STATE, 2.0)
    files.write(TOKENS[:200], STATE, 2.0)
    for prompt, common in ((TOKENS, 300), ([*TOKENS, 7], 300), (TOKENS[:250], 250), ([*TOKENS[:9], -1], 9)):
        found = files.longest(prompt)
        assert found is not None and found[1] == common
        assert files.read(found[0]) == STATE
    assert files.longest([1, 2]) is None
    assert PrefixFiles(Keeping(tmp_path, 1 << 20), b"another model").longest(TOKENS) is None
    path = found[0].path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("at", [0, 20, 50, 52, 56, 60, 70, 100, 110, 300, 1400, -1])
def test_a_flipped_bit_is_seen_and_its_file_goes(files: PrefixFiles, tmp_path: Path, at: int) -> None:
    files.write(TOKENS, STATE, 2.0)
    path = only(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    found = files.longest(TOKENS)
    assert found is None or files.read(found[0]) is None
    assert found is None or not path.exists()


@pytest.mark.parametrize("length", [0, 10, 99, 100, 500, 2000, -1])
def test_a_torn_file_is_no_state(files: PrefixFiles, tmp_path: Path, length: int) -> None:
    files.write(TOKENS, STATE, 2.0)
    path = only(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert files.longest(TOKENS) is None
    assert stored_in(tmp_path) == []
    # It is not in the way of a sound one.
    files.write(TOKENS, STATE, 2.0)
    assert files.longest(TOKENS) is not None
    path.write_bytes(path.read_bytes()[:length])
    clear(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("at", "value"), [(48, struct.pack("<I", 2**32 - 1)), (60, struct.pack("<d", float("inf")))]
)
def test_a_header_that_claims_too_much_is_none(
    files: PrefixFiles, tmp_path: Path, at: int, value: bytes
) -> None:
    files.write(TOKENS, STATE, 2.0)
    path = only(tmp_path)
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    tracemalloc.start()
    assert stored_in(tmp_path) == []
    # Nothing of the size that it claims was asked for.
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_what_is_no_file_is_no_state(files: PrefixFiles, tmp_path: Path) -> None:
    files.write(TOKENS, STATE, 2.0)
    path = only(tmp_path)
    path.unlink()
    os.mkfifo(path)
    (tmp_path / "folder.prefix").mkdir()
    assert files.longest(TOKENS) is None
    clear(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["folder.prefix"]


def test_where_nothing_can_be_written_it_is_read(files: PrefixFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(TOKENS, STATE, 2.0)
    found = files.longest(TOKENS)

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    assert found is not None and files.read(found[0]) == STATE


def test_a_longer_one_than_the_context_is_not_taken(files: PrefixFiles) -> None:
    files.write(TOKENS, STATE, 2.0)
    files.write(TOKENS[:200], STATE, 2.0)
    found = files.longest(TOKENS, 299)
    assert found is not None and found[1] == 200


def test_a_file_that_is_torn_after_it_was_found(files: PrefixFiles, tmp_path: Path) -> None:
    files.write(TOKENS, STATE, 2.0)
    found = files.longest(TOKENS)
    assert found is not None
    found[0].path.write_bytes(found[0].path.read_bytes()[:-7])
    assert files.read(found[0]) is None
    for rest in (b"", b"qwen3 prefix"):
        found[0].path.write_bytes(rest)
        assert files.read(found[0]) is None
    clear(tmp_path)
    assert files.read(found[0]) is None


def test_what_would_take_longer_to_read_is_not_kept_and_not_taken(files: PrefixFiles, tmp_path: Path) -> None:
    files.write(TOKENS, STATE, 1e-6)
    assert [*tmp_path.iterdir()] == []
    files.write(TOKENS, STATE, 1e-4)
    assert files.longest(TOKENS) is not None
    # A small part of it is evaluated faster than the whole is read.
    assert files.longest([*TOKENS[:20], -1]) is None


def test_the_limit_holds_and_what_was_used_last_stays(tmp_path: Path) -> None:
    files = PrefixFiles(Keeping(tmp_path, 15_000), b"a model")
    for number in range(4):
        files.write([number, *TOKENS[:50]], STATE, 2.0)
        for age, one in enumerate(stored_in(tmp_path)):
            os.utime(one.path, (1000 - age, 1000 - age))
        found = files.longest([0, *TOKENS[:50]])
        assert found is not None and files.read(found[0]) is not None
    assert [one.tokens[0] for one in stored_in(tmp_path)] == [0, 3]
    # Whoever was kept by a clock that was ahead is not the latest for years.
    for one in stored_in(tmp_path):
        os.utime(one.path, (4e9, 4e9))
    files.write([4, *TOKENS[:50]], STATE, 2.0)
    assert 4 in [one.tokens[0] for one in stored_in(tmp_path)]
    files.write([9, *TOKENS], memoryview(bytes(20_000)), 2.0)
    assert len(stored_in(tmp_path)) == 2


def test_a_full_disk_leaves_nothing(
    files: PrefixFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write(TOKENS, STATE, 2.0)
    assert [*tmp_path.iterdir()] == []

    def nearly_full(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=100)

    monkeypatch.setattr("shutil.disk_usage", nearly_full)
    files.write(TOKENS, STATE, 2.0)
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_process_left_is_swept(files: PrefixFiles, tmp_path: Path) -> None:
    for name, age in ((".old.tmp", 2e5), (".new.tmp", 0.0)):
        (tmp_path / name).write_bytes(b"x")
        then = tmp_path.stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    (tmp_path / "torn.prefix").write_bytes(b"")
    os.utime(tmp_path / "torn.prefix", (1e9, 1e9))
    files.write(TOKENS, STATE, 2.0)
    assert not (tmp_path / "torn.prefix").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == [".new.tmp"]


def test_of_a_session_there_is_the_latest_state_only(files: PrefixFiles, tmp_path: Path) -> None:
    assert files.of_session("tea") is None
    for length in (100, 50, 300):
        assert files.wants(TOKENS[:length], len(STATE), 2.0, "tea")
        files.write(TOKENS[:length], STATE, 2.0, "tea")
        stored = files.of_session("tea")
        assert stored is not None and stored.tokens.tolist() == TOKENS[:length]
        assert not files.wants(TOKENS[:length], len(STATE), 2.0, "tea")
    PrefixFiles(Keeping(tmp_path, 1 << 20), b"another model").write(TOKENS, STATE, 2.0, "tea")
    files.write(TOKENS, STATE, 2.0, "茶")
    files.write(TOKENS, STATE, 2.0)
    assert files.of_session("tea") is None
    assert sorted(one.session for one in stored_in(tmp_path)) == sorted(["", mark_of("tea"), mark_of("茶")])
    # Nothing of a name is in the names of files.
    assert not any("tea" in path.name for path in tmp_path.iterdir())
    forget(tmp_path, "tea")
    forget(tmp_path, "tea")
    assert sorted(one.session for one in stored_in(tmp_path)) == ["", mark_of("茶")]


def test_what_a_killed_process_left_of_a_session_goes_with_it(
    files: PrefixFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        patched.setattr(Path, "unlink", killed)
        for session in ("tea", "coffee"):
            with pytest.raises(KeyboardInterrupt):
                files.write(TOKENS, STATE, 1.0, session)
    forget(tmp_path, "tea")
    assert [path.name.startswith(f".{mark_of('coffee')}-") for path in tmp_path.iterdir()] == [True]


def test_only_what_is_not_there_yet_counts_as_saved(files: PrefixFiles) -> None:
    files.write(TOKENS, STATE, 2.0)
    assert files.longest(TOKENS, held=299) is not None
    assert files.longest(TOKENS, held=300) is None
    assert files.longest(TOKENS[:100], held=100) is None


def test_another_state_that_took_its_place_is_not_taken_for_it(files: PrefixFiles) -> None:
    for other in ([*TOKENS[:-1], 7], [*TOKENS, 7], TOKENS[:9]):
        files.write(TOKENS, STATE, 2.0, "mine")
        found = files.of_session("mine")
        assert found is not None
        files.write(other, STATE, 2.0, "mine")
        assert files.read(found) is None
        latest = files.of_session("mine")
        assert latest is not None and files.read(latest) == STATE


def test_of_two_that_have_the_same_the_smaller_one_is_read(files: PrefixFiles) -> None:
    for tokens, size in (([*TOKENS, 1], 9000), ([*TOKENS, 2], 5000), ([*TOKENS, 3], 7000)):
        files.write(tokens, memoryview(bytes(size)), 2.0)
    found = files.longest([*TOKENS, 9])
    assert found is not None and (found[0].size, found[1]) == (5000, 300)


def test_what_the_memory_has_no_room_for_is_not_wanted(tmp_path: Path) -> None:
    files = PrefixFiles(Keeping(tmp_path, 1 << 20, lambda: 15_000), b"a model")
    assert files.wants(TOKENS, 5000, 2.0)
    assert not files.wants(TOKENS, 7000, 2.0)
