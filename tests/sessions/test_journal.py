"""Journals on the disk: what was written is there, whatever happens, and belongs to one process and one user."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.errors import InvalidFile, NotEnough, QwenError
from qwen3cli.sessions import journal as journals
from qwen3cli.sessions.journal import Journal, read_journal
from qwen3cli.sessions.snapshot import LOST, Snapshot
from tests.sessions.talking import conversation

SAID = Snapshot("demo", "Be brief.", messages=(Message("user", "2 + 3?"), Message("assistant", "5")))
MORE = replace(SAID, messages=(*SAID.messages, Message("user", "Why?"), Message("assistant", "Because.")))


def write(folder: Path, *moments: Snapshot, name: str = "tea") -> Path:
    journal = Journal.open(folder, name)
    for now in moments:
        journal.follow(now)
        journal.sync()
    journal.close()
    return folder / f"{name}.jsonl"


def resumed(folder: Path, name: str = "tea") -> tuple[Snapshot | None, list[str]]:
    journal = Journal.open(folder, name)
    journal.close()
    return journal.before, journal.notices()


@pytest.mark.parametrize("seed", range(20))
def test_what_was_said_is_there_again(tmp_path: Path, seed: int) -> None:
    now = None
    for now in conversation(seed, 10):
        journal = Journal.open(tmp_path, "tea")
        journal.follow(now)
        journal.close()
    assert now is not None
    if (tmp_path / "tea.jsonl").exists():
        assert resumed(tmp_path) == (now, [])


def test_it_is_the_user_s_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = write(tmp_path / "sessions", SAID)
    finally:
        os.umask(old)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]
    path.chmod(0o644)
    write(tmp_path / "sessions", MORE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_record_is_one_write_and_each_turn_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    write_, sync = os.write, os.fsync

    def watched(descriptor: int, data: bytes) -> int:
        done.append(json.loads(data)["kind"])
        return write_(descriptor, data)

    def confirmed(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync")
        sync(descriptor)

    monkeypatch.setattr(os, "write", watched)
    monkeypatch.setattr(os, "fsync", confirmed)
    write(tmp_path, SAID, SAID, MORE)
    begun = ["session", "model", "system", "message", "message", "sync", "folder"]
    assert done == [*begun, "message", "message", "sync"]


def test_nothing_said_leaves_no_file(tmp_path: Path) -> None:
    write(tmp_path, Snapshot("demo"), Snapshot("demo", messages=SAID.messages[:1]), Snapshot("demo", "x"))
    journal = Journal(tmp_path)
    journal.follow(Snapshot("demo"))
    assert journal.name is None
    journal.close()
    assert [*tmp_path.iterdir()] == []


def test_a_name_is_made_up_with_the_first_answer_and_is_nobody_else_s(tmp_path: Path) -> None:
    first, second = Journal(tmp_path), Journal(tmp_path)
    for journal in (first, second):
        journal.follow(SAID)
    assert first.name and second.name and first.name != second.name
    for journal in (first, second):
        name = journal.name
        journal.close()
        assert resumed(tmp_path, name or "")[0] == SAID


def test_a_question_waits_for_its_answer(tmp_path: Path) -> None:
    asked = replace(SAID, messages=(*SAID.messages, Message("user", "Why?")))
    path = write(tmp_path, SAID, asked, SAID)
    assert b"Why?" not in path.read_bytes()
    assert b"rewind" not in path.read_bytes()


@pytest.mark.parametrize(
    "tail", [b"x", b'{"kind": "message"', b'{"kind": "clear"}', b"\0" * 5000, b"\xff\n[]\n\n"]
)
def test_a_torn_end_is_left_out_with_a_notice(tmp_path: Path, tail: bytes) -> None:
    path = write(tmp_path, SAID)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert read_journal(path).snapshot == SAID
    before, notices = resumed(tmp_path)
    assert before == SAID
    assert notices == ["the end of the session `tea` was not written whole, and is left out"]
    assert path.read_bytes() == whole
    write(tmp_path, MORE)
    assert resumed(tmp_path) == (MORE, [])


def test_wherever_it_is_cut_one_can_go_on(tmp_path: Path) -> None:
    calls = (ToolCall("now", {}),)
    asked = (Message("user", "What time?"), Message("assistant", "", "", calls), Message("tool", "12:00"))
    path = write(tmp_path, replace(SAID, messages=(*SAID.messages, *asked, Message("assistant", "Noon."))))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        before, notices = resumed(tmp_path)
        if before is None:
            assert not path.exists()
            continue
        messages = before.messages
        assert messages[:2] == SAID.messages[: len(messages)]
        assert not messages or messages[-1].role != "user"
        assert len(messages) != 4 or messages[-1].content in (LOST, "12:00")
        assert any("not written whole" in one for one in notices) == (whole[size - 1 : size] != b"\n")
    write(tmp_path, MORE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not JSON\n", "line 3: it is no record"),
        (b"[]\n", "line 3"),
        (b"[" * 100_000 + b"\n", "line 3"),
        (b'{"kind": "message", "role": "user", "content": 1}\n', "line 3: `content`"),
        (b'{"kind": "rewind", "to": 9}\n', "line 3: `to`"),
        (b'{"kind": "session", "version": 1}\n', "line 3"),
        (b'{"kind": "\\u001b[2Jbranch"}\n', "later version"),
    ],
)
def test_damage_is_told_and_nothing_is_changed(tmp_path: Path, line: bytes, said: str) -> None:
    path = write(tmp_path, SAID)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line, *lines[2:]]))
    damaged = path.read_bytes()
    for _ in range(2):
        with pytest.raises(InvalidFile, match=said) as caught:
            Journal.open(tmp_path, "tea")
        assert "`tea`" in caught.value.message
    assert path.read_bytes() == damaged


def test_what_was_never_a_journal_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, SAID)
    for text in (b"Dear diary", b"Dear diary,\nmilk.\n", b"\n"):
        path.write_bytes(text)
        with pytest.raises(InvalidFile, match="line 1: it does not begin as a session does"):
            Journal.open(tmp_path, "tea")
        assert path.read_bytes() == text
    path.write_bytes(b"\0" * 100)
    assert resumed(tmp_path)[0] is None


def test_a_gigantic_line_takes_no_gigantic_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_LONGEST", 1000)
    path = write(tmp_path, SAID)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "' + b"x" * 5000 + b'"}\n')
    assert resumed(tmp_path)[0] == SAID
    path.write_bytes(whole.replace(b"\n", b" " * 5000 + b"\n", 1))
    with pytest.raises(InvalidFile, match="line 1"):
        Journal.open(tmp_path, "tea")


def test_of_two_processes_one_is_told(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom qwen3cli.sessions.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]), 'tea')\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(QwenError, match="`tea` is open in another process"):
            Journal.open(tmp_path, "tea")
        other.kill()
    assert write(tmp_path, SAID).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links and named pipes")
def test_nothing_but_a_file_is_a_journal(tmp_path: Path) -> None:
    path = write(tmp_path, SAID)
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.jsonl").symlink_to(path)
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(QwenError, match=f"`{name}` cannot be used"):
            Journal.open(tmp_path, name)
    (tmp_path / "file").touch()
    with pytest.raises(QwenError, match="cannot be used"):
        Journal.open(tmp_path / "file", "tea")


class Disk:
    """A disk that takes so many bytes more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 50, 200])
