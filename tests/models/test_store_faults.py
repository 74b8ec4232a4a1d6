"""The store under kills, crowds and odd folders."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, NotEnough, QwenError, UsageError
from qwen3cli.models.manifest import Entry, Origin, Unread, read_manifest
from qwen3cli.models.problems import removal
from qwen3cli.models.reference import ModelRef, is_name
from qwen3cli.models.store import ModelStore
from tests.conftest import Run
from tests.models.breaking import ACTIONS, break_everywhere
from tests.models.stored import copied, left_in, put, shards, unread


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process for every step")
@pytest.mark.parametrize("action", ACTIONS)
def test_a_break_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, tiny_gguf: Path, action: str) -> None:
    (first, *_) = shards(tmp_path / "shards")
    told = break_everywhere(tmp_path / "scenes", tiny_gguf, first, action)
    assert {how: one.problems for how, one in told.items()} == {how: [] for how in ACTIONS[action].breaks}
    for how, one in told.items():
        assert one.steps >= (5 if action.startswith("remove") else 14), how
        assert one.old > 0 and one.new > 0
        ends = {"kill": {"kill"}, "interrupt": {"130"}}.get(how, {"0", "1"})
        assert set(one.ends) == ends, how


def test_a_failed_beginning_leaves_no_mark(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with(tmp_path, tiny_gguf, "m")

    def refuse(path: Path, **_: object) -> None:
        if "unfinished" in path.name:
            raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NotEnough):
        put(store, "n", tiny_gguf)
    assert [path.name for path in store.folder.glob(".*")] == [".lock"]


CROWD = """
import sys
from pathlib import Path
from qwen3cli.errors import ModelNotFound, UsageError
from qwen3cli.models.manifest import Origin
from qwen3cli.models.store import ModelStore

folder, action = sys.argv[1:]
store = ModelStore(Path(folder))
for _ in range(40):
    try:
        if action == "copy":
            assert store.copy("one", "two").name == "two"
        elif action == "remove":
            store.remove(["two"])
        elif action == "register":
            assert store.register("two", [store.folder.parent / "theirs.gguf"], Origin("x")).external
        else:
            assert "one" in [entry.name for entry in store.entries()]
            assert store.listing()[1] == [], store.listing()
    except ModelNotFound as error:
        assert action == "remove", error
    except UsageError as error:
        assert action == "copy" and error.message == "there is a model `two` already", error
