from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qwen3cli.errors import NotEnough
from qwen3cli.machine import ModelFacts
from qwen3cli.models import fit

# Qwen3-0.6B in Q8_0: 28 layers, 8 KV heads of 128.
SMALL = ModelFacts(
    name="0.6b",
    path=Path("m.gguf"),
    architecture="qwen3",
    file_bytes=639_446_688,
    parameters=751_632_384,
    quantization="Q8_0",
    quantized=True,
    context_length=40_960,
    kv_bytes_per_token=2 * 28 * 8 * (128 + 128),
    vocabulary=151_936,
    hidden=1_024,
)


def test_the_native_context_is_the_default() -> None:
    assert fit.place(SMALL, threads=2, available=64 * 10**9).context_size == 32_768


def test_a_short_trained_context_is_not_exceeded() -> None:
    short = replace(SMALL, context_length=8_192)
    assert fit.place(short, threads=2, available=64 * 10**9).context_size == 8_192


def test_the_context_is_halved_until_it_fits() -> None:
    placement = fit.place(SMALL, threads=2, available=2 * 10**9)
    assert placement.context_size == 8_192
    assert fit.needed(SMALL, 8_192, "f16") <= 2 * 10**9 < fit.needed(SMALL, 16_384, "f16")


def test_the_cache_of_0_6b_takes_112_kib_a_token() -> None:
    # llama.cpp rounds contexts up to 256 tokens, and its mask of a batch is as wide as the context.
    assert fit.needed(SMALL, 1025, "f16") - fit.needed(SMALL, 1024, "f16") == 256 * 112 * 1024 + 512 * 2
    assert fit.needed(SMALL, 2000, "q8_0") < fit.needed(SMALL, 2000, "f16")


def test_what_cannot_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(NotEnough, match=r"needs about 0\.9 GB .* 0\.8 GB"):
        fit.place(SMALL, threads=2, available=8 * 10**8)
    with pytest.raises(NotEnough):
        fit.place(SMALL, threads=2, context=32_768, available=2 * 10**9)
