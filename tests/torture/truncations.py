"""Files cut off at every byte: none is taken for whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from converters import ConversionError
from converters.documents import read_object
from converters.header import read_header
from converters.imatrix import Imatrix
from converters.safetensors import SafetensorsFile
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.imatrices import write_dat, write_gguf

_MODEL = Model(layers=1, hidden=32, feed_forward=32, heads=2, kv_heads=1, head=16)
_KILOBYTE = 1024


def every_cut(folder: Path) -> Iterator[tuple[str, int, list[int]]]:
    """Of each file: its kind, how many cuts were refused, and the sizes that were not."""
    checkpoint = make_checkpoint(folder / "model", _MODEL)
    weights = checkpoint / "model.safetensors"
    header = 8 + int.from_bytes(weights.read_bytes()[:8], "little") + _KILOBYTE
    dat = write_dat(folder / "imatrix.dat", _MODEL)
    gguf = write_gguf(folder / "imatrix.gguf", _MODEL)
    begin = read_header(gguf).data_offset + _KILOBYTE
    yield "importance matrix, .dat", *_cut(dat, Imatrix, _KILOBYTE)
    yield "importance matrix, GGUF", *_cut(gguf, Imatrix, begin)
    yield "safetensors", *_cut(weights, SafetensorsFile, header)
    for name in ("config.json", "tokenizer.json"):
        path = checkpoint / name
        yield name, *_cut(path, read_object, path.stat().st_size)


def _cut(path: Path, read: Callable[[Path], object], end: int) -> tuple[int, list[int]]:
    whole = path.read_bytes()
    refused, taken = 0, list[int]()
    for size in reversed(range(min(end, len(whole)))):
        os.truncate(path, size)
        try:
            read(path)
            taken.append(size)
        except ConversionError:
            refused += 1
    path.write_bytes(whole)
    read(path)
    return refused, taken