def test_what_finds_no_room_is_written_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    journal = Journal.open(tmp_path, "tea")
    disk = Disk(monkeypatch, room)
    for now in (SAID, SAID):
        journal.follow(now)
        journal.sync()
    (notice,) = journal.notices()
    assert "`tea` cannot be written: No space left on device" in notice
    disk.room = 1 << 20
    journal.follow(MORE)
    journal.close()
    assert resumed(tmp_path) == (MORE, [])


def test_what_finds_no_room_in_the_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, SAID)
    journal = Journal.open(tmp_path, "tea")
    Disk(monkeypatch, 30)
    journal.follow(MORE)
    with pytest.raises(NotEnough, match="`tea` cannot be used: No space"):
        journal.close()
    assert read_journal(path).snapshot == SAID


def test_a_chat_that_cannot_be_kept_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sessions").touch()
    journal = Journal(tmp_path / "sessions")
    for now in (SAID, MORE):
        journal.follow(now)
        journal.sync()
    (notice,) = journal.notices()
    assert "this conversation cannot be written" in notice
    journal.close()


def interrupted(number: int, do: Callable[[], None]) -> bool:
    """Interrupt `do` before so many instructions of the module, as a Ctrl-C would; False if it has fewer."""
    left = number

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != journals.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        do()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("named", [True, False])
def test_an_interruption_anywhere_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    def quick(_: int) -> None:
        """Nobody cuts the power here."""

    monkeypatch.setattr(os, "fsync", quick)
    number, going = 0, True
    while going:
        folder = tmp_path / str(number)
        journal = Journal.open(folder, "tea") if named else Journal(folder)
        going = interrupted(number, partial(journal.follow, SAID))
        journal.follow(SAID)
        going |= interrupted(number, partial(journal.follow, MORE))
        journal.follow(MORE)
        name = journal.name
        journal.close()
        assert resumed(folder, name or "") == (MORE, []), number
        number += 1
    assert number > 200
