"""Makes importance matrices for the test checkpoints, in both forms that llama.cpp has had."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.converters.checkpoints import Model, random_floats

Floats = npt.NDArray[np.float32]

DATASET = "some text.txt"
CHUNKS = 7


def importance(model: Model, *, skip: str = "-") -> dict[str, Floats]:
    """Sums of squares by GGUF tensor, [experts, columns]; tensors whose name contains `skip` are left out."""
    queries = model.heads * model.head
    columns = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v"), model.hidden),
        "attn_output": queries,
    }
    suffix, experts = ("_exps", model.experts) if model.experts else ("", 1)
    stacked = {f"ffn_gate{suffix}": model.hidden, f"ffn_up{suffix}": model.hidden}
    stacked[f"ffn_down{suffix}"] = model.feed_forward
    found: dict[str, Floats] = {}
    for layer in range(model.layers):
        for number, (role, width) in enumerate({**columns, **stacked}.items()):
            shape = (experts if role in stacked else 1, width)
            if skip not in (name := f"blk.{layer}.{role}.weight"):
                found[name] = random_floats(shape, 77 * layer + number) ** 2 * np.float32(50)
    return found


def write_gguf(path: Path, model: Model, *, skip: str = "-") -> Path:
    """As llama-imatrix writes it; the second of several experts has never been asked."""
    tensors: dict[str, tuple[Floats, Floats]] = {}
    for name, sums in importance(model, skip=skip).items():
        counts = np.full((sums.shape[0], 1), 3584, np.float32)
        counts[1:2] = 0
        tensors[name] = (sums, counts)
    return write_tensors(path, tensors)


def write_tensors(path: Path, tensors: Mapping[str, tuple[Floats, Floats]]) -> Path:
    """A GGUF file of these sums and counts."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [DATASET, "more.txt"])
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, (sums, counts) in tensors.items():
        writer.add_tensor(f"{name}.in_sum2", sums)
        writer.add_tensor(f"{name}.counts", counts)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_dat(path: Path, model: Model, *, skip: str = "-") -> Path:
    """As llama-imatrix wrote it until 2025."""
    entries = importance(model, skip=skip)
    parts = [struct.pack("<i", len(entries))]
    for name, sums in entries.items():
        raw = name.encode()
        parts += [struct.pack("<i", len(raw)), raw, struct.pack("<ii", CHUNKS, sums.size), sums.tobytes()]
    dataset = DATASET.encode()
    parts.append(struct.pack("<ii", CHUNKS, len(dataset)) + dataset)
    path.write_bytes(b"".join(parts))
    return path
