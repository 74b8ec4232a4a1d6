"""Stores that somebody means harm with: nothing hangs, nothing outside of them is read or offered."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import InvalidFile
from qwen3cli.models.sources.others import find_at
from tests.models.sources.elsewhere import (
    SECRET,
    WEIGHTS,
    digest_of,
    hostile_files,
    layers,
    looked,
    manifest,
    ollama_model,
    put,
)

A = "a" * 64
REAL_OPEN = os.open


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """What waits for a pipe would wait for ever."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A GGUF file that no store has."""
    return put(tmp_path / "outside" / "blobs" / f"sha256-{digest_of(SECRET)}", SECRET)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../outside/blobs/secret",
        "sha256-/../../../outside/blobs/secret",
        f"../../outside/blobs/sha256-{digest_of(SECRET)}",
        f"/outside/blobs/sha256-{digest_of(SECRET)}",
        "/dev/zero",
        f"sha256:{A[1:]}",
        f"sha256:{A}a",
        f"SHA256:{A}",
        f"sha512:{A}",
        f"sha256:{A}\n",
        f" sha256:{A}",
        f"sha256:{A[1:]}\0",
        f"sha256:{A}\0.gguf",
        f"sha256:{A[2:]}..",
        f"sha256:{'g' * 64}",
        f"sha256:{'１' * 64}",
        f"sha256_{A}",
        f"sha256:sha256:{A}",
        "sha256-con",
        None,
        5,
        ["sha256", A],
        {"sha256": A},
    ],
)
def test_digests_that_are_none(tmp_path: Path, secret: Path, digest: Any) -> None:
    put(tmp_path / "store" / "blobs" / f"sha256-{A}")
    put(tmp_path / "store" / "blobs" / f"sha256-{A}\n")
    manifest(tmp_path / "store", "library/evil:1", layers(("model", digest), size=len(SECRET)))
    models, passed = looked(tmp_path)
    assert models == []
    assert passed == "`evil:1` of Ollama is passed over: its manifest names no SHA-256 digest"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no JSON",
        b"\xff\xfe\x00",
        b"[" * 1_000_000,
        b'{"layers":' * 100_000,
        b'{"layers": []}' + b" " * (5 << 20),
        b"9" * 1_000_000,
        b"[]",
        b"null",
        b'"layers"',
        b"{}",
        b'{"layers": null}',
        b'{"layers": 5}',
        b'{"layers": "abc"}',
        b'{"layers": [5]}',
        b'{"layers": [null]}',
        b'{"layers": [{}]}',
        b'{"layers": [{"mediaType": "x"}]}',
        b'{"layers": {"a": 1}}',
        b'{"layers": [["mediaType", "digest"]]}',
    ],
)
def test_manifests_that_are_none(tmp_path: Path, content: bytes) -> None:
    manifest(tmp_path / "store", "library/evil:1", content)
    models, passed = looked(tmp_path)
    assert models == []
    assert passed.startswith("`evil:1` of Ollama is passed over: its manifest ")


@pytest.mark.parametrize("size", [0, -1, len(WEIGHTS) + 1, "28", None, 1e300, [1]])
def test_sizes_that_are_not_the_files(tmp_path: Path, size: Any) -> None:
    blob = ollama_model(tmp_path / "store", "library/evil:1")
    content = {"layers": [{**layers(("model", blob.name))["layers"][0], "size": size}]}
    manifest(tmp_path / "store", "library/evil:1", content)
    models, passed = looked(tmp_path)
    assert models == []
    assert "its file has 32 bytes" in passed


def test_blobs_that_are_none(tmp_path: Path, secret: Path) -> None:
    blob = ollama_model(tmp_path / "store", "library/evil:1", SECRET)
    for what in hostile_files(blob.parent, blob.name, secret):
        models, passed = looked(tmp_path)
        assert models == [], what
        assert passed.startswith("`evil:1` of Ollama is passed over: it"), what


def test_manifests_that_are_no_files(tmp_path: Path, secret: Path) -> None:
    ollama_model(tmp_path / "store", "library/evil:1", SECRET)
    path = manifest(tmp_path / "store", "library/evil:1", layers(("model", secret.name), size=len(SECRET)))
    path.rename(secret.with_name("manifest"))
    path.touch()
    for what in hostile_files(path.parent, "1", secret.with_name("manifest")):
        models, _ = looked(tmp_path)
        assert models == [], what


