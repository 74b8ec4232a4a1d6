from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qwen3cli.private import append_line, read_private, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_belong_to_the_user_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_private(tmp_path / "tools" / "a.json", b"{}")
        append_line(tmp_path / "tools" / "log", b"x")
    finally:
        os.umask(old)
    assert [mode(tmp_path / "tools" / name) for name in ("a.json", "log")] == [0o600, 0o600]
    assert mode(tmp_path / "tools") == 0o700


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_private(tmp_path / "a.json", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "a.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"old")]


def test_a_torn_last_line_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append_line(log, b"one")
    log.write_bytes(log.read_bytes() + b'{"torn')
    append_line(log, b"two")
    assert log.read_bytes().split(b"\n") == [b"one", b'{"torn', b"two", b""]


def test_a_line_that_finds_no_room_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    append_line(log, b"one")
    whole = os.write
    left = [3]

    def short(descriptor: int, data: bytes) -> int:
        if not left:
            raise OSError(28, "No space left on device")
        return whole(descriptor, data[: left.pop()])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        append_line(log, b"another")
    assert log.read_bytes() == b"one\n"


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    code = (
        "import sys, json\nfrom pathlib import Path\nfrom qwen3cli.private import append_line\n"
        "for n in range(50):\n"
        "    append_line(Path(sys.argv[1]), json.dumps([sys.argv[2], n, 'x' * 5000]).encode())\n"
    )
    log = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(log), str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 200
    assert sorted((name, n) for name, n, _ in lines) == [(str(a), n) for a in range(4) for n in range(50)]


def test_a_line_waits_for_whoever_is_writing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append_line(log, b"one")
    with log.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        writer = threading.Thread(target=append_line, args=(log, b"two"))
        writer.start()
        writer.join(0.3)
        assert log.read_bytes() == b"one\n"
    writer.join()
    assert log.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_lines_go_into_a_regular_file_or_nowhere(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/null")
    else:
        path.mkdir()
    with pytest.raises(OSError):
        append_line(path, b"x")


@pytest.mark.parametrize("kind", ["pipe", "link", "long"])
def test_only_small_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "other").write_bytes(b"x")
        path.symlink_to(tmp_path / "other")
    else:
        path.write_bytes(b"12345")
    with pytest.raises((OSError, ValueError)):
        read_private(path, 4)
