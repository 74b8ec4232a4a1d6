"""The store under kills, crowds and odd folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, QwenError, UsageError
from qwen3cli.models.reference import ModelRef, is_name
from qwen3cli.models.store import ModelStore, removal
from tests.conftest import Run

# Kills itself before the N-th change of the file system; says when it got through.
KILLED = """
import os, signal, sys
from pathlib import Path
from qwen3cli.models.store import ModelStore

folder, gguf, action, name, number = sys.argv[1:]
store, left = ModelStore(Path(folder)), int(number)

def watch(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate") or (
        event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike))
        and os.fsdecode(arguments[0]).startswith(folder) and arguments[2] & (os.O_CREAT | os.O_WRONLY)
    ):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

data = Path(gguf).read_bytes()
sys.addaudithook(watch)
if action == "add":
    store.add(name, "new", lambda target: target.write_bytes(data) and None)
elif action == "copy":
    store.copy("old", name)
else:
    store.remove([name])
print("through")
"""


def put(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def store_with(folder: Path, gguf: Path, *names: str) -> ModelStore:
    store = ModelStore(folder)
    for name in names:
        store.add(name, "old", lambda target: put(gguf, target))
    return store


def left(store: ModelStore) -> list[str]:
    found = (path.relative_to(store.folder) for path in store.folder.rglob("*") if path.is_file())
    return sorted(path.parts[0] for path in found if path.name != ".lock")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(("action", "name"), [("add", "new"), ("add", "old"), ("copy", "new"), ("rm", "old")])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, tiny_gguf: Path, action: str, name: str
) -> None:
    kills, seen = 0, set[tuple[str, ...]]()
    while True:
        store = store_with(tmp_path / str(kills), tiny_gguf, "old")
        command = [sys.executable, "-c", KILLED, str(store.folder), str(tiny_gguf), action, name, str(kills)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            assert done.stdout == "through\n"
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        entries = store.entries()
        names = tuple(entry.name for entry in entries)
        seen.add(names)
        assert store.broken() == []
        assert "old" in names or action == "rm"
        for entry in entries:
            assert store.facts(entry).path.read_bytes() == tiny_gguf.read_bytes()
        # The next one to work there is not blocked, and leaves no rubbish.
        store_with(store.folder, tiny_gguf, "next")
        assert left(store) == sorted([*names, "next"] * 2)
        kills += 1
    assert kills >= (2 if action == "rm" else 8)
    outcomes = {"new": {("old",), ("new", "old")}, "old": {("old",)}}
    assert seen == ({("old",), ()} if action == "rm" else outcomes[name])


CROWD = """
import sys
from pathlib import Path
from qwen3cli.errors import ModelNotFound
from qwen3cli.models.store import ModelStore

folder, action = sys.argv[1:]
store = ModelStore(Path(folder))
for _ in range(40):
    try:
        if action == "copy":
            assert store.copy("one", "two").name == "two"
        elif action == "remove":
            store.remove(["two"])
        else:
            assert "one" in [entry.name for entry in store.entries()]
            assert store.broken() == [], store.broken()
    except ModelNotFound as error:
        assert action == "remove", error
"""


def test_a_crowd_of_processes_gets_no_false_errors(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path / "models", tiny_gguf, "one")
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(store.folder), action], stderr=subprocess.PIPE)
        for action in ("copy", "copy", "remove", "list")
    ]
    for process in crowd:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors.decode()) == (0, "")
    store_with(store.folder, tiny_gguf, "two")
    assert left(store) == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"facts": {}, "added": NaN}',
        "x" * 100_000,
    ],
)
def test_a_hostile_manifest_is_damaged(tmp_path: Path, tiny_gguf: Path, text: str) -> None:
    store = store_with(tmp_path, tiny_gguf, "good", "bad")
    (tmp_path / "bad" / "manifest.json").write_text(text)
    assert ([entry.name for entry in store.entries()], store.broken()) == (["good"], ["bad"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file_bytes", 10**400),
        ("file_bytes", -1),
        ("parameters", -5),
        ("added", float("nan")),
        ("added", float("inf")),
        ("file", "../../elsewhere.gguf"),
        ("file", 3),
    ],
)
def test_a_manifest_of_impossible_values_is_damaged(
    tmp_path: Path, tiny_gguf: Path, key: str, value: object
) -> None:
    store = store_with(tmp_path, tiny_gguf, "m")
    path = tmp_path / "m" / "manifest.json"
    data = json.loads(path.read_text())
    (data if key in data else data["facts"])[key] = value
    path.write_text(json.dumps(data))
    assert store.broken() == ["m"]


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_a_named_pipe_as_manifest_does_not_hang(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path, tiny_gguf, "m")
    path = tmp_path / "m" / "manifest.json"
    path.unlink()
    os.mkfifo(path)
    assert store.broken() == ["m"]


def test_weights_are_validated_when_used_and_before_a_copy(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path, tiny_gguf, "m")
    weights = store.get("m").facts.path
    weights.write_bytes(weights.read_bytes()[:-1000])
    for action in (lambda: store.facts(store.get("m")), lambda: store.copy("m", "n")):
        with pytest.raises(InvalidFile, match="ends in the middle") as error:
            action()
        assert f"`{weights}`" in str(error.value)
    weights.unlink()
    with pytest.raises(InvalidFile, match="the file of `m` is gone"):
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


def test_of_a_linked_folder_only_the_link_is_removed(tmp_path: Path, tiny_gguf: Path) -> None:
    elsewhere = store_with(tmp_path / "elsewhere", tiny_gguf, "m")
    store = store_with(tmp_path / "models", tiny_gguf, "mine")
    (store.folder / "linked").symlink_to(elsewhere.folder / "m")
    assert [entry.name for entry in store.entries()] == ["linked", "mine"]
    store.remove(["linked"])
    assert [entry.name for entry in store.entries()] == ["mine"]
    assert [entry.name for entry in elsewhere.entries()] == ["m"]


def test_removal_is_all_or_nothing(tmp_path: Path, tiny_gguf: Path) -> None:
    store = store_with(tmp_path, tiny_gguf, "one", "two")
    with pytest.raises(ModelNotFound, match="missing"):
        store.remove(["one", "missing", "two"])
    assert [entry.name for entry in store.entries()] == ["one", "two"]
    assert store.remove(["ONE", "one", "two"]) == ["one", "two"]


@pytest.mark.parametrize("name", ["x.gguf", "X.GGUF", "con", "NUL", "nul.txt", "COM1", "a.", "a b", ""])
def test_what_could_not_be_used_again_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        ModelStore(tmp_path).add(name, "x", lambda _: None)


@pytest.mark.parametrize("name", ["console", "null", "com", "0.6b", "a.gguf.b", "Qwen3-8B-Q8_0"])
def test_a_name_refers_to_the_store(name: str) -> None:
    assert is_name(name)
    assert ModelRef.parse(name).kind in ("name", "family")


def test_removal_can_be_pasted() -> None:
    assert removal("-dash") == "qwen3 rm -- -dash"
    assert removal("bad name") == "qwen3 rm 'bad name'"


def test_a_store_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / ("a" * 300))
    for action in (store.entries, store.broken, lambda: store.get("m")):
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
