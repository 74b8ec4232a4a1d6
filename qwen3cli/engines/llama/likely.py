"""The logits that a chain of samplers can draw from: of a large vocabulary, a handful.

A chain that keeps the `wanted` likeliest tokens first looks at all of them, sorts, and looks each one up among those
said before. That takes several times as long as finding out here that most of them have no chance.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen3cli.engines.llama.constraint import Ids

_MARGIN = 8.0
"""Logits below the highest one among which the likeliest are looked for at first."""
_MANY = 1_000
_NARROWER = 0.9
_ROUNDING = 1e-3
"""More than what a 32-bit logit loses when a penalty is taken from it."""


class Likely:
    """Finds a superset of the `wanted` likeliest tokens, whatever a penalty of at most `penalty` takes from any."""

    def __init__(self, wanted: int, penalty: float) -> None:
        self._wanted = wanted
        self._penalty = penalty + _ROUNDING if penalty else 0.0
        self._margin = _MARGIN

    def ids(self, logits: NDArray[np.float32]) -> Ids | None:
        """Their ids, in order; None if that is not to be told, so that all have to be looked at."""
        top = float(logits.max())
        # With a margin this wide, all are in.
        while math.isfinite(top) and self._margin < 1e9:
            found = np.flatnonzero(logits >= top - self._margin)
            # Those below the margin end below it. These end at or above it, whatever is taken from them.
            if np.count_nonzero(logits[found] >= top - self._margin + self._penalty) >= self._wanted:
                if len(found) > _MANY:
                    self._margin *= _NARROWER
                return found.astype(np.int32)
            self._margin *= 2
        self._margin = _MARGIN
        return None


def view(pointer: Any, size: int) -> NDArray[np.float32]:
    """llama.cpp's logits, without a copy: they are others after the next evaluation."""
    address = ctypes.addressof(pointer.contents)
    return np.frombuffer(memoryview((ctypes.c_float * size).from_address(address)), np.float32)
