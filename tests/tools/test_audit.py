from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import NotEnough
from qwen3cli.tools.audit import Audit


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_call_leaves_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.decided("1", "git.push", {"to": "x\u2028\x1b"}, allowed=True, by="person")
    audit.returned("1", "git.push", outcome="done", is_error=False, size=12, duration_s=0.12345)
    asked, came = records(path)
    assert {**asked, "time": ""} == {
        "time": "",
        "event": "decided",
        "id": "1",
        "tool": "git.push",
        "arguments": {"to": "x\u2028\x1b"},
        "decision": "allowed",
        "by": "person",
    }
    assert (came["id"], came["outcome"], came["is_error"], came["size"], came["duration_s"]) == (
        *("1", "done", False),
        *(12, 0.123),
    )
    assert path.read_bytes().isascii()
    # Who moves it away loses nothing: the next line begins a new one.
    path.rename(tmp_path / "old")
    audit.returned("2", "git.push", outcome="done", is_error=False, size=12, duration_s=0.1)
    assert (len(records(tmp_path / "old")), len(records(path))) == (2, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_long_arguments_are_recorded_by_their_start_and_hash(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "log")
    audit.decided("1", "a.b", {"text": "\ud800" * 20_000}, allowed=False, by="nobody", reason="why")
    (record,) = records(tmp_path / "log")
    assert (record["decision"], record["reason"]) == ("denied", "why")
    assert len(record["arguments_start"]) == 16_384 < record["arguments_length"]
    assert len(record["arguments_sha256"]) == 64


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NotEnough, match=r"record of tool calls.*No space"):
        Audit(tmp_path / "log").decided("1", "a.b", {}, allowed=True, by="person")
