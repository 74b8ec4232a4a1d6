from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, NotEnough, QwenError, UsageError
from qwen3cli.models.manifest import Origin
from qwen3cli.models.store import ModelStore
from qwen3cli.models.workshop import storage_error
from tests.models.stored import copied, put, shards, unread
from tests.models.stored import left_in as left

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def manifest(store: ModelStore, name: str) -> dict[str, object]:
    return json.loads((store.folder / name / "manifest.json").read_text(encoding="utf-8"))


def test_a_model_comes_and_goes(store: ModelStore, tiny_gguf: Path) -> None:
    assert store.entries() == []
    put(store, "Mine", tiny_gguf)
    entry = store.get("mine")
    assert (entry.name, entry.origin.source, entry.facts.architecture) == ("Mine", "a test", "qwen3")
    assert (entry.external, entry.facts.file_bytes) == (False, tiny_gguf.stat().st_size)
    assert entry.facts.path == store.folder / "Mine" / "model.gguf"
    assert entry.facts.path.read_bytes() == tiny_gguf.read_bytes()
    store.remove(["MINE"])
    assert store.entries() == []
    assert left(store) == []


def test_the_manifest_tells_a_person_what_it_is(store: ModelStore, tiny_gguf: Path) -> None:
    origin = Origin("Qwen/模型-GGUF:F32", "7c41481f", (DIGEST,), "apache-2.0")
    entry = store.add("mine", origin, lambda target: copied(tiny_gguf, target), file_name="Qwen-F32.gguf")
    said = manifest(store, "mine")
    kept = ("schema", "source", "revision", "license", "quantization", "thinking")
    assert [said[key] for key in kept] == [1, "Qwen/模型-GGUF:F32", "7c41481f", "apache-2.0", "F32", ""]
    assert said["files"] == [{"name": "Qwen-F32.gguf", "bytes": tiny_gguf.stat().st_size, "sha256": DIGEST}]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", str(said["added"]))
    assert entry.origin == origin
    assert "模型" in (store.folder / "mine" / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], f"{DIGEST}0", "\0" * 64]
)
def test_what_is_no_digest_is_refused(store: ModelStore, tiny_gguf: Path, digest: str) -> None:
    with pytest.raises(InvalidFile, match="no SHA-256"):
        store.add("mine", Origin("x", sha256=(digest,)), lambda target: copied(tiny_gguf, target))
    assert left(store) == []


def test_adding_again_replaces(store: ModelStore, tiny_gguf: Path, demo_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)
    for number, gguf in enumerate((demo_gguf, tiny_gguf, demo_gguf)):
        put(store, "MINE", gguf)
        (entry,) = store.entries()
        assert (entry.name, entry.facts.path.read_bytes()) == ("mine", gguf.read_bytes()), number
        assert left(store) == ["mine/manifest.json", "mine/" + entry.facts.path.name]


def test_what_a_person_put_beside_a_model_stays(store: ModelStore, tiny_gguf: Path, demo_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)
    (store.folder / "mine" / "adapter.gguf").write_text("not the store's")
    put(store, "mine", demo_gguf)
    put(store, "mine", tiny_gguf)
    assert left(store)[0] == "mine/adapter.gguf"
    assert len(left(store)) == 3


def test_a_failed_write_leaves_nothing_and_keeps_the_old(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)

    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise InvalidFile("broken")

    for name in ("mine", "other"):
        with pytest.raises(InvalidFile):
            store.add(name, Origin("x"), fail)
    assert left(store) == ["mine/manifest.json", "mine/model.gguf"]
    assert store.get("mine").facts.path.read_bytes() == tiny_gguf.read_bytes()


def test_what_is_no_gguf_is_not_installed(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidFile):
        store.add("bad", Origin("x"), lambda target: copied(Path(__file__), target))
    file = tmp_path / "bad.gguf"
    copied(Path(__file__), file)
    for take in (store.install, store.register):
        with pytest.raises(InvalidFile):
            take("bad", [file], Origin("x"))
    assert (left(store), file.exists()) == ([], True)


