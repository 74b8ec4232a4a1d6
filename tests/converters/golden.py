"""A GGUF file in a few lines: every metadata value, every tensor's type and hash; what golden.json holds.

Reads with the gguf package, not with our own reader, so that the two check each other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

from gguf import GGUFReader

GOLDEN = Path(__file__).with_name("golden.json")
_LONG = 24


def digest(path: Path) -> dict[str, Any]:
    """File hash, metadata in order as [key, type, value], tensors in order as `name type shape hash`."""
    reader = GGUFReader(path)
    metadata = [
        [field.name, ".".join(kind.name for kind in field.types), _shortened(field.contents())]
        for field in reader.fields.values()
        if not field.name.startswith("GGUF.")
    ]
    tensors = [
        f"{tensor.name} {tensor.tensor_type.name} {tensor.shape.tolist()} {_hash(tensor.data.tobytes())}"
        for tensor in reader.tensors
    ]
    return {"file": _hash(path.read_bytes()), "metadata": metadata, "tensors": tensors}


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
