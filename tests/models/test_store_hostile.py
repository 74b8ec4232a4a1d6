"""The store against names, digests, paths and links that lead elsewhere: nothing outside of it is read or written."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.models.filenames import is_file_name, is_outside, safe_names
from qwen3cli.models.manifest import Origin
from qwen3cli.models.store import ModelStore
from qwen3cli.models.workshop import write_whole
from tests.converters.ggufs import ARCHITECTURE, U64, entry, gguf, tensor
from tests.models.stored import copied, left_in, put, unread

DIGEST = "0123456789abcdef" * 4
NAMES = (
    *("", ".", "..", "../up", "a/b", "a\\b", "/absolute", "C:\\x", "C:x", "\\\\server\\share", "~", "~root"),
    *("con", "NUL", "aux.txt", "COM1", "lpt9.x", "a.", "a ", " a", "a\0b", "a\nb", "a\x1b[2Jb", "a\u202eb"),
    *("\ud800", "a:b", "a*b", "模型", "-rf", ".hidden", ".lock", "..%2f", "a" * 97, "a" * 5000, "x.gguf"),
)
FILES = (
    *(
        "../../outside.gguf",
        "/etc/outside.gguf",
        "sub/model.gguf",
        "..\\model.gguf",
        "C:\\model.gguf",
        ".gguf",
    ),
    *("con.gguf", "NUL.x.gguf", "a\0.gguf", "a\n.gguf", "a\x1b[2J.gguf", "\u202effug.gguf", "manifest.json"),
    *("changing.json", "model", "model.gguf/", "model.gguf:stream", "a b.gguf", "-a.gguf", "模型.gguf"),
    *("a" * 200 + ".gguf", "a" * 5000 + ".gguf", "", ".", "..", "\ud800.gguf", "model.GGUF", "~/model.gguf"),
)
PATHS = (
    *(
        "relative.gguf",
        "../relative.gguf",
        "/tmp/../etc/x.gguf",
        "/tmp/./x.gguf",
        "/tmp//x.gguf",
        "//host/x.gguf",
    ),
    *("/etc/passwd", "/dev/zero", "/proc/self/mem", "/tmp/x.gguf/", "/", "", "~/x.gguf", "/tmp/a\0b.gguf"),
    *("\\\\host\\share\\x.gguf", "\\\\?\\C:\\x.gguf", "C:\\x.gguf", "file:///tmp/x.gguf", "/tmp/\ud800.gguf"),
    *("/" + "a/" * 3000 + "x.gguf", "/tmp/x.gguf.txt", "/tmp/.gguf", f"/tmp/sha256-{DIGEST[1:]}"),
    *(f"/tmp/sha256-{DIGEST.upper()}", f"/tmp/SHA256-{DIGEST}", f"/tmp/sha256-{DIGEST}-partial"),
)
VALUES: dict[str, list[Any]] = {
    "schema": [None, 1.0, "1", True, [], 0, -1],
    "source": [None, 3, "x" * 5000, ["x"]],
    "revision": [None, 3, "x" * 300],
    "license": [None, {}, "x" * 300],
    "added": [
        *(None, 3, "", "now", "2026-01-01", "1969-01-01T00:00:00+00:00", "1" * 5000),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00x"),
    ],
    "thinking": [None, "sometimes", 3],
    "parameters": [None, -5, 1.5, 10**400, 1 << 63, True],
    "base": [None, 1, "yes"],
    "quantization": [None, 3, "x" * 300],
    "files": [None, [], {}, "model.gguf", [None], [[]], [{}]],
}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "home" / "models")


def rewrite(store: ModelStore, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    path = store.folder / name / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, with size and time of change."""
    found = {str(path): path.lstat() for path in folder.rglob("*")}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_hostile_name_gets_a_model(store: ModelStore, tmp_path: Path, tiny_gguf: Path, name: str) -> None:
    put(store, "sound", tiny_gguf)
    file = tmp_path / "file.gguf"
    copied(tiny_gguf, file)
    before = tree(tmp_path)
    actions: tuple[Callable[[], object], ...] = (
        lambda: put(store, name, tiny_gguf),
        lambda: store.install(name, [file], Origin("x")),
        lambda: store.register(name, [file], Origin("x")),
        lambda: store.copy("sound", name),
        lambda: store.copy(name, "other"),
        lambda: store.get(name),
        lambda: store.remove([name]),
    )
    for action in actions:
        with pytest.raises(QwenError):
            action()
    assert {path for path in tree(tmp_path) if path not in before} == set()
    assert [entry.name for entry in store.entries()] == ["sound"]


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_no_hostile_file_name_is_used(store: ModelStore, tmp_path: Path, tiny_gguf: Path, name: str) -> None:
    assert not is_file_name(name)
    assert safe_names([name]) == ["model.gguf"]
    file = tmp_path / "file.gguf"
    copied(tiny_gguf, file)
    assert store.install("m", [file], Origin("x"), names=[name]).files[0].name == "model.gguf"
    store.add("n", Origin("x"), lambda target: copied(tiny_gguf, target), file_name=name)
    assert left_in(store) == ["m/manifest.json", "m/model.gguf", "n/manifest.json", "n/model.gguf"]
    outside = tmp_path / "outside.gguf"
    copied(tiny_gguf, outside)
    rewrite(store, "m", lambda data: data["files"][0].update(name=name))
    assert unread(store) == [("m", "damaged")]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:60])
