"""A checkpoint of Qwen3-0.6B's true shape with the official tokenizer, whole: both roads, in the usual types.

The weights are random: they cannot be had without a hub. Run by `make oracle`, with npm on the path; needs 4 GB of
disk and some minutes. Exits with 1 unless every file equals llama.cpp's, byte for byte.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.checkpoints import cached_checkpoint
from benchmarks.shapes import SMALL
from converters import convert
from tests.oracle.differences import differences
from tests.oracle.source import CACHE
from tests.oracle.upstream import convert_upstream, quantize_upstream

TYPES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS")


def main() -> None:
    """Prints sizes and seconds of both roads for each type; exits with 1 if a file differs."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        checkpoint = cached_checkpoint(Path(work) / "Qwen3-0.6B", SMALL)
        whole = Path(work) / "whole.gguf"
        started = time.monotonic()
        convert_upstream(checkpoint, whole, "bf16", None)
        first_step = time.monotonic() - started
        print(f"  llama.cpp's first step, to BF16: {_megabytes(whole)} MB, {first_step:.0f} s")
        equal = [_check(checkpoint, whole, quantization) for quantization in TYPES]
    if not all(equal):
        sys.exit("files differ from llama.cpp's")


def _check(checkpoint: Path, whole: Path, quantization: str) -> bool:
    ours, theirs = whole.with_name("ours.gguf"), whole.with_name("theirs.gguf")
    started = time.monotonic()
    refusal = quantize_upstream(whole, theirs, quantization)
    between = time.monotonic()
    if refusal:
        sys.exit(f"llama-quantize failed: {refusal}")
    convert(checkpoint, ours, quantization, threads=2)
    seconds = (
        f"theirs {between - started:4.0f} s after the first step, ours {time.monotonic() - between:4.0f} s"
    )
    found = differences(ours, theirs)
    verdict = "DIFFERENT" if found else "equal"
    print(f"  {quantization:8} {_megabytes(ours):>6} MB, {seconds}: {verdict}", flush=True)
    print("".join(f"    {text}\n" for text in found), end="", flush=True)
    ours.unlink()
    theirs.unlink()
    return not found


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.0f}"


if __name__ == "__main__":
    main()
