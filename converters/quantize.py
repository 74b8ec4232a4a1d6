"""32-bit floats → rows of a GGUF tensor, through ggml's own functions; numbers that a type cannot hold are found.

Every thread keeps its buffer; fresh ones cost 30 %. Knows nothing of files and of which tensor gets which type.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from converters.ggml import TensorType
from converters.library import ggml

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_SAFE: Final = 2.0**15
"""Up to here every block's scale, a 16-bit float, holds the numbers."""
_HOPELESS: Final = 2.0**23
"""Above what 127 times the largest 16-bit float makes; sums of squares of more could overflow on the way."""
_FLOAT_LIMITS: Final = {"F16": 65520.0, "BF16": (2 - 2.0**-8) * 2.0**127}
"""From here on the type rounds to infinity."""
_GRIDS: Final = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
"""Types that look numbers up in a grid: ggml ends the process when a NaN is not found there."""


class Fault(Enum):
    """What is wrong with numbers: they are none, or too large for the type."""

    NONFINITE = "NaN or infinity"
    TOO_LARGE = "too large"


def find_fault(floats: Floats, kind: TensorType) -> Fault | None:
    """Why the numbers cannot be written as `kind`, as far as can be seen before; None if they can."""
    largest = max(float(floats.max()), -float(floats.min()))  # NaN wins in both.
    if not largest < np.inf:
        return Fault.NONFINITE
    limit = _HOPELESS if kind.block > 1 else _FLOAT_LIMITS.get(kind.name, np.inf)
    return Fault.TOO_LARGE if largest >= limit else None


def survives_nonfinite(kind: TensorType) -> bool:
    """Whether ggml quantizes NaN to garbage of that type instead of ending the process."""
    return kind.name not in _GRIDS


class Quantizer:
    """Converts pieces of rows; one object serves all threads."""

    def __init__(self) -> None:
        self._ggml = ggml()
        self._buffers = _Buffers()

    def convert(
        self, floats: Floats, columns: int, kind: TensorType, importance: Floats | None = None
    ) -> Bytes:
        """The rows in `floats`, each of `columns` numbers, as rows of `kind`; `importance` is for each column.

        The result is valid until the same thread's next call.
        """
        output = self._buffers.take(kind.row_bytes(floats.size))
        if kind.name == "F32":
            output.view("<f4")[:] = floats
        elif kind.name == "F16":
            with np.errstate(all="ignore"):
                output.view("<f2")[:] = floats
        elif kind.name == "BF16":
            self._ggml.ggml_fp32_to_bf16_row_ref(floats.ctypes.data, output.ctypes.data, floats.size)
        else:
            rows = floats.size // columns
            weights = None if importance is None else importance.ctypes.data
            self._ggml.ggml_quantize_chunk(
                kind.id, floats.ctypes.data, output.ctypes.data, 0, rows, columns, weights
            )
        return output

    def overflows(self, floats: Floats, converted: Bytes, kind: TensorType) -> bool:
        """Whether a scale in the converted rows became infinite; the numbers themselves are finite."""
        if kind.block == 1 or max(float(floats.max()), -float(floats.min())) < _SAFE:
            return False
        back = np.empty(floats.size, np.float32)
        traits = self._ggml.ggml_get_type_traits(kind.id).contents
        traits.to_float(converted.ctypes.data, back.ctypes.data, back.size)
        return not bool(np.isfinite(back).all())


class _Buffers(threading.local):
    """One thread's scratch memory, grown to the largest piece it has seen."""

    _output: Bytes = np.empty(0, np.uint8)

    def take(self, size: int) -> Bytes:
        if self._output.size < size:
            self._output = np.empty(size, np.uint8)
        return self._output[:size]