def test_a_copy_costs_no_space_and_outlives_the_original(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "one", tiny_gguf)
    copy = store.copy("one", "two")
    assert copy.facts.path.stat().st_nlink == 2
    assert copy.origin.source == "a test"
    store.remove(["one"])
    assert copy.facts.path.read_bytes() == tiny_gguf.read_bytes()
    with pytest.raises(UsageError):
        store.copy("two", "TWO")


def test_installed_files_are_moved_and_keep_their_names(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    file = tmp_path / "Qwen3-0.6B-F32.gguf"
    copied(tiny_gguf, file)
    inode = file.stat().st_ino
    entry = store.install("mine", [file], Origin("hub", sha256=(DIGEST,)))
    assert entry.facts.path == store.folder / "mine" / "Qwen3-0.6B-F32.gguf"
    assert (entry.facts.path.stat().st_ino, entry.facts.path.stat().st_nlink) == (inode, 1)
    assert (file.exists(), entry.origin.sha256) == (False, (DIGEST,))


def test_shards_stay_together_and_keep_the_names_that_llama_cpp_needs(
    store: ModelStore, tmp_path: Path
) -> None:
    for number in range(2):
        files = shards(tmp_path / f"{number}")
        content = [file.read_bytes() for file in files]
        entry = store.install("big", files, Origin("hub"))
        assert [path.read_bytes() for path in entry.files] == content
        assert store.facts(entry).parameters == 5 * 64
        assert {path.parent for path in entry.files} == {store.folder / "big"}
        assert [path.name[-20:] for path in entry.files] == [
            f"-0000{n}-of-00003.gguf"[-20:] for n in (1, 2, 3)
        ]
        assert len(left(store)) == 4
    assert store.copy("big", "second").facts.parameters == 5 * 64
    store.remove(["big", "second"])
    assert left(store) == []


def test_shards_under_other_names_get_them_back(store: ModelStore, tmp_path: Path) -> None:
    files = shards(tmp_path / "hub")
    names = [file.name for file in files]
    renamed = [file.rename(tmp_path / f"blob{number}") for number, file in enumerate(files)]
    entry = store.install("big", renamed, Origin("hub"), names=names)
    assert [path.name for path in entry.files] == names
    assert not any(file.exists() for file in renamed)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((0, 1), "one of 3 parts"),
        ((0,), "lacks its part"),
        ((1,), "one of 3 parts"),
        ((0, 2, 1), "not part 2"),
        ((0, 1, 2, 0), "one of 3 parts"),
    ],
)
def test_what_is_not_all_parts_in_order_is_refused(
    store: ModelStore, tmp_path: Path, order: Sequence[int], words: str
) -> None:
    files = shards(tmp_path / "hub")
    with pytest.raises(InvalidFile, match=words):
        store.install("big", [files[number] for number in order], Origin("hub"))
    assert (left(store), all(file.exists() for file in files)) == ([], True)


def test_a_model_that_is_not_the_wanted_one_is_refused(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    file = tmp_path / "x.gguf"
    copied(tiny_gguf, file)

    def refuse(facts: object) -> None:
        raise InvalidFile("it is another one")

    with pytest.raises(InvalidFile, match="another one"):
        store.install("mine", [file], Origin("hub"), check=refuse)
    assert (left(store), file.exists()) == ([], True)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EXDEV])
