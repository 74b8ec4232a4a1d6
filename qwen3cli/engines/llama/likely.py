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


def likely(
    logits: NDArray[np.float32], wanted: int, said: Ids | None = None, penalty: float = 0.0
) -> Ids | None:
    """The `wanted` likeliest tokens and a few others, in order, if `penalty` is taken from the logits of those `said`.

    None if most of the vocabulary would be in. The logits are the same afterwards.
    """
    if said is None or not penalty or not len(said):
        return _highest(logits, wanted)
    before = logits[said]
    logits[said] = before - np.float32(penalty)
    found = _highest(logits, wanted)
    logits[said] = before
    return found


def _highest(logits: NDArray[np.float32], wanted: int) -> Ids | None:
    groups = len(logits) // _GROUP
    if groups < wanted:
        return None
    # The highest of so many groups are so many tokens: the last one of them is no higher than the one in question.
    highest = logits[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    highest.partition(groups - wanted)
    enough = float(highest[groups - wanted])
    return np.flatnonzero(logits >= enough).astype(np.int32) if math.isfinite(enough) else None


class Said:
    """The different tokens that were said, as an array that grows; of a vocabulary of `size`."""

    def __init__(self, size: int) -> None:
        self._known: set[int] = set()
        self._ids = np.empty(size, np.int32)

    def add(self, token: int) -> None:
        """It was said, perhaps again."""
        if token not in self._known:
            self._ids[len(self._known)] = token
            self._known.add(token)

    @property
    def ids(self) -> Ids:
        """All of them, in the order in which they came first."""
        return self._ids[: len(self._known)]


def view(pointer: Any, size: int) -> NDArray[np.float32]:
    """llama.cpp's logits, without a copy: they are others after the next evaluation."""
    address = ctypes.addressof(pointer.contents)
    return np.frombuffer(memoryview((ctypes.c_float * size).from_address(address)), np.float32)
