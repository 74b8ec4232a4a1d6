"""The manifest beside a stored model: what a listing needs, as JSON, checked when it is read."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qwen3cli.machine import ModelFacts

_TYPES = {"str": str, "int": int, "bool": bool}
_PLACES = ("name", "path", "further")
"""Facts that the store's own folders tell; a stored model is one file."""


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


def read_manifest(path: Path, name: str, file: Path) -> Entry | None:
    """The entry of the model `name`, whose weights are `file`; None when the manifest is not sound."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        facts = _facts(data["facts"], name, file)
        return Entry(facts, float(data["added"]), str(data["source"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_manifest(path: Path, facts: ModelFacts, source: str) -> None:
    """Write it and have the disk confirm; the caller renames its folder into place."""
    plain = {key: value for key, value in asdict(facts).items() if key not in _PLACES}
    text = json.dumps({"facts": plain, "added": time.time(), "source": source}, ensure_ascii=False, indent=1)
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _facts(data: dict[str, Any], name: str, file: Path) -> ModelFacts:
    """Raises `TypeError` or `KeyError` where a field is missing or of another type."""
    values: dict[str, Any] = {}
    for field in fields(ModelFacts):
        if field.name in _PLACES:
            continue
        value = data[field.name]
        if type(value) is not _TYPES[str(field.type)]:
            raise TypeError(field.name)
        values[field.name] = value
    return ModelFacts(name=name, path=file, **values)
