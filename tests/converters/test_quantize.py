"""Single conversions against numpy and gguf's own Python implementation, number by number."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from llama_cpp._ggml import libggml

from converters.ggml import TYPE_BY_ID, TYPE_BY_NAME
from converters.quantize import Quantizer
from converters.rows import RowReader
from converters.safetensors import SafetensorsFile
from converters.sources import SourceRows
from tests.converters.checkpoints import Stored, encode, random_floats, write_safetensors

Converted = Callable[..., npt.NDArray[np.uint8]]

# Every BF16 there is: infinities, subnormals, quiet and signalling NaN.
EVERY_BF16 = np.arange(1 << 16, dtype="<u2")
EDGES = np.array(
    [
        0x7F800001,
        0xFF800001,
        0x7F80FFFF,
        0x7FFFFFFF,
        0x00000001,
        0x00008000,
        0x7F7FFFFF,
        0x3F808000,
        0x3F818000,
    ],
    dtype=np.uint32,
).view(np.float32)


@pytest.fixture
def converted(tmp_path: Path) -> Converted:
    """Numbers through a file of their type, and through reading and converting."""

    def through(numbers: npt.NDArray[Any], dtype: str, kind: str, columns: int = 32) -> npt.NDArray[np.uint8]:
        shape = (numbers.size // columns, columns) if numbers.size % columns == 0 else (1, numbers.size)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        write_safetensors(path, {"t": Stored(numbers.reshape(shape), dtype)})
        file = SafetensorsFile(path)
        floats = RowReader([file]).read(SourceRows(file.tensors["t"], 0, shape[0]), 0, shape[0])
        return np.array(Quantizer().convert(floats, shape[1], TYPE_BY_NAME[kind]))

    return through


def test_bf16_widens_by_a_shift(converted: Converted) -> None:
    wide = converted(EVERY_BF16, "BF16", "F32").view("<u4")
    assert np.array_equal(wide, EVERY_BF16.astype(np.uint32) << 16)


def test_bf16_rounds_as_gguf_does(converted: Converted) -> None:
    numbers = np.concatenate([EDGES, random_floats((999, 3), 5).ravel()])
    theirs = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.BF16)
    assert np.array_equal(converted(numbers, "F32", "BF16"), theirs.view(np.uint8).ravel())


def test_bf16_to_bf16_makes_nan_quiet_as_gguf_does(converted: Converted) -> None:
    wide = (EVERY_BF16.astype(np.uint32) << 16).view(np.float32)
    theirs = gguf.quants.quantize(wide, gguf.GGMLQuantizationType.BF16)
    assert np.array_equal(converted(EVERY_BF16, "BF16", "BF16"), theirs.view(np.uint8).ravel())


@pytest.mark.filterwarnings("ignore:invalid value")
def test_f16_widens_and_narrows_as_numpy_does(converted: Converted) -> None:
    every = np.arange(1 << 16, dtype="<u2").view("<f2")
    finite = every[np.isfinite(every)]
    assert np.array_equal(converted(finite, "F16", "F32").view("<f4"), finite.astype("<f4"))
    numbers = random_floats((300, 7), 6).ravel()
    assert np.array_equal(converted(numbers, "F32", "F16").view("<f2"), numbers.astype("<f2"))


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_q8_0_equals_gguf_s_python(dtype: str, converted: Converted) -> None:
    numbers = random_floats((96, 64), 7)
    stored = encode(numbers, dtype)
    wide = stored.astype("<f4") if dtype != "BF16" else (stored.astype(np.uint32) << 16).view(np.float32)
    theirs = gguf.quants.quantize(wide.reshape(96, 64), gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(converted(stored, dtype, "Q8_0", 64), theirs.ravel())


def test_the_types_are_those_of_ggml() -> None:
    ggml: Any = libggml
    ggml.ggml_type_name.restype = ctypes.c_char_p
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_blck_size.restype = ctypes.c_int64
    for number in range(43):
        block, name = ggml.ggml_blck_size(number), ggml.ggml_type_name(number)
        ours = TYPE_BY_ID.get(number)
        if ours is None:
            assert block == 0, f"{name} is missing"
        else:
            theirs = (name.decode().upper(), block, ggml.ggml_type_size(number))
            assert (ours.name, ours.block, ours.block_bytes) == theirs