"""


def test_a_crowd_of_processes_gets_no_false_errors(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path / "models", tiny_gguf, "one")
    copied(tiny_gguf, tmp_path / "theirs.gguf")
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(store.folder), action], stderr=subprocess.PIPE)
        for action in ("copy", "copy", "register", "remove", "list")
    ]
    told = [process.communicate(timeout=120)[1].decode() for process in crowd]
    assert [process.returncode for process in crowd] == [0] * len(crowd), told
    assert told == [""] * len(crowd)
    put(store, "two", tiny_gguf)
    assert [name.split("/")[0] for name in left_in(store)] == ["one", "one", "two", "two"]


def test_a_model_that_is_taken_out_while_its_place_is_checked_is_not_in_the_way(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with(tmp_path / "models", tiny_gguf, "m")
    listed = Path.iterdir

    def taken_out_just_after(folder: Path) -> Iterator[Path]:
        inside = list(listed(folder))
        (folder / "m").rename(tmp_path / "away")
        return iter(inside)

    monkeypatch.setattr(Path, "iterdir", taken_out_just_after)
    store.check_place("m")
    assert (tmp_path / "away").is_dir()


def store_with(folder: Path, gguf: Path, *names: str) -> ModelStore:
    store = ModelStore(folder)
    for name in names:
        put(store, name, gguf)
    return store


def test_a_model_that_is_replaced_while_it_is_looked_at_is_no_damage(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, looks = store_with(tmp_path, tiny_gguf, "m"), list[Path]()
    away = tmp_path / "away"

    def read(folder: Path) -> Entry | Unread:
        looks.append(folder)
        if len(looks) > 1:
            return read_manifest(folder)
        # Another process takes the model out just before this look, and puts one in just after it.
        folder.rename(away)
        seen = read_manifest(folder)
        away.rename(folder)
        return seen

    monkeypatch.setattr("qwen3cli.models.store.read_manifest", read)
    assert (store.get("m").name, len(looks)) == ("m", 2)
    looks.clear()
    assert ([entry.name for entry in store.entries()], len(looks)) == (["m"], 2)
    looks.clear()
    assert unread(store) == []


def test_weights_are_validated_when_used_and_before_a_copy(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path, tiny_gguf, "m")
    weights = store.get("m").facts.path
    weights.write_bytes(weights.read_bytes()[:-1000])
    for action in (lambda: store.facts(store.get("m")), lambda: store.copy("m", "n")):
        with pytest.raises(InvalidFile, match="ends in the middle") as error:
            action()
        assert f"`{weights}`" in str(error.value)
    weights.unlink()
    with pytest.raises(InvalidFile, match="a file of `m`, is gone"):
        store.copy("m", "n")
    assert [entry.name for entry in store.entries()] == ["m"]


def test_a_copy_where_there_are_no_links(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with(tmp_path, tiny_gguf, "one")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    copy = store.copy("one", "two")
    assert copy.facts.path.read_bytes() == tiny_gguf.read_bytes()
    assert copy.facts.path.stat().st_nlink == 1


def test_a_linked_folder_is_no_model_and_only_the_link_is_removed(tmp_path: Path, tiny_gguf: Path) -> None:
    elsewhere = store_with(tmp_path / "elsewhere", tiny_gguf, "m")
    store = store_with(tmp_path / "models", tiny_gguf, "mine")
    (store.folder / "linked").symlink_to(elsewhere.folder / "m")
    before = left_in(elsewhere)
    assert ([entry.name for entry in store.entries()], unread(store)) == (["mine"], [("linked", "link")])
    for action in (lambda: store.get("linked"), lambda: put(store, "linked", tiny_gguf)):
        with pytest.raises(InvalidFile, match="is a link"):
            action()
    store.remove(["linked"])
    assert unread(store) == []
    assert left_in(elsewhere) == before


def test_removal_is_all_or_nothing(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path, tiny_gguf, "one", "two")
    with pytest.raises(ModelNotFound, match="missing"):
        store.remove(["one", "missing", "two"])
    assert [entry.name for entry in store.entries()] == ["one", "two"]
    assert store.remove(["ONE", "one", "two"]) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, "choose one that ends neither in `.`") for name in ("x.gguf", "X.GGUF", "a.")),
        *((name, "Windows reserves `con`") for name in ("con", "con.txt")),
        *((name, f"Windows reserves `{name[:4]}`") for name in ("COM1", "com1.x", "LPT9")),
        *((name, "use up to 96 letters") for name in ("a b", "", "con:", "-x", "x" * 97)),
    ],
)
def test_what_could_not_be_used_again_is_no_name(tmp_path: Path, name: str, rule: str) -> None:
    with pytest.raises(UsageError, match="cannot name a model") as caught:
        ModelStore(tmp_path).add(name, Origin("x"), lambda _: None)
    assert (caught.value.hint or "").startswith(rule)


@pytest.mark.parametrize("name", ["console", "null", "com", "0.6b", "a.gguf.b", "Qwen3-8B-Q8_0"])
def test_a_name_refers_to_the_store(name: str) -> None:
    assert is_name(name)
    assert ModelRef.parse(name).kind in ("name", "family")


def test_removal_can_be_pasted() -> None:
    assert removal("-dash") == "qwen3 rm -- -dash"
    assert removal("bad name") == "qwen3 rm 'bad name'"


def test_a_store_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / ("a" * 300))
    for action in (store.entries, lambda: store.get("m")):
        with pytest.raises(QwenError, match="cannot be used: File name too long"):
            action()


@pytest.mark.parametrize("home", ["~nobody-of-this-name/x", "a" * 500])
def test_an_impossible_home_is_a_sentence(qwen3: Run, home: str) -> None:
    for arguments in (["list"], ["show", "demo"], ["rm", "x"]):
        done = qwen3(*arguments, env={"QWEN3_HOME": home})
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("error: ")
        assert "bug" not in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "path", ["~nobody-of-this-name/x.gguf", "/" + "a" * 500, "a/" * 3000, "./" + "b" * 300]
)
def test_an_impossible_path_is_a_sentence(qwen3: Run, path: str) -> None:
    done = qwen3("show", path)
    assert done.returncode == 3
    assert "bug" not in done.stderr
