"""An importance matrix: how much each input column of a tensor matters, measured over some text.

Reads llama-imatrix's GGUF files and the older .dat form, checks them, and hands out one expert's row at a time,
from memory-mapped bytes: for the largest model a whole one would take half a gigabyte.
Source: common/imatrix-loader.cpp and tools/quantize/quantize.cpp (`load_imatrix`) of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from converters.entries import Entries
from converters.errors import HeaderError, ImatrixError
from converters.ggml import MAGIC
from converters.header import TensorInfo, read_header

Floats = npt.NDArray[np.float32]

_SUMS, _COUNTS = ".in_sum2", ".counts"
_DATASETS: Final = "imatrix.datasets"
_LONGEST_NAME: Final = 1 << 10
_MOST_ENTRIES: Final = 1 << 14
_MOST_COUNTS: Final = 1 << 12
_MOST_CHUNKS: Final = (1 << 31) - 1
_LARGEST: Final = 1e15
"""Mean squares of activations are far below. With negative ones or far larger ones ggml's sums overflow, its search
for a point of the grid fails, and it ends the process."""
_CHECKED_AT_ONCE: Final = 1 << 20
_LONGEST_TEXT: Final = 127
"""Bytes that llama.cpp keeps of a text in metadata it adds."""
_RETRY: Final = "make it again with llama-imatrix, or download it again"


@dataclass(frozen=True, slots=True)
class _Entry:
    """`size` sums from byte `begin` on; each of the equally long parts is divided by its count."""

    begin: int
    size: int
    counts: tuple[int, ...]


class Imatrix:
    """An importance matrix; `path` is as given, `chunks` how many pieces of text it was measured on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.datasets: tuple[str, ...] = ()
        self.chunks = 0
        try:
            if not path.is_file():
                raise ImatrixError(f"there is no importance matrix `{path}`", hint="check the path")
            self._bytes: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:  # An empty file cannot be mapped.
            raise ImatrixError(f"`{path}` cannot be read: {error}") from error
        is_gguf = self._bytes[: len(MAGIC)].tobytes() == MAGIC
        self._entries: Mapping[str, _Entry] = self._read_gguf() if is_gguf else self._read_dat()
        for name, entry in self._entries.items():
            self._check(name, entry)

    def __contains__(self, tensor: str) -> bool:
        return tensor in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def size(self, tensor: str) -> int:
        """How many columns it knows, over all experts."""
        return self._entries[tensor].size

    def parts(self, tensor: str) -> int:
        """How many counts it has: one in all, or one for each expert."""
        return len(self._entries[tensor].counts)

    def weights(self, tensor: str, part: int, columns: int) -> Floats:
        """The importance of each of the `columns` of expert `part`; 0 for a dense tensor."""
        entry = self._entries[tensor]
        sums = self._floats(entry.begin + 4 * part * columns, columns)
        width = entry.size // len(entry.counts)
        count = entry.counts[part * columns // width]
        # An expert that was never asked: every column matters alike. Zero in a .dat means sums as they are.
        if count > 0:
            return np.divide(sums, np.float32(count), dtype=np.float32)
        return sums if self._is_dat else np.ones(columns, np.float32)

    def entries(self) -> Entries:
        """The metadata that llama-quantize adds."""
        entries = Entries()
        entries.text("quantize.imatrix.file", _cut(str(self.path)))
        if self.datasets:
            entries.text("quantize.imatrix.dataset", _cut(self.datasets[0]))
        entries.u32("quantize.imatrix.entries_count", len(self))
        if self.chunks > 0:
            entries.u32("quantize.imatrix.chunks_count", self.chunks)
        return entries

    def _floats(self, begin: int, count: int) -> Floats:
        # A copy: a .dat file aligns nothing.
        return np.frombuffer(self._bytes[begin : begin + 4 * count].tobytes(), "<f4")

    def _read_gguf(self) -> dict[str, _Entry]:
        self._is_dat = False
        try:
            header = read_header(self.path, keep=(_DATASETS,))
        except HeaderError as error:
            raise ImatrixError(str(error), hint=_RETRY) from error
        datasets = header.arrays.get(_DATASETS)
        chunks = header.integer("imatrix.chunk_count")
        if datasets is None or chunks is None or header.integer("imatrix.chunk_size") is None:
            hint = "give the file that llama-imatrix wrote"
            raise ImatrixError(f"`{self.path}` is a GGUF file, but no importance matrix", hint=hint)
        if chunks > _MOST_CHUNKS:
            raise ImatrixError(f"`{self.path}` claims to be made of {chunks:,} chunks", hint=_RETRY)
        self.datasets = tuple(str(value) for value in datasets.values or ())
        self.chunks = chunks
        tensors = {tensor.name: tensor for tensor in header.tensors}
        named = [name.removesuffix(_SUMS) for name in tensors if name.endswith(_SUMS)]
        entries = {name: self._entry(tensors[name + _SUMS], tensors.get(name + _COUNTS)) for name in named}
        if not 1 <= len(entries) <= _MOST_ENTRIES:
            raise ImatrixError(f"`{self.path}` holds sums of {len(entries):,} tensors", hint=_RETRY)
        return entries

    def _entry(self, sums: TensorInfo, counts: TensorInfo | None) -> _Entry:
        what = f"`{sums.name}` of `{self.path}`"
        if counts is None or {sums.type_name, counts.type_name} != {"F32"}:
            raise ImatrixError(f"{what} has no counts, or no 32-bit floats", hint=_RETRY)
        if counts.elements > _MOST_COUNTS or sums.elements % counts.elements:
            raise ImatrixError(f"{what} does not divide into its {counts.elements} counts", hint=_RETRY)
        numbers = self._floats(counts.offset, counts.elements)
        if not np.isfinite(numbers).all() or (np.abs(numbers) > 1e15).any():
            raise ImatrixError(f"{what} has counts that are no numbers", hint=_RETRY)
        rounded = np.floor(np.abs(numbers) + np.float32(0.5)) * np.sign(numbers)
        return _Entry(sums.offset, sums.elements, tuple(int(number) for number in rounded))

    def _read_dat(self) -> dict[str, _Entry]:
        """The form without a magic number: counts, names and sums one after the other."""
        self._is_dat = True
        at = 0
        entries: dict[str, _Entry] = {}

        def take(size: int) -> bytes:
            nonlocal at
            if not 0 <= size <= self._bytes.size - at:
                raise ImatrixError(f"`{self.path}` is no importance matrix, or is cut off", hint=_RETRY)
            at += size
            return self._bytes[at - size : at].tobytes()

        def number() -> int:
            return int.from_bytes(take(4), "little", signed=True)

        def text() -> str:
            size = number()
            return take(size if size <= _LONGEST_NAME else -1).split(b"\0")[0].decode("utf-8", "replace")

        count = number()
        if not 1 <= count <= _MOST_ENTRIES:
            raise ImatrixError(f"`{self.path}` is no importance matrix", hint=_RETRY)
        for _ in range(count):
            name, calls, size = text(), number(), number()
            begin = at
            take(4 * size if size > 0 else -1)
            entries[name] = _Entry(begin, size, (calls,))
        # What follows is optional: how much text, and which.
        if at < self._bytes.size:
            self.chunks = number()
            if self._bytes.size - at > 4:
                self.datasets = (text(),)
        return entries

    def _check(self, name: str, entry: _Entry) -> None:
        """ImatrixError for numbers that no squares of activations sum up to."""
        largest = _LARGEST * min((count for count in entry.counts if count > 0), default=1)
        for first in range(0, entry.size, _CHECKED_AT_ONCE):
            numbers = self._floats(entry.begin + 4 * first, min(_CHECKED_AT_ONCE, entry.size - first))
            if not np.isfinite(numbers).all():
                raise ImatrixError(f"`{self.path}` holds NaN or infinity for `{name[:80]}`", hint=_RETRY)
            if numbers.min() < 0 or numbers.max() > largest:
                message = f"`{self.path}` holds numbers for `{name[:80]}` that are no sums of squares"
                raise ImatrixError(message, hint=_RETRY)


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:_LONGEST_TEXT].decode("utf-8", "ignore")
