"""The manifest beside a stored model: what a listing needs, as JSON, checked when it is read."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qwen3cli.machine import ModelFacts

_TYPES = {"str": str, "int": int, "bool": bool}
_PLACES = ("name", "path", "further")
"""Facts that the store's own folders tell; a stored model is one file."""
_FILE = re.compile(r"model(-[0-9a-f]{12})?\.gguf")
_LIMIT = 64 << 10
_MOST = 1 << 63


@dataclass(frozen=True)
class Entry:
    """A model in the store; `added` is seconds since 1970, `source` where it came from."""

    facts: ModelFacts
    added: float
    source: str

    @property
    def name(self) -> str:
        """The name it is called by."""
        return self.facts.name


def read_manifest(path: Path, name: str) -> Entry | None:
    """The entry of the model `name`, whose weights lie beside the manifest; None when it is not sound."""
    try:
        data: dict[str, Any] = json.loads(_text(path))
        file, added = data["file"], float(data["added"])
        if not _FILE.fullmatch(file) or not 0 <= added < _MOST:
            return None
        return Entry(_facts(data["facts"], name, path.with_name(file)), added, str(data["source"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def write_manifest(path: Path, facts: ModelFacts, source: str, weights: str) -> None:
    """Write it and have the disk confirm; the caller renames it, or its folder, into place."""
    plain = {key: value for key, value in asdict(facts).items() if key not in _PLACES}
    manifest = {"facts": plain, "added": time.time(), "source": source, "file": weights}
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _text(path: Path) -> str:
    # Opened without waiting: a named pipe in its place would hang every listing.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return file.read(_LIMIT).decode("utf-8")


def _facts(data: dict[str, Any], name: str, file: Path) -> ModelFacts:
    """Raises `TypeError` or `KeyError` where a field is missing, of another type or no possible size."""
    values: dict[str, Any] = {}
    for field in fields(ModelFacts):
        if field.name in _PLACES:
            continue
        value = data[field.name]
        if type(value) is not _TYPES[str(field.type)] or (isinstance(value, int) and not 0 <= value < _MOST):
            raise TypeError(field.name)
        values[field.name] = value
    return ModelFacts(name=name, path=file, **values)
