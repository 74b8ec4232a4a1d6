"""Models for the tests of the store, and what a test sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

from qwen3cli.models.manifest import Entry, Origin
from qwen3cli.models.store import ModelStore


def copied(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def put(store: ModelStore, name: str, file: Path, source: str = "a test") -> Entry:
    return store.add(name, Origin(source), lambda target: copied(file, target))


def shards(folder: Path) -> Sequence[Path]:
    """A model in three files, as llama.cpp's gguf-split makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "m.gguf", "qwen3", split_max_tensors=2)
    writer.add_block_count(1)
    for number in range(5):
        writer.add_tensor(f"t{number}", np.full((2, 32), number, np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    return [folder / f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def left_in(store: ModelStore) -> list[str]:
    """What stands in the store's folder, without the lock file that stays; of folders, what is in them."""
    found = sorted(path for path in store.folder.rglob("*") if not path.is_dir() and path.name != ".lock")
    return [path.relative_to(store.folder).as_posix() for path in found]


def unread(store: ModelStore) -> list[tuple[str, str]]:
    return [(one.name, one.reason) for one in store.listing()[1]]
