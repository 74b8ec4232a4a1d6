"""Reads one safetensors file: a validated header, and where in the file each tensor is.

Format: https://github.com/huggingface/safetensors. The rules of its reference implementation are held here:
tensors lie side by side without hole or overlap, from the end of the header to the end of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, cast

from converters.documents import check_regular, parse_object
from converters.errors import CheckpointError

# A model of 235B parameters in FP8 needs 9 MB if it is one file; the format allows 100 MB, gigabytes to parse.
_MAX_HEADER_BYTES: Final = 12_000_000
_MAX_HEADER_COST: Final = 1_200_000  # 16 for a matrix; that model has 72,000 tensors.
_MAX_ELEMENTS: Final = (1 << 63) - 1
_MAX_RANK: Final = 8
_LONGEST_NAME: Final = 200
_RETRY: Final = "download it again"

DTYPE_BITS: Final = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64},
    **{"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64},
    **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
    **{"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
}


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor in a file; `shape` as torch counts, row length last; `begin` from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    begin: int
    nbytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


class SafetensorsFile:
    """One file; `tensors` by name. Raises CheckpointError, naming the file, for whatever is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors = _read_header(path)


def _read_header(path: Path) -> dict[str, SourceTensor]:
    try:
        status = path.stat()
        check_regular(path, status)
        size = status.st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > size - 8:
                raise CheckpointError(f"`{path}` is cut off in its header", hint=_RETRY)
            if length > _MAX_HEADER_BYTES:
                raise CheckpointError(
                    f"`{path}` claims a header of {length:,} bytes, more than any model has"
                )
            raw = file.read(length)
    except FileNotFoundError:
        raise CheckpointError(f"`{path}` does not exist") from None
    except OSError as error:
        raise CheckpointError(f"`{path}` cannot be read: {error.strerror or error}") from error
    try:
        header = parse_object(raw.decode("utf-8"), path, _MAX_HEADER_COST)
    except UnicodeDecodeError:
        raise CheckpointError(f"`{path}` has a header that is not UTF-8", hint=_RETRY) from None
    header.pop("__metadata__", None)
    start = 8 + length
    tensors = {name: _tensor(path, name, value, start) for name, value in header.items()}
    _check_layout(path, tensors, start, size)
    return dict(sorted(tensors.items()))


def _tensor(path: Path, name: str, value: Any, start: int) -> SourceTensor:
    where = f"tensor `{name[:_LONGEST_NAME]}` of `{path}`"
    if len(name) > _LONGEST_NAME:
        raise CheckpointError(f"{where} has a name of {len(name):,} letters, which no model has")
    if not isinstance(value, dict):
        raise CheckpointError(f"{where} has no description", hint=_RETRY)
    described = cast(dict[str, Any], value)
    dtype = described.get("dtype")
    shape = _counts(described.get("shape"))
    offsets = _counts(described.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or offsets is None or len(offsets) != 2:
        raise CheckpointError(f"{where} lacks a dtype, a shape or data_offsets that make sense", hint=_RETRY)
    if dtype not in DTYPE_BITS:
        raise CheckpointError(f"{where} has the unknown dtype `{dtype[:40]}`")
    begin, end = offsets
    elements = prod(shape)
    if elements == 0 or elements > _MAX_ELEMENTS:
        raise CheckpointError(f"{where} has the impossible shape {list(shape)}", hint=_RETRY)
    if (elements * DTYPE_BITS[dtype] + 7) // 8 != end - begin:
        raise CheckpointError(f"{where} has {end - begin:,} bytes, which is not {list(shape)} of {dtype}")
    return SourceTensor(name, dtype, shape, path, start + begin, end - begin)


def _counts(value: Any) -> tuple[int, ...] | None:
    """The list as a tuple if it holds a few whole numbers from 0 on that fit into 63 bits, else None."""
    if not isinstance(value, list):
        return None
    numbers = cast(list[Any], value)
    if len(numbers) <= _MAX_RANK and all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MAX_ELEMENTS
        for number in numbers
    ):
        return tuple(numbers)
    return None


def _check_layout(path: Path, tensors: dict[str, SourceTensor], start: int, size: int) -> None:
    expected = start
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.begin):
        if tensor.begin < expected:
            raise CheckpointError(f"tensor `{tensor.name}` of `{path}` overlaps another", hint=_RETRY)
        if tensor.begin > expected:
            raise CheckpointError(f"`{path}` has a hole before tensor `{tensor.name}`", hint=_RETRY)
        expected = tensor.begin + tensor.nbytes
        if expected > size:
            missing = f"{expected - size:,} bytes are missing in tensor `{tensor.name}`"
            raise CheckpointError(f"`{path}` is cut off: at least {missing}", hint=_RETRY)
    if expected != size:
        raise CheckpointError(f"`{path}` has {size - expected:,} bytes after its last tensor", hint=_RETRY)