def test_no_hostile_path_is_an_external_file(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path, path: str
) -> None:
    assert not is_outside(path)
    file = tmp_path / "file.gguf"
    copied(tiny_gguf, file)
    store.register("m", [file], Origin("x"))
    rewrite(store, "m", lambda data: data["files"][0].update(path=path))
    assert unread(store) == [("m", "damaged")]


@pytest.mark.parametrize("key", VALUES)
def test_a_manifest_of_impossible_values_is_damaged(store: ModelStore, tiny_gguf: Path, key: str) -> None:
    put(store, "m", tiny_gguf)
    for value in VALUES[key]:
        rewrite(store, "m", partial(dict[str, Any].update, **{key: value}))
        assert unread(store) == [("m", "damaged")], value
    rewrite(store, "m", lambda data: data.pop(key))
    assert unread(store) == [("m", "damaged")]


@pytest.mark.parametrize(
    "files",
    [
        [{"name": "model.gguf", "bytes": -1}],
        [{"name": "model.gguf", "bytes": 10**400}],
        [{"name": "model.gguf", "bytes": "3"}],
        [{"name": "model.gguf", "bytes": 3, "sha256": "../../x"}],
        [{"name": "model.gguf", "bytes": 3, "sha256": DIGEST.upper()}],
        [{"name": 3, "bytes": 3}],
        [{"path": "/tmp/x.gguf", "bytes": 3}],
        [{"path": "/tmp/x.gguf", "bytes": 3, "modified_ns": "3"}],
        [{"path": "/tmp/x.gguf", "bytes": 3, "modified_ns": 1 << 64}],
        [{"path": "/tmp/x.gguf", "bytes": 3, "modified_ns": None}],
        [{"name": "a.gguf", "bytes": 3}, {"name": "b.gguf", "bytes": 3}],
        [{"name": f"m-0000{n}-of-00003.gguf", "bytes": 3} for n in (1, 2)],
        [{"name": f"m-0000{n}-of-00002.gguf", "bytes": 3} for n in (2, 1)],
        [{"name": f"m-0000{n}-of-00002.gguf", "bytes": 3} for n in (1, 1)],
        [{"name": f"m-0000{n}-of-00002.gguf", "bytes": 1 << 62} for n in (1, 2)],
        [{"path": f"/{n}/m-0000{n}-of-00002.gguf", "bytes": 3, "modified_ns": 1} for n in (1, 2)],
        [
            {"name": "/tmp/m-00001-of-00002.gguf", "bytes": 3},
            {"path": "/tmp/m-00002-of-00002.gguf", "bytes": 3, "modified_ns": 1},
        ],
    ],
)
def test_files_that_we_never_wrote_so_are_damaged(
    store: ModelStore, tiny_gguf: Path, files: list[dict[str, Any]]
) -> None:
    put(store, "m", tiny_gguf)
    rewrite(store, "m", lambda data: data.update(files=files))
    assert unread(store) == [("m", "damaged")]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"schema": NaN}', "x" * 1_000_000, '{"schema": 1e999}'])
