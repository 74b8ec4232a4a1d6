"""The placement of a model that is about to be loaded: one that fits what is free now."""

from __future__ import annotations

from qwen3cli.errors import NotEnough
from qwen3cli.machine import ModelFacts, Placement
from qwen3cli.models.machines import available_memory
from qwen3cli.models.needs import Buffers

NATIVE_CONTEXT = 32_768
"""Qwen3's native context; longer ones need YaRN, which harms short texts."""
SMALLEST_CONTEXT = 2_048


def place(
    facts: ModelFacts,
    *,
    threads: int,
    context: int | None = None,
    gpu_layers: int | None = None,
    kv_type: str = "f16",
    available: int | None = None,
) -> Placement:
    """A placement that fits: the asked context, else the native one, halved until weights and KV cache fit.

    Raises `NotEnough` with both figures when it cannot fit; `available` bytes default to this machine's.
    """
    have = available_memory() if available is None else available
    size = context or default_context(facts)
    while context is None and size > SMALLEST_CONTEXT and needed(facts, size, kv_type) > have:
        size //= 2
    need = needed(facts, size, kv_type)
    if need > have and gpu_layers is None:
        raise NotEnough(
            f"`{facts.name}` with a context of {size:,} tokens needs about {_gb(need)} of memory"
            f" and {_gb(have)} are free",
            "close other programs, give a smaller `--ctx` or `--kv-type q8_0`, or take a smaller model",
        )
    return Placement(context_size=size, threads=threads, gpu_layers=gpu_layers, kv_type=kv_type)


def default_context(facts: ModelFacts) -> int:
    """The context a model gets where memory is no question."""
    return min(facts.context_length or NATIVE_CONTEXT, NATIVE_CONTEXT)


def needed(facts: ModelFacts, context: int, kv_type: str) -> int:
    """Bytes: weights, KV cache, compute buffers."""
    # How wide a feed-forward block is matters only in contexts of hundreds of thousands of tokens.
    buffers = Buffers.of(
        kv_bytes=facts.kv_bytes_per_token, vocabulary=facts.vocabulary, hidden=facts.hidden, feed_forward=0
    )
    return facts.file_bytes + buffers.cache(context, kv_type) + buffers.compute(context)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
