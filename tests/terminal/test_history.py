from __future__ import annotations

import io
import stat
from pathlib import Path

from qwen3cli.terminal.history import HistoryFile
from tests.terminal.fakes import console

ENTRIES = ["one", "two\nlines", '"quoted" 你好', "surrogate \udcff"]


def test_entries_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history"
    for entry in ENTRIES:
        HistoryFile(path, console()).append(entry)
    assert HistoryFile(path, console()).entries() == [*ENTRIES[:3], "surrogate \ufffd"]
    assert len(path.read_text("utf-8").splitlines()) == len(ENTRIES)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "history"
    HistoryFile(path, console()).append("secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    HistoryFile(path, console()).append("secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b'"one"\n\xff{torn\n3\n"two"\n"to')
    assert HistoryFile(path, console()).entries() == ["one", "two"]


def test_no_path_keeps_nothing() -> None:
    history = HistoryFile(None, console())
    history.append("x")
    assert history.entries() == []


def test_what_cannot_be_kept_is_said_once(tmp_path: Path) -> None:
    err = io.StringIO()
    history = HistoryFile(tmp_path, console(err=err))  # a folder in its place
    assert history.entries() == []
    history.append("x")
    assert err.getvalue().count("note: cannot read the history") == 1
    err = io.StringIO()
    history = HistoryFile(tmp_path, console(err=err))
    history.append("x")
    history.append("y")
    assert err.getvalue().count("note: cannot write the history") == 1
