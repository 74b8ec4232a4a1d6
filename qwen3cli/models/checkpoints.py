"""A checkpoint folder as a model of the store: converted once, and known by its content wherever it lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from converters.disk import lock
from qwen3cli.models.memo import Memo
from qwen3cli.models.store import Entry, ModelStore
from qwen3cli.models.workshop import translated

RECIPE = "q8_0"
_RULES = "1"
"""To be raised when the same checkpoint would become another file, so that old ones are not taken for it."""

_PATTERNS = ("*.json", "*.jinja", "additional_chat_templates/*.jinja", "*.safetensors", "README.md")
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
        files = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})
        sizes = {path: path.stat().st_size for path in files}
        memo = Memo(cache / "fingerprints.json")
        whole = hashlib.blake2b(f"{RECIPE} {_RULES}".encode())
        done = 0
        for path in files:
            for step in _digest(path, memo, whole):
                report(done + step, sum(sizes.values()))
            done += sizes[path]
    return whole.hexdigest()[:_KEY_LENGTH]


def _digest(path: Path, memo: Memo, whole: hashlib.blake2b) -> Generator[int]:
    """Adds the file's name and content to `whole`; yields how many of its bytes have been read."""
    status = path.stat()
    key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
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
    """The model that a checkpoint with this content has become, under whatever name."""
    return next((entry for entry in store.entries() if entry.name.endswith(f"-{key}")), None)


def name_for(folder: Path, key: str) -> str:
    """What the model is called in the store."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:_LONGEST_NAME]
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