def test_a_manifest_that_is_none_is_damaged(store: ModelStore, tiny_gguf: Path, text: str) -> None:
    put(store, "good", tiny_gguf)
    put(store, "bad", tiny_gguf)
    (store.folder / "bad" / "manifest.json").write_text(text)
    assert ([entry.name for entry in store.entries()], unread(store)) == (["good"], [("bad", "damaged")])


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
@pytest.mark.parametrize("name", ["manifest.json", "changing.json", "model.gguf"])
def test_a_named_pipe_does_not_hang(store: ModelStore, tiny_gguf: Path, name: str) -> None:
    put(store, "m", tiny_gguf)
    (store.folder / "m" / name).unlink(missing_ok=True)
    os.mkfifo(store.folder / "m" / name)
    if name == "model.gguf":
        with pytest.raises(InvalidFile, match="not a regular file"):
            store.facts(store.get("m"))
    put(store, "other", tiny_gguf)
    assert unread(store) == ([("m", "damaged")] if name == "manifest.json" else [])


@pytest.mark.parametrize("name", ["manifest.json", "model.gguf", "changing.json"])
def test_links_in_a_models_folder_are_not_followed(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path, name: str
) -> None:
    put(store, "m", tiny_gguf)
    outside = tmp_path / "outside"
    outside.mkdir()
    file = store.folder / "m" / name
    if name == "changing.json":
        (outside / name).write_text('["model.gguf", "other.gguf"]')
    else:
        file.rename(outside / name)
    file.symlink_to(outside / name)
    before = tree(outside)
    if name == "manifest.json":
        assert unread(store) == [("m", "damaged")]
    elif name == "model.gguf":
        for action in (lambda: store.facts(store.get("m")), lambda: store.copy("m", "n")):
            with pytest.raises(InvalidFile, match="links are not followed"):
                action()
    put(store, "m", tiny_gguf)
    assert store.facts(store.get("m")).path.read_bytes() == tiny_gguf.read_bytes()
    assert tree(outside) == before


