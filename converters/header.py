"""Reads and validates the header of a GGUF file, of any architecture, before any other reader sees the file.

Every count, length and offset is checked against the size of the file and against what llama.cpp accepts, so
that a hostile file costs neither time nor memory. Arrays are walked, not kept: a vocabulary of 150,000 tokens
takes some 40 ms. Standard library only, since listing commands use it. Knows nothing of what a model means:
whether its sizes make sense together is for llama.cpp to say.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Final

from converters.cursor import SCALARS, Cursor, Scalar
from converters.errors import HeaderError
from converters.ggml import (
    DEFAULT_ALIGNMENT,
    FILE_TYPES,
    MAGIC,
    MAX_DIMENSIONS,
    MAX_NAME_BYTES,
    TYPE_BY_ID,
    VERSION,
    ValueType,
    padded,
)

# Far above what any model has (a Qwen3 file has 30 keys, 151,936 tokens and at most 1,500 tensors), and low
# enough that the longest walk stays under a second.
_MAX_KEYS: Final = 20_000
_MAX_TENSORS: Final = 100_000
_MAX_STRINGS: Final = 4_000_000  # over all arrays
_MAX_KEY_BYTES: Final = 1024
_MAX_TEXT_BYTES: Final = 16 << 20  # of one value, and of all together
_MAX_ALIGNMENT: Final = 1 << 20
_MAX_ELEMENTS: Final = (1 << 63) - 1
_KEPT_NUMBERS: Final = 64

# Least bytes of one entry: a key of one byte, a type and a value; a name, its rank, a type and an offset.
_LEAST_KEY: Final = 8 + 1 + 4 + 1
_LEAST_TENSOR: Final = 8 + 1 + 4 + 8 + 4 + 8


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array of the metadata; `values` holds it when it was asked for or is a few numbers, else None."""

    type_name: str
    length: int
    values: tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor; `shape` as ggml counts, row length first; `offset` from the start of the file, in bytes."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    type_name: str
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself, without its weights."""

    path: Path
    version: int
    metadata: Mapping[str, Scalar]
    arrays: Mapping[str, ArrayInfo]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int
    file_size: int

    @property
    def architecture(self) -> str | None:
        """`general.architecture`; files that are no models, such as an imatrix, have none."""
        return self.text("general.architecture")

    @property
    def name(self) -> str | None:
        """`general.name`."""
        return self.text("general.name")

    @property
    def chat_template(self) -> str | None:
        """The default chat template, a Jinja source."""
        return self.text("tokenizer.chat_template")

    @property
    def quantization(self) -> str:
        """The file type by name (`Q8_0`); without one, the type of most bytes; `?` if nothing tells."""
        number = self.integer("general.file_type")
        if number is not None and number in FILE_TYPES:
            return FILE_TYPES[number]
        sizes = self.bytes_by_type
        return max(sizes, key=sizes.__getitem__) if sizes else "?"

    @property
    def parameters(self) -> int:
        """How many numbers all tensors of this file hold."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def bytes_by_type(self) -> dict[str, int]:
        """Bytes of the tensors, by type name."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            sizes[tensor.type_name] = sizes.get(tensor.type_name, 0) + tensor.nbytes
        return sizes

    def text(self, key: str) -> str | None:
        """The value of `key` if it is text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """The value of `key` if it is a whole number."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_header(path: Path, *, keep: Collection[str] = ()) -> Header:
    """Reads and checks the header of the GGUF file at `path`.

    `keep` names arrays whose values are wanted, such as `tokenizer.ggml.tokens`. Raises HeaderError, with one
    sentence that names the file, for whatever is wrong with it.
    """
    # Without O_NONBLOCK, opening a named pipe waits for a writer that never comes; Windows wants O_BINARY.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
        try:
            return _read_open_file(path, descriptor, frozenset(keep))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HeaderError(f"`{path}` cannot be read: {error.strerror or error}") from error


def _read_open_file(path: Path, descriptor: int, keep: frozenset[str]) -> Header:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise HeaderError(f"`{path}` is not a regular file")
    if status.st_size < len(MAGIC):
        what = "is empty" if status.st_size == 0 else f"has only {status.st_size} bytes"
        raise HeaderError(f"`{path}` {what}: it is no GGUF file", hint="download or convert it again")
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        return _parse(Cursor(path, data), keep)


def _parse(cursor: Cursor, keep: frozenset[str]) -> Header:
    version, tensor_count, key_count = _counts(cursor)
    metadata: dict[str, Scalar] = {}
    arrays: dict[str, ArrayInfo] = {}
    strings = text_bytes = 0
    for _ in range(key_count):
        key = cursor.name("a metadata key", _MAX_KEY_BYTES)
        if key in metadata or key in arrays:
            raise cursor.refused(f"the metadata key `{key}` occurs twice")
        begin = cursor.at
        kind = cursor.value_type(key)
        if kind is ValueType.ARRAY:
            arrays[key] = array = _array(cursor, key, kept=key in keep)
            strings += array.length if array.type_name == "string" else 0
        elif kind is ValueType.STRING:
            metadata[key] = cursor.text(f"`{key}`", _MAX_TEXT_BYTES)
            text_bytes += cursor.at - begin
        else:
            metadata[key] = cursor.scalar(SCALARS[kind], f"`{key}`")
        if strings > _MAX_STRINGS or text_bytes > _MAX_TEXT_BYTES:
            raise cursor.refused(f"its metadata holds more text than any model's (up to `{key}`)")
    if "general.architecture" in arrays or not isinstance(metadata.get("general.architecture", ""), str):
        raise cursor.refused("`general.architecture` is not text")
    if "general.alignment" in arrays:
        raise cursor.refused("`general.alignment` is not a number")
    alignment = _alignment(cursor, metadata.get("general.alignment", DEFAULT_ALIGNMENT))
    listed = [_tensor(cursor) for _ in range(tensor_count)]
    data_offset = padded(cursor.at, alignment)
    tensors = _placed(cursor, listed, data_offset, alignment)
    return Header(cursor.path, version, metadata, arrays, tensors, alignment, data_offset, cursor.size)


def _counts(cursor: Cursor) -> tuple[int, int, int]:
    """The version, the number of tensors and the number of metadata keys."""
    if cursor.data[:4] != MAGIC:
        hint = "give a .gguf file, or a checkpoint folder to `qwen3 convert`"
        raise HeaderError(f"`{cursor.path}` is no GGUF file: it does not begin with `GGUF`", hint=hint)
    cursor.at = len(MAGIC)
    version = cursor.u32("the version")
    if version and version & 0xFFFF == 0:
        raise cursor.refused("it is made for big-endian machines", "get a little-endian build of the model")
    if version == 1:
        raise cursor.refused("it is GGUF version 1, which llama.cpp no longer reads", "get a newer file")
    if version not in (2, VERSION):
        raise cursor.refused(f"its GGUF version is {version}, and only 2 and {VERSION} are known")
    tensors = cursor.u64("the number of tensors")
    keys = cursor.u64("the number of keys")
    if tensors > min(_MAX_TENSORS, cursor.size // _LEAST_TENSOR):
        raise cursor.refused(f"it claims {tensors:,} tensors in {cursor.size:,} bytes")
    if keys > min(_MAX_KEYS, cursor.size // _LEAST_KEY):
        raise cursor.refused(f"it claims {keys:,} metadata keys in {cursor.size:,} bytes")
    return version, tensors, keys


def _array(cursor: Cursor, key: str, *, kept: bool) -> ArrayInfo:
    kind = cursor.value_type(key)
    length = cursor.u64(f"the length of `{key}`")
    if kind is ValueType.ARRAY:
        raise cursor.refused(f"`{key}` is an array of arrays, which llama.cpp does not read")
    if kind is ValueType.STRING:
        if length > min(_MAX_STRINGS, cursor.left // 8):
            raise cursor.refused(f"`{key}` claims {length:,} texts, more than the file can hold")
        return ArrayInfo("string", length, cursor.texts(length, f"`{key}`", kept=kept))
    scalar = SCALARS[kind]
    if length > cursor.left // scalar.size:
        raise cursor.refused(f"`{key}` claims {length:,} values, more than the file can hold")
    values = cursor.numbers(scalar, length, kept=kept or length <= _KEPT_NUMBERS)
    return ArrayInfo(kind.name.lower(), length, values)


def _alignment(cursor: Cursor, alignment: Scalar) -> int:
    if not isinstance(alignment, int) or isinstance(alignment, bool):
        raise cursor.refused("`general.alignment` is not a number")
    if alignment <= 0 or alignment & (alignment - 1) or alignment > _MAX_ALIGNMENT:
        raise cursor.refused(f"`general.alignment` is {alignment}, no power of two up to {_MAX_ALIGNMENT:,}")
    return alignment


def _tensor(cursor: Cursor) -> TensorInfo:
    """The next tensor, its offset as written: from the start of the data."""
    name = cursor.name("a tensor name", MAX_NAME_BYTES)
    rank = cursor.u32(f"the rank of `{name}`")
    if not 1 <= rank <= MAX_DIMENSIONS:
        raise cursor.refused(f"tensor `{name}` has {rank} dimensions instead of 1 to {MAX_DIMENSIONS}")
    shape = tuple(cursor.u64(f"the shape of `{name}`") for _ in range(rank))
    type_id = cursor.u32(f"the type of `{name}`")
    offset = cursor.u64(f"the offset of `{name}`")
    elements = prod(shape)
    if not 1 <= elements <= _MAX_ELEMENTS:
        raise cursor.refused(f"tensor `{name}` has the impossible shape {list(shape)}")
    kind = TYPE_BY_ID.get(type_id)
    if kind is None:
        hint = "the file may need a newer version of this program"
        raise cursor.refused(f"tensor `{name}` has the unknown type {type_id}", hint)
    if shape[0] % kind.block:
        raise cursor.refused(
            f"tensor `{name}` has rows of {shape[0]}, no multiple of {kind.block} ({kind.name})"
        )
    return TensorInfo(name, shape, type_id, kind.name, offset, kind.row_bytes(elements))


def _placed(
    cursor: Cursor, listed: list[TensorInfo], data_offset: int, alignment: int
) -> tuple[TensorInfo, ...]:
    """The tensors with offsets from the start of the file; llama.cpp wants them gapless and in order."""
    names: set[str] = set()
    placed: list[TensorInfo] = []
    expected = 0
    for tensor in listed:
        if tensor.name in names:
            raise cursor.refused(f"tensor `{tensor.name}` occurs twice")
        names.add(tensor.name)
        if tensor.offset != expected:
            raise cursor.refused(f"tensor `{tensor.name}` is at {tensor.offset:,} instead of {expected:,}")
        missing = data_offset + tensor.offset + tensor.nbytes - cursor.size
        if missing > 0:
            raise cursor.truncated(f"tensor `{tensor.name}`", f"at least {missing:,} bytes are missing")
        expected += padded(tensor.nbytes, alignment)
        placed.append(replace(tensor, offset=data_offset + tensor.offset))
    return tuple(placed)
