"""The sessions there are: their names, what they hold, and removing them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from qwen3cli.chat.messages import Message
from qwen3cli.errors import QwenError, UsageError
from qwen3cli.sessions.folder import SessionFolder
from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.names import checked, is_name, made_up
from tests.sessions.test_journal import MORE, SAID, write

GOOD = ("tea", "2026-11-25", "茶", "Fête d’été".replace("’", ""), "ทดสอบ", "a b.c_d-e", "x" * 60, "v1.5")
BAD = (
    *("", " tea", "tea ", ".tea", "-tea", "_tea", "tea.", "../tea", "a/b", "a\\b", "a\0b", "/", "~", "a\nb"),
    *(
        "a\x1b[2Jb",
        "a\u202eb",
        "a:b",
        "a*",
        "x" * 61,
        "con",
        "NUL.txt",
        "Com1",
        "\u0301a",
        "\ud800",
        "\u200b",
    ),
)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    assert checked(name) == name
    assert write(tmp_path, SAID, name=name).exists()
    assert SessionFolder(tmp_path).names() == [name]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no session can be called"):
        checked(name)


def test_the_longest_names_are_files_and_one_name_is_one_file(tmp_path: Path) -> None:
    assert write(tmp_path, SAID, name=checked("𠀀" * 60)).exists()
    assert checked("e\u0301te\u0301") == "\xe9t\xe9"


def test_names_are_made_up_in_order() -> None:
    first, second, third = islice(made_up(), 3)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert all(map(is_name, (first, second)))


def test_they_are_listed_as_they_were_used(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "sessions")
    assert (folder.all(), folder.latest()) == ([], None)
    for age, name in enumerate(("c", "a", "b")):
        path = write(folder.folder, SAID, MORE, name=name)
        os.utime(path, (1e9 - age, 1e9 - age))
    assert [(one.name, one.used) for one in folder.all()] == [("c", 1e9), ("a", 1e9 - 1), ("b", 1e9 - 2)]
    assert folder.latest() == "c"
    assert folder.get("b").snapshot == MORE


def test_what_is_no_session_is_not_listed_and_what_is_damaged_is(tmp_path: Path) -> None:
    write(tmp_path, SAID)
    for name, text in (("empty", ""), ("torn", '{"kind": "sess'), ("\x1b[2J", "x\n"), (".hidden", "x\n")):
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "damaged.jsonl").write_text('{"kind": "session", "version": 1}\nx\n{"kind": "clear"}\n')
    (tmp_path / "later.jsonl").write_text('{"kind": "session", "version": 7}\n')
    found = {one.name: one.problem for one in SessionFolder(tmp_path).all()}
    assert found.keys() == {"tea", "damaged", "later"}
    assert found["tea"] is None
    assert "line 2" in str(found["damaged"]) and "later version" in str(found["later"])


def test_one_can_look_at_what_is_written_meanwhile(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, "tea")
    asks = replace(SAID, messages=(*SAID.messages, Message("assistant", "more")))
    for now in (SAID, asks):
        journal.follow(now)
        assert SessionFolder(tmp_path).get("tea").snapshot == now
    journal.close()


def test_sessions_are_removed_all_or_none(tmp_path: Path) -> None:
    folder, forgotten = SessionFolder(tmp_path), list[str]()
    for name in ("a", "b", "茶"):
        write(tmp_path, SAID, name=name)
    with pytest.raises(UsageError, match="no session `c`"):
        folder.remove(["a", "c"], forgotten.append)
    journal = Journal.open(tmp_path, "b")
    with pytest.raises(QwenError, match="`b` is open"):
        folder.remove(["a", "b"], forgotten.append)
    assert (len(folder.names()), forgotten) == (3, [])
    journal.close()
    (tmp_path / "damaged.jsonl").write_text("x\nx\n")
    assert folder.there(["a", "b", "damaged", "a"]) == ["a", "b", "damaged"]
    folder.remove(["a", "b", "damaged", "a"], forgotten.append)
    assert (folder.names(), forgotten) == (["茶"], ["a", "b", "damaged"])

    def fail(_: str) -> None:
        raise OSError(30, "Read-only file system")

    with pytest.raises(QwenError, match="`茶` cannot be used: Read-only"):
        folder.remove(["茶"], fail)
    assert folder.names() == ["茶"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(write(tmp_path, SAID))
    (link,) = (one for one in SessionFolder(tmp_path).all() if one.name == "link")
    assert "`link` cannot be used" in str(link.problem)
    with pytest.raises(QwenError, match="`link` cannot be used"):
        SessionFolder(tmp_path).remove(["link"], print)
