from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile
from qwen3cli.models.trust import check_once


def test_a_good_verdict_holds_until_the_file_or_the_engine_changes(tmp_path: Path) -> None:
    model, tried = tmp_path / "m.gguf", list[Path]()
    model.write_bytes(b"1")

    def trial(path: Path) -> str | None:
        tried.append(path)
        return None

    for version in ("1", "1", "2", "2"):
        check_once(model, tmp_path / "cache", version, trial)
    assert len(tried) == 2
    model.write_bytes(b"22")
    check_once(model, tmp_path / "cache", "2", trial)
    assert len(tried) == 3


def test_a_bad_verdict_carries_the_reason_and_is_not_remembered(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"1")
    for _ in range(2):
        with pytest.raises(InvalidFile, match="too many blocks"):
            check_once(model, tmp_path / "cache", "1", lambda path: "too many blocks")
    check_once(model, tmp_path / "cache", "1", lambda path: None)


def test_a_damaged_or_unwritable_cache_harms_nothing(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"1")
    (tmp_path / "trial-loads.json").write_text("{]")
    check_once(model, tmp_path, "1", lambda path: None)
    (tmp_path / "file").write_text("")
    check_once(model, tmp_path / "file", "1", lambda path: None)
