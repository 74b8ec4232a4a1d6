"""Where two GGUF files differ, told in a few lines; reads with the gguf package, not with our own reader."""

from __future__ import annotations

import filecmp
from itertools import zip_longest
from pathlib import Path

from gguf import GGUFReader

_MOST = 12


def differences(ours: Path, theirs: Path) -> list[str]:
    """Nothing if the files are equal, byte for byte; otherwise what differs first, key by key."""
    if filecmp.cmp(ours, theirs, shallow=False):
        return []
    left, right = GGUFReader(ours), GGUFReader(theirs)
    found = _metadata(left, right) + _tensors(left, right)
    if len(found) > _MOST:
        found[_MOST:] = [f"and {len(found) - _MOST} more"]
    return found or ["the same metadata and tensors, but another order or padding"]


def _metadata(left: GGUFReader, right: GGUFReader) -> list[str]:
    found: list[str] = []
    for name in dict.fromkeys((*left.fields, *right.fields)):
        one, other = left.fields.get(name), right.fields.get(name)
        if one is None or other is None:
            found.append(f"{name}: only {'theirs' if one is None else 'ours'} has it")
        elif one.types != other.types:
            found.append(f"{name}: another type of value")
        elif one.contents() != other.contents():
            found.append(f"{name}: {_short(one.contents())}, theirs {_short(other.contents())}")
    names = [[name for name in reader.fields if not name.startswith("GGUF.")] for reader in (left, right)]
    if not found and names[0] != names[1]:
        found.append("the same keys in another order")
    return found


def _tensors(left: GGUFReader, right: GGUFReader) -> list[str]:
    found: list[str] = []
    for one, other in zip_longest(left.tensors, right.tensors):
        if one is None or other is None or one.name != other.name:
            found.append(f"tensor {one and one.name}, theirs {other and other.name}")
            break
        if one.shape.tolist() != other.shape.tolist():
            found.append(f"{one.name}: the shape {one.shape.tolist()}, theirs {other.shape.tolist()}")
        elif one.tensor_type != other.tensor_type:
            found.append(f"{one.name}: {one.tensor_type.name}, theirs {other.tensor_type.name}")
        elif one.data.tobytes() != other.data.tobytes():
            unequal = int((one.data != other.data).sum())
            found.append(
                f"{one.name}: {unequal:,} of {one.data.size:,} numbers differ ({one.tensor_type.name})"
            )
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