def test_a_link_in_place_of_the_lock_is_not_followed(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    put(store, "m", tiny_gguf)
    (store.folder / ".lock").unlink()
    (store.folder / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(QwenError, match="cannot be used"):
        put(store, "n", tiny_gguf)
    assert not (tmp_path / "made").exists()


def test_rubbish_that_is_a_link_is_swept_and_its_target_stays(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    put(store, "m", tiny_gguf)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    before = tree(outside)
    for number, name in enumerate((".unfinished-1", ".unfinished-2.lock", ".unfinished-2")):
        (store.folder / name).symlink_to(outside if number != 1 else outside / "precious")
    put(store, "n", tiny_gguf)
    assert tree(outside) == before
    assert not (store.folder / ".unfinished-1").is_symlink()


@pytest.mark.parametrize(
    "text",
    [
        '["../../outside.gguf", "/outside.gguf", "manifest.json", "model.gguf", 3, null, "a/../../x.gguf"]',
        '{"model.gguf": 1}',
        "[" * 100_000,
        "model.gguf",
        '"model.gguf"',
    ],
)
def test_a_hostile_journal_removes_nothing_of_a_model(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path, text: str
) -> None:
    put(store, "m", tiny_gguf)
    copied(tiny_gguf, tmp_path / "home" / "outside.gguf")
    (store.folder / "m" / "changing.json").write_text(text)
    put(store, "n", tiny_gguf)
    assert store.facts(store.get("m")).architecture == "qwen3"
    assert (tmp_path / "home" / "outside.gguf").exists()
    assert left_in(store)[:2] == ["m/manifest.json", "m/model.gguf"]


def test_a_journal_is_obeyed_where_it_names_rubbish(store: ModelStore, tiny_gguf: Path) -> None:
    put(store, "m", tiny_gguf)
    (store.folder / "m" / "old.gguf").write_text("half")
    (store.folder / "m" / "changing.json").write_text('["old.gguf", "model.gguf"]')
    put(store, "n", tiny_gguf)
    assert left_in(store) == ["m/manifest.json", "m/model.gguf", "n/manifest.json", "n/model.gguf"]


def test_an_external_entry_of_another_file_is_refused(
    store: ModelStore, tmp_path: Path, tiny_gguf: Path
) -> None:
    """Whoever writes a manifest cannot have a file read that he does not know to the nanosecond."""
    file, secret = tmp_path / "file.gguf", tmp_path / "secret.gguf"
    copied(tiny_gguf, file)
    copied(tiny_gguf, secret)
    store.register("m", [file], Origin("x"))
    os.utime(secret, ns=(1, 1))
    rewrite(store, "m", lambda data: data["files"][0].update(path=str(secret)))
    with pytest.raises(InvalidFile, match="changed or replaced"):
        store.facts(store.get("m"))


@pytest.mark.parametrize("kind", ["folder", "pipe", "text", "absent", "device"])
def test_what_is_no_regular_gguf_file_is_not_registered(store: ModelStore, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.gguf"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path = tmp_path / "x.txt"
        path.write_text("x")
    elif kind == "device":
        path = Path(os.devnull)
    with pytest.raises(QwenError) as error:
        store.register("m", [path], Origin("x"))
    assert isinstance(error.value, UsageError) == (kind in ("text", "device"))
    assert left_in(store) == [] if store.folder.exists() else True


def test_endless_texts_of_hubs_and_files_are_cut(store: ModelStore, tiny_gguf: Path) -> None:
    origin = Origin("s" * 10_000_000, "r" * 10_000_000, license="l" * 10_000_000)
    store.add("m", origin, lambda target: copied(tiny_gguf, target))
    kept = store.get("m").origin
    assert [len(text) for text in (kept.source, kept.revision, kept.license)] == [4096, 256, 256]
    assert kept.source.endswith("s…")


def test_figures_that_no_model_has_are_refused(store: ModelStore) -> None:
    length = entry("qwen3.context_length", U64, struct.pack("<Q", 2**64 - 1))
    content = gguf([ARCHITECTURE, length], [tensor("t", (32,))], data=128)
    with pytest.raises(InvalidFile, match="figures that no model has"):
        store.add("m", Origin("x"), lambda target: write_whole(target, content))
    assert left_in(store) == []


HOSTILE_TEXT = "x\x1b]52;c;evil\x07\u202e\u2066\ud800\n\tfake  row"


def test_hostile_texts_reach_no_terminal(store: ModelStore, tiny_gguf: Path, environ: dict[str, str]) -> None:
    """Even a pipe gets one line for each model."""
    put(store, "m", tiny_gguf)
    rewrite(store, "m", lambda data: data.update(source=HOSTILE_TEXT, revision=HOSTILE_TEXT))
    (store.folder / HOSTILE_TEXT.replace("\ud800", "")).mkdir()
    environ = {**environ, "QWEN3_HOME": str(store.folder.parent)}
    for arguments in (["list"], ["list", "--json"], ["show", "m"], ["show", "m", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "qwen3cli", *arguments], capture_output=True, encoding="utf-8", env=environ
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert "\x1b" not in done.stdout
        if arguments == ["list"]:
            assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "m", "demo"]
