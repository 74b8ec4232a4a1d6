"""A checkpoint folder as a model of the store: converted once, and known by its content wherever it lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from converters.disk import lock
from qwen3cli.models.conversion import converting
from qwen3cli.models.memo import Memo
from qwen3cli.models.store import Entry, ModelStore
from qwen3cli.models.workshop import translated

RECIPE = "q8_0"
_RULES = "1"
"""To be raised when the same checkpoint would become another file, so that old ones are not taken for it."""

# What a conversion reads besides the weights.
_PATTERNS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "README.md"),
    *("chat_template.j*", "additional_chat_templates/*.jinja", "modules.json"),
)
_KEY_LENGTH = 12
_LONGEST_NAME = 80
_CHUNK = 1 << 20

Report = Callable[[int, int], None]
"""Told how many bytes are done, of how many."""


def fingerprint(folder: Path, cache: Path, report: Report) -> str:
    """A key for all that a conversion of `folder` reads.

    Large files are read once; as long as their size and time stay as they are, `cache` remembers the result.
    """
    with translated(folder):
        files = _files(folder)
        sizes = {path: path.stat().st_size for path in files}
        memo = _memo(cache)
        whole = hashlib.blake2b(f"{RECIPE} {_RULES}".encode())
        done = 0
        for path in files:
            for step in _digest(path, memo, whole):
                report(done + step, sum(sizes.values()))
            done += sizes[path]
    return whole.hexdigest()[:_KEY_LENGTH]


def is_known(folder: Path, cache: Path) -> bool:
    """Whether all weights have been read before, so that a fingerprint costs nothing."""
    with translated(folder):
        memo = _memo(cache)
        large = (path for path in _files(folder) if path.stat().st_size > _CHUNK)
        return all(memo.get(_memo_key(path)) is not None for path in large)


def _files(folder: Path) -> list[Path]:
    from converters.checkpoint import find_shards

    with converting(folder):
        shards = find_shards(folder).names
    small = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    index = folder / "model.safetensors.index.json"
    return sorted({*small, *(folder / name for name in shards), *([index] if index.is_file() else [])})


def _memo(cache: Path) -> Memo:
    return Memo(cache / "fingerprints.json")


def _memo_key(path: Path) -> str:
    status = path.stat()
    times = f"{status.st_mtime_ns}:{status.st_ctime_ns}"
    return f"{path.resolve()}:{status.st_size}:{times}:{status.st_ino}"


def _digest(path: Path, memo: Memo, whole: hashlib.blake2b) -> Generator[int]:
    """Adds the file's name and content to `whole`; yields how many of its bytes have been read."""
    key = _memo_key(path)
    digest = memo.get(key)
    if digest is None:
        hasher = hashlib.blake2b()
        read = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
                read += len(chunk)
                yield read
        digest = hasher.hexdigest()
        if read > _CHUNK:
            memo.put(key, digest)
    whole.update(f"\0{path.name}\0{digest}".encode())


def find_converted(store: ModelStore, key: str) -> Entry | None:
    """The model that a checkpoint with this content has become, under whatever name, if its file is there."""
    named = (entry for entry in store.entries() if entry.name.endswith(f"-{key}"))
    return next((entry for entry in named if entry.facts.path.is_file()), None)


def name_for(folder: Path, key: str) -> str:
    """What the model is called in the store."""
    from converters.card import titled

    named = titled(folder.absolute() if folder.name != ".." else folder.resolve()).name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-._")[:_LONGEST_NAME]
    return f"{plain or 'checkpoint'}-{key}"


@contextmanager
def one_at_a_time(cache: Path) -> Generator[None]:
    """Waits until no other process converts a checkpoint in this way."""
    with translated(cache):
        cache.mkdir(parents=True, exist_ok=True)
        file = (cache / "checkpoints.lock").open("wb")
    with file:
        lock(file.fileno(), wait=True)
        yield
