"""The log of a server: its last lines, its size, its privacy."""

from __future__ import annotations

import stat
from pathlib import Path

from qwen3cli.tools.server_log import ServerLog


def test_the_last_lines_are_those_of_the_latest_start(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "logs" / "a.log")
    log.write(b"old\n")
    log.begin("starting")
    assert log.lines() == ()
    log.write(b"one\r\n\ntw")
    log.write(b"o\nthr\xff")
    assert log.lines() == ("one", "two", "thr\ufffd")
    log.write(b"".join(b"%d\n" % number for number in range(40)))
    assert log.lines() == tuple(str(number) for number in range(20, 40))
    assert (tmp_path / "logs" / "a.log").read_bytes().startswith(b"old\n[qwen3] starting\none\r\n")


def test_a_line_without_end_is_bounded(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "a.log")
    for _ in range(10):
        log.write(b"x" * 1000)
    assert max(len(line) for line in log.lines()) == 500


def test_two_files_are_all_that_grows(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "a.log")
    for number in range(100):
        log.write(b"%d" % number * 60_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.old"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 << 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    log = ServerLog(tmp_path / "logs" / "a.log")
    log.write(b"said\n")
    assert log.lines() == ("said",)


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "a.log").symlink_to(tmp_path / "precious")
    ServerLog(tmp_path / "a.log").write(b"theirs\n")
    assert (tmp_path / "precious").read_text() == "mine"