def test_where_there_are_no_links_files_are_moved_and_come_back_from_a_failure(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no")

    files = shards(tmp_path / "hub")
    content = [file.read_bytes() for file in files]
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(InvalidFile):
        store.install("big", files[:2], Origin("hub"))
    assert [file.read_bytes() for file in files] == content
    entry = store.install("big", files, Origin("hub"))
    assert [path.read_bytes() for path in entry.files] == content
    assert not any(file.exists() for file in files)


def test_registered_files_stay_where_they_are(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    file = tmp_path / "elsewhere" / "Их модель.gguf"
    file.parent.mkdir()
    copied(tiny_gguf, file)
    before = file.stat()
    entry = store.register("theirs", [file], Origin("ollama://x", sha256=(DIGEST,)))
    assert (entry.external, entry.files, entry.origin.sha256) == (True, (file,), (DIGEST,))
    assert store.facts(entry).architecture == "qwen3"
    assert left(store) == ["theirs/manifest.json"]
    copy = store.copy("theirs", "second")
    assert (copy.external, copy.files) == (True, (file,))
    store.remove(["theirs", "second"])
    assert (left(store), file.stat()) == ([], before)


def test_ours_and_theirs_replace_each_other(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    file = tmp_path / "theirs.gguf"
    copied(tiny_gguf, file)
    put(store, "m", tiny_gguf)
    assert store.register("m", [file], Origin("x")).external
    assert left(store) == ["m/manifest.json"]
    put(store, "m", tiny_gguf)
    assert left(store) == ["m/manifest.json", "m/model.gguf"]
    assert file.exists()


def test_shards_are_registered_through_links_that_bear_their_names(store: ModelStore, tmp_path: Path) -> None:
    """As huggingface_hub keeps them: blobs named by hash, and links to them."""
    files = shards(tmp_path / "snapshot")
    for number, file in enumerate(files):
        file.symlink_to(file.rename(tmp_path / f"blob{number}"))
    entry = store.register("big", files, Origin("hub"))
    assert entry.files == tuple(files)
    assert store.facts(entry).parameters == 5 * 64


def test_ollamas_files_can_be_registered(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    blob = tmp_path / f"sha256-{DIGEST}"
    copied(tiny_gguf, blob)
    assert store.facts(store.register("m", [blob], Origin("ollama://m"))).architecture == "qwen3"


def delete(file: Path) -> None:
    file.unlink()


def change(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def touch(file: Path) -> None:
    os.utime(file, ns=(0, 0))


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("harm", "words", "way_out"),
    [
        (delete, "is gone", "put it back; "),
        (change, "changed or replaced", "`qwen3 import "),
        (touch, "changed or replaced", "`qwen3 import "),
        (make_folder, "not a regular file", "`qwen3 import "),
    ],
)
def test_a_file_that_its_owner_deleted_or_changed_is_a_sentence(
    store: ModelStore,
    tmp_path: Path,
    tiny_gguf: Path,
    harm: Callable[[Path], None],
    words: str,
    way_out: str,
) -> None:
    file = tmp_path / "theirs.gguf"
    copied(tiny_gguf, file)
    entry = store.register("theirs", [file], Origin("x"))
    harm(file)
    assert store.entries() == [entry]
    for action in (lambda: store.facts(entry), lambda: store.copy("theirs", "other")):
        with pytest.raises(InvalidFile, match=words) as error:
            action()
        assert str(file) in error.value.message
        assert "`qwen3 rm theirs`" in (error.value.hint or "")
        assert (error.value.hint or "").startswith(way_out)


def test_a_copy_replaces_no_model(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    put(store, "one", tiny_gguf)
    put(store, "Two", tiny_gguf, "another")
    with pytest.raises(UsageError, match="there is a model `Two` already") as error:
        store.copy("one", "two")
    assert "`qwen3 rm Two`" in (error.value.hint or "")
    assert store.get("two").origin.source == "another"


def test_a_file_in_the_place_of_a_model_is_seen_before_anything_is_made(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    put(store, "one", tiny_gguf)
    (store.folder / "8B").write_text("notes")
    file = tmp_path / "theirs.gguf"
    copied(tiny_gguf, file)

    def never(target: Path) -> None:
        raise AssertionError(target)

    for action in (
        lambda: store.check_place("8b"),
        lambda: store.add("8b", Origin("x"), never),
        lambda: store.install("8b", [file], Origin("x")),
        lambda: store.register("8b", [file], Origin("x")),
        lambda: store.copy("one", "8b"),
    ):
        with pytest.raises(InvalidFile, match=f"`{store.folder / '8B'}` is in the way"):
            action()
    assert file.exists()
    store.check_place("one")
    store.check_place("new")


def test_errors_do_not_name_the_folder_that_is_gone_when_they_are_read(
    store: ModelStore, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    full = NotEnough(f"`{store.folder}/x` is full")

    def refuse(target: Path) -> None:
        full.message = f"`{target}` and `{target.parent}` are full"
        raise full

    with pytest.raises(InvalidFile, match="`m`"):
        put(store, "m", broken)
    with pytest.raises(InvalidFile, match=r"`broken\.gguf`"):
        store.install("m", [broken], Origin("x"))
    with pytest.raises(NotEnough):
        store.add("m", Origin("x"), refuse)
    assert full.message == str(full) == f"`m` and `{store.folder}` are full"


def test_what_is_in_the_store_is_not_registered(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)
    inside = store.get("mine").facts.path
    (tmp_path / "link.gguf").symlink_to(inside)
    for file in (inside, tmp_path / "link.gguf"):
        with pytest.raises(UsageError, match="in the store already"):
            store.register("other", [file], Origin("x"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names that are no text")
def test_a_path_that_is_no_text_can_be_registered(store: ModelStore, tmp_path: Path, tiny_gguf: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.gguf"))
    copied(tiny_gguf, file)
    assert store.register("m", [file], Origin(str(file))).files == (file,)
    assert store.facts(store.get("m")).architecture == "qwen3"


def test_the_thinking_kind_is_asked_once_and_kept(tmp_path: Path, demo_gguf: Path, tiny_gguf: Path) -> None:
    asked: list[str] = []

    def tell(template: str) -> str:
        asked.append(template)
        return "hybrid"

    store = ModelStore(tmp_path / "models", tell)
    put(store, "chat", demo_gguf)
    assert "<|im_start|>" in asked[0]
    store.copy("chat", "second")
    assert store.facts(store.get("second")).thinking == store.get("chat").facts.thinking == "hybrid"
    # What a person calls a model says nothing of it; what its file is called does.
    put(store, "knowledge-base", demo_gguf)
    assert store.get("knowledge-base").facts.thinking == "hybrid"
    store.add("x", Origin("a test"), lambda target: copied(demo_gguf, target), file_name="It-8B-Base.gguf")
    assert store.get("x").facts.thinking == "never"
    assert len(asked) == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "3", '{"schema": 1}', '{"schema": "1"}', '{"schema": true}', '{"schema": 0}']
)
def test_a_damaged_manifest_is_named_and_can_be_removed(
    store: ModelStore, tiny_gguf: Path, damage: str
) -> None:
    put(store, "good", tiny_gguf)
    put(store, "bad", tiny_gguf)
    (store.folder / "bad" / "manifest.json").write_text(damage)
    assert [entry.name for entry in store.entries()] == ["good"]
    assert unread(store) == [("bad", "damaged")]
    with pytest.raises(InvalidFile, match="damaged"):
        store.get("bad")
    put(store, "bad", tiny_gguf)
    assert len(left(store)) == 4
    (store.folder / "bad" / "manifest.json").write_text(damage)
    store.remove(["bad"])
    assert unread(store) == []


def test_a_manifest_of_a_newer_program_is_not_damaged(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "m", tiny_gguf)
    (store.folder / "m" / "manifest.json").write_text('{"schema": 2, "models": []}')
    assert unread(store) == [("m", "newer")]
    with pytest.raises(InvalidFile, match="newer version of this program") as error:
        store.get("m")
    assert "update qwen3cli" in (error.value.hint or "")


def test_what_is_missing_is_said(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound):
        store.get("nothing")
    with pytest.raises(ModelNotFound):
        store.remove(["nothing"])
    with pytest.raises(UsageError):
        store.add("demo", Origin("x"), lambda target: None)


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
        ModelStore(tmp_path / "home" / "models").add("m", Origin("x"), lambda target: None)
