from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.cli import checkpoint as cli_checkpoint
from qwen3cli.cli.session import Session
from qwen3cli.config import Config
from qwen3cli.demo import CHECKPOINT
from qwen3cli.errors import QwenError
from qwen3cli.models import checkpoints
from qwen3cli.models.checkpoints import fingerprint, name_for
from qwen3cli.models.conversion import convert_checkpoint
from qwen3cli.models.memo import Memo
from qwen3cli.paths import Paths
from tests.terminal.fakes import console


def key_of(folder: Path, cache: Path) -> str:
    return fingerprint(folder, cache, lambda done, total: None)


def test_every_file_that_is_read_counts(tmp_path: Path) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    keys = {key_of(folder, tmp_path)}
    for name in ("config.json", "README.md", "chat_template.jinja", "model.safetensors"):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        keys.add(key_of(folder, tmp_path))
    assert len(keys) == 5
    (folder / "notes.txt").write_text("not read")
    assert key_of(folder, tmp_path) in keys


def test_large_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    seen: list[tuple[int, int]] = []
    first = fingerprint(folder, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    weights = folder / "model.safetensors"
    assert seen[-1][0] == seen[-1][1] > weights.stat().st_size
    steps = len(seen)
    assert fingerprint(folder, tmp_path, lambda done, total: seen.append((done, total))) == first
    assert len(seen) - steps < steps - weights.stat().st_size // (1 << 20)
    status = weights.stat()
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert key_of(folder, tmp_path) == first
    monkeypatch.setattr(checkpoints, "_RULES", "other")
    assert key_of(folder, tmp_path) != first


def test_other_files_do_not_count(tmp_path: Path) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    key = key_of(folder, tmp_path)
    for name in ("trainer_state.json", "optimizer.safetensors", "notes.jinja"):
        (folder / name).write_text("{}")
    assert key_of(folder, tmp_path) == key


def test_a_folder_changed_during_its_conversion_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    session = Session(console(), Config(Paths(tmp_path / "home")))

    def change(*arguments: Any, **options: Any) -> tuple[str, ...]:
        notices = convert_checkpoint(*arguments, **options)
        (folder / "README.md").write_text("new")
        return notices

    monkeypatch.setattr(cli_checkpoint, "convert_checkpoint", change)
    with pytest.raises(QwenError, match="changed while it was converted"):
        cli_checkpoint.checkpoint_facts(session, folder)
    assert session.store.entries() == []


def test_a_hub_cache_has_a_readable_name(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Qwen--Qwen3-0.6B" / "snapshots" / ("0" * 40)
    assert name_for(snapshot, "0123456789ab") == "Qwen3-0.6B-0123456789ab"


def test_names_are_safe(tmp_path: Path) -> None:
    for given, name in (
        ("我的模型", "checkpoint"),
        ("-a b/", "a-b"),
        ("x" * 200, "x" * 80),
        ("Qwen3-0.6B", "Qwen3-0.6B"),
    ):
        assert name_for(tmp_path / given.rstrip("/"), "0123456789ab") == f"{name}-0123456789ab"


def test_a_memo_forgets_the_oldest_and_survives_damage(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "cache" / "memo.json")
    for number in range(600):
        memo.put(str(number), "x")
    assert (memo.get("599"), memo.get("88"), memo.get("87")) == ("x", "x", None)
    for damage in ("{]", "[1]", '{"a": 1}', ""):
        (tmp_path / "cache" / "memo.json").write_text(damage)
        assert memo.get("a") is None
    memo.put("a", "b")
    assert memo.get("a") == "b"
