"""Every recipe with numbers that weights never are: none, far too large, far too small, all alike.

ggml ends the process where an assertion fails, so each conversion runs in a child that may die. What has to come
out is a file whose numbers are all finite, or a sentence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import RECIPES, ConversionError, Wishes, convert
from converters.ggml import TYPE_BY_NAME
from converters.header import TensorInfo, read_header
from converters.library import ggml
from tests.converters.cases import NEEDY
from tests.converters.checkpoints import (
    Model,
    Stored,
    encode,
    make_checkpoint,
    random_floats,
    tensor_shapes,
    write_safetensors,
)
from tests.converters.imatrices import importance

Floats = npt.NDArray[np.float32]

# Rows of 256 everywhere, so that every type of a recipe is really used.
MODEL = Model(layers=1, hidden=256, feed_forward=256, heads=2, kv_heads=1, head=128)
NONFINITE = (float("nan"), float("inf"), float("-inf"))
LARGE = (32767.0, 65519.0, 65520.0, 1e5, -1e6, 8388607.0, 1e9, -3e38, 3.4e38)
TINY = (1e-45, 1e-40, 1e-38, 1e-35, 1e-30)
MATRICES = ("usual", "zero", "one", "wide")


@dataclass(frozen=True)
class Odd:
    """A conversion: `value` is put at some `place` of every matrix, whose numbers are stored as `dtype`."""

    recipe: str
    value: float
    place: str
    dtype: str
    imatrix: str | None = None
    allowed: bool = False


def odd_ones() -> Iterator[Odd]:
    """All of them."""
    for recipe in RECIPES:
        usual = "usual" if recipe in NEEDY else None
        for value in NONFINITE:
            for place, dtype in (("one", "BF16"), ("row", "F16"), ("all", "F32"), ("norm", "BF16")):
                yield Odd(recipe, value, place, dtype, usual, allowed=True)
        for value in LARGE:
            for place, dtype in (("one", "F32"), ("row", "BF16"), ("all", "F32"), ("signs", "BF16")):
                # BF16 rounds the largest up to infinity.
                yield Odd(recipe, value, place, "F32" if abs(value) > 3.3e38 else dtype, usual)
            yield Odd(recipe, value, "row", "F32", "wide")
            yield Odd(recipe, value, "row", "F32", usual, allowed=True)
        for imatrix in (*(() if usual else (None,)), *MATRICES):
            for value in TINY:
                yield Odd(recipe, value, "scaled", "F32", imatrix)
            for value in (0.0, 0.02, -1.0):
                yield Odd(recipe, value, "all", "BF16", imatrix)
                yield Odd(recipe, value, "row", "BF16", imatrix)


def attempt(argument: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Runs in a child: the sentence, or whether all numbers of the file are finite, and the notices."""
    odd = Odd(**argument)
    checkpoint = folder / "model"
    if not checkpoint.exists():
        make_checkpoint(checkpoint, MODEL)
    write_safetensors(checkpoint / "model.safetensors", _tensors(odd))
    output = folder / "out.gguf"
    imatrix = _write_imatrix(folder / "imatrix.dat", odd.imatrix) if odd.imatrix else None
    wishes = Wishes(imatrix=imatrix, allow_nonfinite=odd.allowed)
    try:
        done = convert(checkpoint, output, odd.recipe, wishes, threads=1)
    except ConversionError as error:
        assert not output.exists()
        return {"sentence": str(error)}
    finite = all(bool(np.isfinite(numbers).all()) for _, numbers in dequantized(output))
    output.unlink()
    return {"finite": finite, "notices": list(done.notices)}


def judged(odd: Odd, result: dict[str, Any]) -> str | None:
    """What is wrong with a result; None if nothing is."""
    sentence, notices = result.get("sentence"), " ".join(result.get("notices", ()))
    if sentence is not None:
        wanted = "cannot take at all" if odd.allowed else "has weights that are too large for"
        harmless = abs(odd.value) < 32768
        return None if wanted in sentence and not harmless else f"refused: {sentence}"
    if not result["finite"]:
        return (
            None if odd.allowed and "the model may answer nonsense" in notices else "numbers are not finite"
        )
    if not isfinite(odd.value):
        return None if odd.allowed and "nonsense" in notices else "nothing was said of numbers that are none"
    return None


def dequantized(path: Path) -> Iterator[tuple[TensorInfo, Floats]]:
    """Every tensor's numbers as llama.cpp will see them."""
    data = np.memmap(path, np.uint8, "r")
    for info in read_header(path).tensors:
        raw = np.array(data[info.offset : info.offset + info.nbytes])
        numbers = np.empty(info.elements, np.float32)
        if info.type_name == "F32":
            numbers = raw.view("<f4")
        else:
            traits = ggml().ggml_get_type_traits(TYPE_BY_NAME[info.type_name].id).contents
            traits.to_float(raw.ctypes.data, numbers.ctypes.data, numbers.size)
        yield info, numbers


@cache
def _usual() -> dict[str, Floats]:
    return {name: random_floats(shape, n) for n, (name, shape) in enumerate(tensor_shapes(MODEL).items())}


def _tensors(odd: Odd) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for name, numbers in _usual().items():
        changed = np.array(numbers)
        if odd.place == "norm" and name == "model.norm.weight":
            changed[7] = odd.value
        elif odd.place != "norm" and changed.ndim == 2:
            _change(changed, odd)
        with np.errstate(all="ignore"):
            found[name] = Stored(encode(changed, odd.dtype), odd.dtype)
    return found


def _change(numbers: Floats, odd: Odd) -> None:
    if odd.place == "one":
        numbers[3, 37] = odd.value
    elif odd.place == "row":
        numbers[5] = odd.value
    elif odd.place == "all":
        numbers[:] = odd.value
    elif odd.place == "signs":
        numbers[::2, ::3] = odd.value
        numbers[::2, 1::3] = -odd.value
    else:
        numbers *= np.float32(odd.value)


def _write_imatrix(path: Path, kind: str) -> Path:
    parts: list[bytes] = []
    entries = importance(MODEL)
    for name, sums in entries.items():
        raw, numbers = name.encode(), np.array(sums)
        if kind == "zero":
            numbers[:] = 0
        elif kind == "one":
            numbers[:] = 0
            numbers[:, 5] = 1
        elif kind == "wide":
            steps = np.arange(numbers.size) * 37 % numbers.size
            numbers = (10.0 ** (14.9 - 59 * steps / numbers.size)).astype(np.float32)
        parts += [struct.pack("<i", len(raw)), raw, struct.pack("<ii", 1, numbers.size), numbers.tobytes()]
    path.write_bytes(struct.pack("<i", len(entries)) + b"".join(parts))
    return path


def arguments(odd_ones: Sequence[Odd]) -> list[dict[str, Any]]:
    return [asdict(odd) for odd in odd_ones]
