"""The ways from a checkpoint to a quantized GGUF file: ours, and llama.cpp's in two steps; as commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from tests.oracle.build import tool
from tests.oracle.source import llama_cpp_source
from tests.oracle.upstream import intermediate

THREADS: Final = 2
QUANTIZATION: Final = "Q4_K_M"


def ours(checkpoint: Path, output: Path) -> list[str]:
    """`qwen3 convert`."""
    options = ["-o", str(output), "-q", QUANTIZATION.lower(), "--threads", str(THREADS)]
    return [sys.executable, "-m", "qwen3cli", "convert", str(checkpoint), *options]


def first_step(checkpoint: Path, output: Path) -> list[str]:
    """convert_hf_to_gguf.py, without quantizing."""
    script = llama_cpp_source() / "convert_hf_to_gguf.py"
    kind = intermediate("BF16")
    return [sys.executable, str(script), str(checkpoint), "--outfile", str(output), "--outtype", kind]


def second_step(whole: Path, output: Path) -> list[str]:
    """llama-quantize."""
    return [str(tool("llama-quantize")), str(whole), str(output), QUANTIZATION, str(THREADS)]


def environment(home: Path) -> dict[str, str]:
    """The same for all of them: as many threads as they are told, and nobody's own settings."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(THREADS)), "QWEN3_HOME": str(home)}
