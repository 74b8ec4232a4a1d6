from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, NotEnough, QwenError, UsageError
from qwen3cli.models.store import ModelStore
from qwen3cli.models.workshop import storage_error


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def copied(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def put(store: ModelStore, name: str, gguf: Path) -> None:
    store.add(name, "a test", lambda target: copied(gguf, target))


def left(store: ModelStore) -> list[str]:
    """What stands in the store's folder, without the lock file that stays."""
    return sorted(path.name for path in store.folder.iterdir() if path.name != ".lock")


def test_a_model_comes_and_goes(store: ModelStore, tiny_gguf: Path) -> None:
    assert store.entries() == []
    put(store, "Mine", tiny_gguf)
    entry = store.get("mine")
    assert (entry.name, entry.source, entry.facts.architecture) == ("Mine", "a test", "qwen3")
    assert entry.facts.path.read_bytes() == tiny_gguf.read_bytes()
    store.remove(["MINE"])
    assert store.entries() == []
    assert left(store) == []


def test_adding_again_replaces(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)
    put(store, "MINE", tiny_gguf)
    assert [entry.name for entry in store.entries()] == ["mine"]


def test_a_failed_write_leaves_nothing_and_keeps_the_old(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)

    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise InvalidFile("broken")

    for name in ("mine", "other"):
        with pytest.raises(InvalidFile):
            store.add(name, "x", fail)
    assert left(store) == ["mine"]
    assert store.get("mine").facts.path.read_bytes() == tiny_gguf.read_bytes()


def test_what_is_no_gguf_is_not_installed(store: ModelStore) -> None:
    with pytest.raises(InvalidFile):
        store.add("bad", "x", lambda target: copied(Path(__file__), target))
    assert store.entries() == []


def test_a_copy_costs_no_space_and_outlives_the_original(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "one", tiny_gguf)
    copy = store.copy("one", "two")
    assert copy.facts.path.stat().st_nlink == 2
    store.remove(["one"])
    assert copy.facts.path.read_bytes() == tiny_gguf.read_bytes()
    with pytest.raises(UsageError):
        store.copy("two", "TWO")


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"facts": {}}', '{"facts": {"file_bytes": "x"}, "added": 1}']
)
def test_a_damaged_manifest_is_named_and_can_be_removed(
    store: ModelStore, tiny_gguf: Path, damage: str
) -> None:
    put(store, "good", tiny_gguf)
    put(store, "bad", tiny_gguf)
    (store.folder / "bad" / "manifest.json").write_text(damage)
    assert [entry.name for entry in store.entries()] == ["good"]
    assert store.broken() == ["bad"]
    with pytest.raises(InvalidFile, match="damaged"):
        store.get("bad")
    store.remove(["bad"])
    assert store.broken() == []


def test_a_manifest_of_other_types_is_damaged(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "m", tiny_gguf)
    path = store.folder / "m" / "manifest.json"
    data = json.loads(path.read_text())
    data["facts"]["file_bytes"] = "12"
    path.write_text(json.dumps(data))
    assert store.broken() == ["m"]


def test_what_is_missing_is_said(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound):
        store.get("nothing")
    with pytest.raises(ModelNotFound):
        store.remove(["nothing"])
    with pytest.raises(UsageError):
        store.add("demo", "x", lambda target: None)
    with pytest.raises(UsageError):
        store.add("../up", "x", lambda target: None)


def test_a_full_disk_and_a_locked_folder_are_different_sentences(tmp_path: Path) -> None:
    full = storage_error(OSError(errno.ENOSPC, "x"), tmp_path / "absent")
    assert isinstance(full, NotEnough)
    assert re.search(r"is full: it has [\d,]+ kB free", full.message)
    other = storage_error(PermissionError(errno.EACCES, "Permission denied"), tmp_path)
    assert type(other) is QwenError
    assert "QWEN3_HOME" in (other.hint or "")


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(QwenError, match="cannot be used"):
        ModelStore(tmp_path / "home" / "models").add("m", "x", lambda target: None)
