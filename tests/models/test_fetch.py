"""The order in which a pull takes its locks, which is one for all pulls of equal files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwen3cli.models import fetch
from qwen3cli.models.fetch import Fetcher
from qwen3cli.models.remote import RemoteFile
from qwen3cli.models.store import ModelStore


def test_two_pulls_cannot_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    @contextmanager
    def claimed(file: RemoteFile, folder: Path, _: object) -> Generator[None]:
        taken.append(file.places(folder).key)
        yield

    monkeypatch.setattr(fetch, "claimed", claimed)
    # Of equal content under names that are swapped, as only git's ids tell.
    one = {"a": "1" * 40, "b": "2" * 40, "c": "3" * 40}
    other = {"a": "3" * 40, "b": "2" * 40, "c": "1" * 40}
    orders: list[list[str]] = []
    for contents in (one, other):
        taken.clear()
        with _fetcher(contents, tmp_path)._claims():  # pyright: ignore[reportPrivateUsage]
            orders.append(list(taken))
    assert orders[0] == orders[1]
    assert len(set(orders[0])) == 3


def _fetcher(contents: dict[str, str], folder: Path) -> Fetcher:
    files = [SimpleNamespace(path=path, git=git) for path, git in contents.items()]

    def remote(_: object, file: Any) -> RemoteFile:
        return RemoteFile(file.path, f"https://hub.example/{file.path}", 1, None, git=file.git)

    pull: Any = SimpleNamespace(
        files=files, listing=None, hub=SimpleNamespace(remote=remote), name="m", size=3
    )
    nothing: Any = None
    return Fetcher(pull, ModelStore(folder / "models"), folder, nothing, nothing)
