"""Caches of huggingface_hub that somebody means harm with: nothing outside of a repository is offered."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.sources.elsewhere import (
    COMMIT,
    SECRET,
    cached,
    digest_of,
    hostile_files,
    looked,
    put,
)


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


def test_files_of_the_cache_that_are_none(tmp_path: Path, secret: Path) -> None:
    hub = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    link = cached(hub, "Qwen/Evil", "evil.gguf")
    for what in hostile_files(link.parent, link.name, secret):
        models, _ = looked(tmp_path)
        assert models == [], what


def test_links_of_the_cache_may_not_lead_to_another_repository(tmp_path: Path) -> None:
    hub = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    good = cached(hub, "Qwen/Good", "good.gguf")
    link = hub / "models--Qwen--Evil" / "snapshots" / COMMIT / "evil.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(good)
    models, passed = looked(tmp_path)
    assert [model.reference for model in models] == ["Qwen/Good:good.gguf"]
    assert (
        passed == "`Qwen/Evil:evil.gguf` of the Hugging Face cache is passed over: it leads out of its folder"
    )


@pytest.mark.parametrize(
    "name", ["..", "..--..", "", "a--b--c", "a\x1b[0m--b", "a--\n", "-a--b", "a--.b", "--"]
)
def test_repositories_that_no_hub_has(tmp_path: Path, name: str) -> None:
    hub = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    put(hub / f"models--{name}" / "snapshots" / COMMIT / "evil.gguf")
    models, passed = looked(tmp_path)
    assert models == []
    assert "the hub allows no such name" in passed


@pytest.mark.parametrize("ref", [b"../../../..", b"/etc", b"", b"\xff", b"a\0b", b"x" * 10_000])
def test_branches_that_lead_nowhere_are_none(tmp_path: Path, ref: bytes) -> None:
    hub = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    cached(hub, "Qwen/Good", "good.gguf")
    put(hub / "models--Qwen--Good" / "refs" / "main", ref)
    assert [model.revision for model in looked(tmp_path)[0]] == [COMMIT]


@pytest.mark.parametrize(
    "place", ["models--Qwen--Evil", "models--Qwen--Evil/snapshots", "models--Qwen--Evil/snapshots/1"]
)
def test_folders_of_the_cache_that_are_links(tmp_path: Path, place: str) -> None:
    outside = cached(tmp_path / "outside", "Qwen/Evil", "evil.gguf", commit="1")
    source = {0: outside.parents[2], 1: outside.parents[1], 2: outside.parent}[place.count("/")]
    link = tmp_path / "home" / ".cache" / "huggingface" / "hub" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    assert looked(tmp_path)[0] == []
