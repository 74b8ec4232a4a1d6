"""A GGUF file in a few lines: its metadata, the type of every tensor, and hashes; what golden.json holds.

Reads with the gguf package, not with our own reader, so that the two check each other.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from gguf import GGUFReader

GOLDEN = Path(__file__).with_name("golden.json")
_LONG = 24


def metadata(path: Path) -> list[Any]:
    """[key, type, value] in order; the file type, in which the files of a case differ, without its value."""
    return [
        [
            field.name,
            ".".join(kind.name for kind in field.types),
            None if field.name == "general.file_type" else _shortened(field.contents()),
        ]
        for field in GGUFReader(path).fields.values()
        if not field.name.startswith("GGUF.")
    ]


def digest(path: Path) -> dict[str, Any]:
    """Hashes of the file and of its tensors' names, shapes and data; and their types by role, in order."""
    hasher = hashlib.sha256()
    types: dict[str, list[str]] = {}
    for tensor in GGUFReader(path).tensors:
        hasher.update(f"{tensor.name} {tensor.shape.tolist()} ".encode() + tensor.data.tobytes())
        role = tensor.name.removesuffix(".weight").split(".")[-1]
        types.setdefault(role, []).append(tensor.tensor_type.name)
    return {"file": _hash(path.read_bytes()), "tensors": hasher.hexdigest()[:16], "types": _runs(types)}


def _runs(types: dict[str, list[str]]) -> dict[str, str]:
    """`Q6_K 2, Q4_K 5` for a role's types layer by layer."""
    return {
        role: ", ".join(f"{kind} {len(list(same))}" for kind, same in groupby(kinds))
        for role, kinds in types.items()
    }


def _shortened(value: Any) -> Any:
    """Long lists and texts as their hash."""
    if isinstance(value, list):
        values = cast(list[Any], value)
        return values if len(values) <= _LONG else f"{len(values)} values {_hash(repr(values).encode())}"
    if isinstance(value, str) and len(value) > 10 * _LONG:
        return f"{len(value)} characters {_hash(value.encode())}"
    return value


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