def test_nothing_but_files_is_opened(tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a device can change it, whatever is done with it then."""
    opened: list[Path] = []

    def watched(path: Path, flags: int) -> int:
        opened.append(path)
        return REAL_OPEN(path, flags)

    monkeypatch.setattr("qwen3cli.models.sources.looking.os.open", watched)
    blob = ollama_model(tmp_path / "store", "library/evil:1", SECRET)
    for what in hostile_files(blob.parent, blob.name, secret):
        looked(tmp_path)
        with suppress(InvalidFile):
            assert what == "a link to a folder" or find_at(blob)
    names = {str(path) for path in opened}
    assert names >= {str(blob), str(tmp_path / "store/manifests/registry.ollama.ai/library/evil/1")}
    assert not any(name.startswith("/dev") or name.endswith("pipe") for name in names)


def test_a_store_whose_blobs_are_elsewhere(tmp_path: Path, secret: Path) -> None:
    manifest(tmp_path / "store", "library/evil:1", layers(("model", secret.name), size=len(SECRET)))
    (tmp_path / "store" / "blobs").symlink_to(secret.parent)
    models, passed = looked(tmp_path)
    assert models == []
    assert passed == "`evil:1` of Ollama is passed over: it leads out of its folder"


@pytest.mark.parametrize(
    "name", ["a\x1b[31mb", "a\nb", "-x", "a b", "a:b", "é", "x" * 81, "\x7f", "*", "'; rm -rf"]
)
def test_names_that_ollama_does_not_allow(tmp_path: Path, name: str) -> None:
    content = layers(("model", f"sha256:{digest_of(WEIGHTS)}"))
    ollama_model(tmp_path / "store", "library/good:1")
    put(tmp_path / "store/manifests/registry.ollama.ai/library" / name / "1", json.dumps(content).encode())
    put(tmp_path / "store/manifests/registry.ollama.ai" / name / "x" / "1", json.dumps(content).encode())
    models, passed = looked(tmp_path)
    assert [model.reference for model in models] == ["good:1"]
    assert passed.count("Ollama allows no such name") == 2


def test_files_of_lm_studio_that_are_none(tmp_path: Path, secret: Path) -> None:
    path = put(tmp_path / "home" / ".lmstudio" / "models" / "p" / "m" / "evil.gguf")
    for what in hostile_files(path.parent, path.name, secret):
        models, passed = looked(tmp_path)
        assert models == [], what
        assert what == "a folder" or passed, what


def test_links_to_folders_are_said_and_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "outside" / "m" / "evil.gguf")
    models = tmp_path / "home" / ".lmstudio" / "models"
    models.mkdir(parents=True)
    (models / "publisher").symlink_to(tmp_path / "outside")
    (models / "round").symlink_to(models)
    found, passed = looked(tmp_path)
    assert found == []
    assert passed.count("is a link to another folder and not followed") == 2


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.gguf",
        b"\x1b[2J.gguf",
        b"a\nb.gguf",
        b"-rf.gguf",
        b".gguf",
        b"..gguf",
        b"con.gguf",
        b"demo.gguf",
        b"8b.gguf",
        b"a\\..\\b.gguf",
        b"$(reboot).gguf",
        b"x" * 250 + b".gguf",
    ],
)
def test_odd_names_of_files_get_names_that_are_not(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "home" / ".lmstudio" / "models" / "p" / "m"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(name)).write_bytes(WEIGHTS)
    (model,), _ = looked(tmp_path)
    assert model.files[0].parent == folder
    assert set(model.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert model.name.lower() not in ("demo", "8b", "con")


def test_a_set_of_parts_with_a_hostile_one(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "home" / ".lmstudio" / "models" / "p" / "m"
    put(folder / "Big-00001-of-00002.gguf")
    put(folder / "Big-00001-of-99999.gguf")
    put(folder / "Big-00000-of-00000.gguf")
    (folder / "Big-00002-of-00002.gguf").symlink_to(secret)
    models, passed = looked(tmp_path)
    assert models == []
    assert passed.count("passed over") == 3


def test_a_folder_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    ollama_model(tmp_path / "store", "library/qwen3:8b")
    monkeypatch.setattr("qwen3cli.models.sources.looking.os.scandir", refuse)
    models, passed = looked(tmp_path)
    assert models == []
    assert "manifests` cannot be read: Permission denied" in passed


def test_what_a_person_names_may_be_a_link_but_no_pipe(tmp_path: Path, secret: Path) -> None:
    path = put(tmp_path / "folder" / "mine.gguf")
    refused: list[str] = []
    for what in hostile_files(path.parent, path.name, put(tmp_path / "good.gguf")):
        try:
            assert path.is_dir() or find_at(path)[0][0].files == (path,)
        except InvalidFile:
            refused.append(what)
    assert {"a pipe", "a link to a pipe", "a link to a device", "a loop", "no model", "an empty file"} <= set(
        refused
    )
    assert "a link out" not in refused
