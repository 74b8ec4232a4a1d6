"""Writes checkpoints of a shape: with random weights, or as one hole that reads as zeros and takes no disk."""

from __future__ import annotations

import json
import os
import shutil
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.shapes import Shape
from tests.oracle.template_golden import official

_ITEM: Final = 2  # bytes of a BF16 number
_CHUNK: Final = 1 << 22
_SPREAD: Final = 0.02  # the standard deviation that Qwen3's config.json gives its initial weights
_SEED: Final = 3


def cached_checkpoint(folder: Path, shape: Shape) -> Path:
    """A checkpoint with random weights at `folder`, made unless it is there; appears as a whole or not at all."""
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_small_files(partial, shape)
        _write_random(partial / "model.safetensors", shape)
        partial.rename(folder)
    return folder


def sparse_checkpoint(folder: Path, shape: Shape) -> Path:
    """A checkpoint at `folder`, which must not exist, whose weights are all zero."""
    folder.mkdir(parents=True)
    _write_small_files(folder, shape)
    header = safetensors_header(shape)
    path = folder / "model.safetensors"
    path.write_bytes(header)
    os.truncate(path, len(header) + shape.parameters * _ITEM)
    return folder


def safetensors_header(shape: Shape) -> bytes:
    """What stands before the numbers: eight bytes of length, and where each tensor is."""
    described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, sizes in shape.tensors():
        end = offset + prod(sizes) * _ITEM
        described[name] = {"dtype": "BF16", "shape": sizes, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_small_files(folder: Path, shape: Shape) -> None:
    generation = {
        "bos_token_id": 151643,
        "do_sample": True,
        "eos_token_id": [151645, 151643],
        "pad_token_id": 151643,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
    }
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2), encoding="utf-8")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes(official(name))


def _write_random(path: Path, shape: Shape) -> None:
    generator = np.random.default_rng(_SEED)
    with path.open("wb") as file:
        file.write(safetensors_header(shape))
        for name, sizes in shape.tensors():
            center = 1.0 if "norm" in name else 0.0
            left = prod(sizes)
            while left:
                count = min(left, _CHUNK)
                floats = generator.standard_normal(count, np.float32)
                floats *= np.float32(_SPREAD)
                floats += np.float32(center)
                file.write(_as_bf16(floats).data)
                left -= count


def _as_bf16(floats: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Rounded to the nearest, ties to even."""
    bits = floats.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
