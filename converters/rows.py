"""Rows of a checkpoint as 32-bit floats, whatever they are stored as: FP8 with block scales, adapters added.

Knows memory-mapped files and number formats; not which tensor the rows belong to, nor what becomes of them.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from converters.errors import CheckpointError
from converters.library import ggml
from converters.sources import BlockScale, Delta, SourceRows

if TYPE_CHECKING:
    from converters.safetensors import SafetensorsFile, SourceTensor

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

ITEM_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}
"""The types of a checkpoint that can be converted, and the bytes of one number."""


class RowReader:
    """Reads rows; one object serves all threads, each of which keeps its own buffer."""

    def __init__(self, files: Iterable[SafetensorsFile]) -> None:
        self._ggml = ggml()
        self._mapped = {file.path: _Mapped(file.path) for file in files}
        self._buffers = _Buffers()

    def read(self, rows: SourceRows, first: int, count: int) -> Floats:
        """`count` rows from the `first` of `rows` on, flat; valid until the same thread's next call."""
        begin, size = (rows.first + first) * rows.columns, count * rows.columns
        floats = self._buffers.take(size)
        # What is infinite or no number is found and told later, for whatever reason it is.
        with np.errstate(all="ignore"):
            self._widen(rows.tensor, begin, floats)
            table = floats.reshape(count, rows.columns)
            if rows.scale is not None:
                self._scale(table, rows.first + first, rows.scale)
            for delta in rows.deltas:
                table += self._change(delta, rows.first + first, count)
        return floats

    def _widen(self, tensor: SourceTensor, begin: int, floats: Floats) -> None:
        item = ITEM_BYTES[tensor.dtype]
        start = tensor.begin + begin * item
        raw = self._mapped[tensor.path].read(start, floats.size * item)
        if tensor.dtype == "BF16":
            # A shift, so NaN and subnormals survive; safetensors may place a tensor at an odd address.
            aligned = raw if raw.ctypes.data % 2 == 0 else np.array(raw, np.uint8)
            self._ggml.ggml_bf16_to_fp32_row(aligned.ctypes.data, floats.ctypes.data, floats.size)
        elif tensor.dtype == "F8_E4M3":
            np.take(_fp8_table(), raw, out=floats, mode="clip")  # Unlike the default mode without a copy.
        else:
            floats[:] = raw.view("<f2" if tensor.dtype == "F16" else "<f4")

    def _whole(self, tensor: SourceTensor) -> Floats:
        """A small tensor in memory of its own."""
        numbers = np.empty(tensor.elements, np.float32)
        self._widen(tensor, 0, numbers)
        return numbers.reshape(tensor.shape)

    def _scale(self, table: Floats, first: int, scale: BlockScale) -> None:
        """Multiplies, then rounds to BF16: what the weights were before they became FP8."""
        across, columns = scale.tensor.shape[-1], table.shape[1]
        at = 0
        while at < len(table):
            block = (first + at) // scale.rows
            end = min(len(table), (block + 1) * scale.rows - first)
            factors = np.empty(across, np.float32)
            self._widen(scale.tensor, block * across, factors)
            # A block may be far larger than the matrix.
            table[at:end] *= np.repeat(factors, min(scale.columns, columns))[:columns]
            at = end
        halves = self._buffers.halves(table.size)
        self._ggml.ggml_fp32_to_bf16_row_ref(table.ctypes.data, halves.ctypes.data, table.size)
        self._ggml.ggml_bf16_to_fp32_row(halves.ctypes.data, table.ctypes.data, table.size)

    def _change(self, delta: Delta, first: int, count: int) -> Floats:
        left = self._left(delta, first, count)
        right: Floats = np.transpose(self._whole(delta.b)) if delta.transposed else self._whole(delta.a)
        product: Floats = np.matmul(left, right, dtype=np.float32)
        product *= np.float32(delta.factor)
        return product

    def _left(self, delta: Delta, first: int, count: int) -> Floats:
        """[count, r]: rows of B, or of A's transpose, of which only those columns are read."""
        if not delta.transposed:
            rank = delta.b.shape[1]
            left = np.empty(count * rank, np.float32)
            self._widen(delta.b, first * rank, left)
            return left.reshape(count, rank)
        rank, tokens = delta.a.shape
        left = np.empty((rank, count), np.float32)
        for row in range(rank):
            self._widen(delta.a, row * tokens + first, left[row])
        return np.transpose(left)


class _Mapped:
    """A memory-mapped file. A page of it that somebody has cut off would end the process, so its size is looked at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
            self._bytes: Bytes = np.memmap(self._file, np.uint8, "r")
        except (OSError, ValueError) as error:  # An empty file cannot be mapped.
            raise CheckpointError(f"`{path}` cannot be read: {error}") from error
        weakref.finalize(self, self._file.close)

    def read(self, begin: int, size: int) -> Bytes:
        """`size` bytes from `begin` on; CheckpointError if the file has become shorter."""
        if os.fstat(self._file.fileno()).st_size < self._bytes.size:
            raise CheckpointError(f"`{self._path}` was cut off while it was read")
        return self._bytes[begin : begin + size]


class _Buffers(threading.local):
    """One thread's scratch memory, grown to the largest piece it has seen; fresh ones cost 30 %."""

    _floats: Floats = np.empty(0, np.float32)
    _halves: npt.NDArray[np.uint16] = np.empty(0, np.uint16)

    def take(self, size: int) -> Floats:
        if self._floats.size < size:
            self._floats = np.empty(size, np.float32)
        return self._floats[:size]

    def halves(self, size: int) -> npt.NDArray[np.uint16]:
        if self._halves.size < size:
            self._halves = np.empty(size, np.uint16)
        return self._halves[:size]


@functools.cache
def _fp8_table() -> Floats:
    """The number of each byte of E4M3: 1 sign bit, 4 of exponent (bias 7), 3 of mantissa; no infinity."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    numbers = np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal)
    numbers[(codes & 0x7F) == 0x7F] = np.nan
    return np.where(codes & 0x80, -numbers, numbers).astype(np.float32)
