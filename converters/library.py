"""ggml's base library, the one that llama-cpp-python built: its bytes are those of llama.cpp on this machine.

Loaded from the folder that llama_cpp loads it from, without importing llama_cpp. ctypes releases the GIL, so
its functions run in parallel.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path
from typing import Final

from converters.errors import ConversionError

_NAMES: Final = {"win32": ("ggml-base.dll", "libggml-base.dll"), "darwin": ("libggml-base.dylib",)}


class TypeTraits(ctypes.Structure):
    """ggml.h's `ggml_type_traits`."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float_ref", ctypes.c_void_p),
    )


@functools.cache
def ggml() -> ctypes.CDLL:
    """The library with its functions declared; ConversionError if it is not there or not usable."""
    folder = _folder()
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


def _folder() -> Path:
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
    library.ggml_get_type_traits.argtypes = [ctypes.c_int]
    library.ggml_get_type_traits.restype = ctypes.POINTER(TypeTraits)
