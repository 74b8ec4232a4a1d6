"""Rows of a checkpoint → rows of a GGUF tensor, through ggml's own functions.

The library is the one that llama-cpp-python built, so the bytes are those of llama.cpp on this machine.
ctypes releases the GIL: rows are converted in parallel. Every thread keeps its buffers; fresh ones cost 30 %.
Knows nothing of files and of which tensor gets which type.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.ggml import TensorType

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ITEM_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""The types of a checkpoint that can be converted, and the bytes of one number."""
_NAMES: Final = {"win32": ("ggml-base.dll", "libggml-base.dll"), "darwin": ("libggml-base.dylib",)}


class _Buffers(threading.local):
    """One thread's scratch memory, grown to the largest piece it has seen."""

    floats: Floats = np.empty(0, np.float32)
    output: Bytes = np.empty(0, np.uint8)


class Quantizer:
    """Converts pieces of rows; one object serves all threads."""

    def __init__(self) -> None:
        self._ggml = _library()
        self._buffers = _Buffers()
        self.overflowed = threading.Event()
        """Set when a weight was too large for F16 and became infinite."""

    def convert(self, raw: Bytes, dtype: str, columns: int, kind: TensorType) -> Bytes:
        """The rows in `raw`, each of `columns` numbers of `dtype`, as rows of `kind`.

        The result is valid until the same thread's next call.
        """
        if dtype == kind.name and dtype != "BF16":
            return raw
        count = raw.size // ITEM_BYTES[dtype]
        size = kind.row_bytes(count)
        if self._buffers.output.size < size:
            self._buffers.output = np.empty(size, np.uint8)
        output = self._buffers.output[:size]
        if dtype == "F16" and kind.name == "F32":
            output.view("<f4")[:] = raw.view("<f2")
            return output
        self._from_floats(self._floats(raw, dtype, count), columns, kind, output)
        return output

    def _floats(self, raw: Bytes, dtype: str, count: int) -> Floats:
        """The numbers as 32-bit floats, aligned as C wants them."""
        if self._buffers.floats.size < count:
            self._buffers.floats = np.empty(count, np.float32)
        floats = self._buffers.floats[:count]
        if dtype == "BF16":
            # A shift, so NaN and subnormals survive; safetensors may place a tensor at an odd address.
            aligned = raw if raw.ctypes.data % 2 == 0 else np.array(raw, np.uint8)
            self._ggml.ggml_bf16_to_fp32_row(aligned.ctypes.data, floats.ctypes.data, count)
        else:
            floats[:] = raw.view("<f2" if dtype == "F16" else "<f4")
        return floats

    def _from_floats(self, floats: Floats, columns: int, kind: TensorType, output: Bytes) -> None:
        if kind.name == "F32":
            output.view("<f4")[:] = floats
        elif kind.name == "F16":
            self._to_halves(floats, output)
        elif kind.name == "BF16":
            self._ggml.ggml_fp32_to_bf16_row_ref(floats.ctypes.data, output.ctypes.data, floats.size)
        else:
            rows = floats.size // columns
            self._ggml.ggml_quantize_chunk(
                kind.id, floats.ctypes.data, output.ctypes.data, 0, rows, columns, None
            )

    def _to_halves(self, floats: Floats, output: Bytes) -> None:
        halves = output.view("<f2")
        try:
            with np.errstate(over="raise"):
                halves[:] = floats
        except FloatingPointError:
            self.overflowed.set()
            with np.errstate(over="ignore"):
                halves[:] = floats


@functools.cache
def _library() -> ctypes.CDLL:
    """ggml's base library, from the folder that llama_cpp loads it from, without importing llama_cpp."""
    folder = _library_folder()
    names = _NAMES.get(sys.platform, ("libggml-base.so",))
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        message = f"llama-cpp-python has no `{names[0]}` in `{folder}`"
        raise ConversionError(message, hint="install llama-cpp-python 0.3.36 or newer")
    try:
        library = ctypes.CDLL(str(path))
        _declare(library)
    except (OSError, AttributeError) as error:
        raise ConversionError(
            f"`{path}` cannot be used: {error}", hint="reinstall llama-cpp-python"
        ) from error
    return library


def _library_folder() -> Path:
    override = os.environ.get("LLAMA_CPP_LIB_PATH")  # llama_cpp obeys it too
    if override:
        return Path(override)
    found = importlib.util.find_spec("llama_cpp")
    if found is None or not found.submodule_search_locations:
        raise ConversionError("llama-cpp-python is not installed", hint="`pip install llama-cpp-python`")
    return Path(found.submodule_search_locations[0]) / "lib"


def _declare(library: ctypes.CDLL) -> None:
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    for name in ("ggml_bf16_to_fp32_row", "ggml_fp32_to_bf16_row_ref"):
        row = getattr(library, name)
        row.argtypes = [pointer, pointer, count]
        row.restype = None
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, count, count, count, pointer]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
