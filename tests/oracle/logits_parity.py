"""Logits of our files, run by llama.cpp, beside transformers on the same random checkpoints.

Run by `make oracle`. Needs the extra `oracle`. Fails unless, for every shape, the mean KL divergence is at most 1e-6
and the most likely token the same at every position. This is about the files, so llama.cpp computes in 32 bits for it:
its cache is F32, and a BF16 file is first widened by llama-quantize, which loses nothing.

Shown beside is what llama.cpp's own rounding adds: with its default cache, F16, some 5e-7, and a close call may tip;
with a BF16 file as it is, some 1e-4, since what such weights are multiplied with is rounded to BF16 too. That must be
no more than transformers is off when it computes in BF16 itself, which stands in the last column.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from converters import convert
from tests.oracle.logits import (
    HEADING,
    MOST_KL,
    THREADS,
    Comparison,
    Shape,
    be_quiet,
    compare,
    logits_of,
    logits_of_file,
    random_model,
    save,
)
from tests.oracle.source import CACHE
from tests.oracle.upstream import quantize_upstream

SHAPES = {
    "0.6B's ratios, tied": Shape(heads=16, kv_heads=8, hidden=256, head=32, tied=True),
    "4B's ratios, tied, wide heads": Shape(heads=32, kv_heads=8, hidden=320, head=64, tied=True),
    "8B's ratios, untied": Shape(heads=32, kv_heads=8, hidden=512, head=16, tied=False),
    "14B's ratios, untied": Shape(heads=40, kv_heads=8, hidden=640, head=16, tied=False),
    "32B's ratios, deep": Shape(heads=64, kv_heads=8, hidden=320, head=16, tied=False, layers=8),
    "one key-value head": Shape(heads=8, kv_heads=1, hidden=128, head=32, tied=True),
    "as many key-value heads": Shape(heads=4, kv_heads=4, hidden=128, head=32, tied=False),
    "heads of 128": Shape(heads=2, kv_heads=1, hidden=256, head=128, tied=True),
    "30B-A3B's ratios": Shape(heads=32, kv_heads=4, hidden=256, head=16, tied=False, experts=16),
    "235B-A22B's ratios": Shape(heads=64, kv_heads=4, hidden=320, head=16, tied=False, experts=16),
    "128 experts, 8 used": Shape(
        heads=8, kv_heads=2, hidden=128, head=32, tied=False, layers=2, experts=128, used=8
    ),
}


def main() -> None:
    """Prints a line per shape; exits with 1 if one of them is off."""
    be_quiet()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        print(f"{'F32 weights':32} {'cache in F32':^33}   {'cache in F16':^33}")
        print(f"{'':32} {HEADING}   {HEADING}")
        right = [_check_f32(name, Path(work) / f"f32 {name}", seed) for seed, name in enumerate(SHAPES)]
        print(f"{'BF16 weights':32} {'as F32':^33}   {'as BF16, widened':^33}   {'mean KL in BF16':>18}")
        print(f"{'':32} {HEADING}   {HEADING}   as it is   theirs")
        right += [_check_bf16(name, Path(work) / f"bf16 {name}", seed) for seed, name in enumerate(SHAPES)]
    if not all(right):
        sys.exit("the logits differ from those of transformers")


def _check_f32(name: str, folder: Path, seed: int) -> bool:
    model = random_model(SHAPES[name], seed)
    output = folder / "ours.gguf"
    convert(save(model, folder), output, "f32", threads=THREADS)
    theirs = logits_of(model)
    exact = compare(theirs, logits_of_file(output))
    _print(name, exact, compare(theirs, logits_of_file(output, exact=False)))
    return exact.within(MOST_KL)


def _check_bf16(name: str, folder: Path, seed: int) -> bool:
    """The weights of both sides are rounded, and what they are compared with is computed in 32 bits."""
    narrow = random_model(SHAPES[name], seed).to(torch.bfloat16)
    save(narrow, folder)
    theirs = logits_of(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval())
    as_f32, as_bf16, widened = (folder / f"{kind}.gguf" for kind in ("f32", "bf16", "widened"))
    convert(folder, as_f32, "f32", threads=THREADS)
    convert(folder, as_bf16, "bf16", threads=THREADS)
    refused = quantize_upstream(as_bf16, widened, "F32")
    assert not refused, refused
    exact = [compare(theirs, logits_of_file(path)) for path in (as_f32, widened)]
    rounded = compare(theirs, logits_of_file(as_bf16)).mean
    their_own = compare(theirs, logits_of(narrow)).mean
    _print(name, *exact, f"{rounded:8.1e} {their_own:8.1e}")
    return all(one.within(MOST_KL) for one in exact) and rounded <= their_own


def _print(name: str, *compared: Comparison | str) -> None:
    print(f"{name:32} {'   '.join(str(one) for one in compared)}", flush=True)


if __name__ == "__main__":
    main()
