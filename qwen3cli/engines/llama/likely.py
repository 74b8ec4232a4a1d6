"""The tokens that a chain of samplers can draw from: of a large vocabulary, a handful.

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

_GROUP = 64
_ROUNDING = 1e-3
"""More than what a 32-bit logit loses when a penalty is taken from it."""


def likely(logits: NDArray[np.float32], wanted: int, penalty: float) -> Ids | None:
    """A superset of the `wanted` likeliest tokens, whatever a penalty of at most `penalty` takes from any; in order.

    None if most of the vocabulary would be in.
    """
    groups = len(logits) // _GROUP
    if groups < wanted:
        return None
    # The highest of so many groups are so many tokens: the last one of them is no higher than the one in question.
    highest = logits[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    highest.partition(groups - wanted)
    enough = float(highest[groups - wanted])
    # Whatever is below this ends below those, even if the penalty strikes just them.
    enough -= penalty + _ROUNDING if penalty else 0.0
    return np.flatnonzero(logits >= enough).astype(np.int32) if math.isfinite(enough) else None


def view(pointer: Any, size: int) -> NDArray[np.float32]:
    """llama.cpp's logits, without a copy: they are others after the next evaluation."""
    address = ctypes.addressof(pointer.contents)
    return np.frombuffer(memoryview((ctypes.c_float * size).from_address(address)), np.float32)
