"""The placement of a model that is about to be loaded: one that fits what is free now, as fast as that allows.

Arithmetic on figures; what a model needs and what a machine has is others' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from qwen3cli.errors import NotEnough
from qwen3cli.machine import ModelFacts, Placement
from qwen3cli.models.machines import LEAST_CONTEXT, Machine
from qwen3cli.models.needs import Buffers, Needs
from qwen3cli.models.offload import Split, by_experts, by_layers, split_of, with_experts

NATIVE_CONTEXT = 32_768
"""Qwen3's native context; longer ones need YaRN, which harms short texts."""
SMALLEST_CONTEXT = 2_048
_NEAR = 0.8
"""Share of the free memory above which no weights are laid out anew: they would lie there beside the mapped file."""


@dataclass(frozen=True)
class Wish:
    """What a person asks for; None is our choice. `cpu_moe` is how many layers leave their experts in main memory."""

    context: int | None = None
    threads: int = 1
    gpu_layers: int | None = None
    cpu_moe: int | None = None
    kv_type: str = "f16"


@dataclass(frozen=True)
class Fitted:
    """A placement, and how it shares the model out where there is a GPU with memory of its own."""

    placement: Placement
    split: Split | None = None


def place(facts: ModelFacts, machine: Machine, wish: Wish, needs: Callable[[], Needs]) -> Fitted:
    """A placement that fits; `needs` reads the file's header, and is asked only where there is a choice.

    The context is the one that is asked for, else the native one, halved until the model fits; on a GPU halved as far
    as `LEAST_CONTEXT` if all of the model lies there then. Raises `NotEnough` with both figures when it cannot fit.
    """
    have = machine.usable if machine.free is None else min(machine.usable, machine.free)
    if not machine.gpus or wish.gpu_layers == 0:
        return _in_one_memory(facts, wish, have)
    return _on_gpus(facts, machine, wish, needs(), have)


def _in_one_memory(facts: ModelFacts, wish: Wish, have: int) -> Fitted:
    sizes = [*_contexts(facts, wish)]
    size = next((size for size in sizes if needed(facts, size, wish.kv_type) <= have), sizes[-1])
    need = needed(facts, size, wish.kv_type)
    if need > have and wish.gpu_layers is None:
        raise _too_large(facts, size, need, have)
    return Fitted(_placement(facts, wish, size, wish.gpu_layers, 0, repack=need <= _NEAR * have))


def _on_gpus(facts: ModelFacts, machine: Machine, wish: Wish, needs: Needs, have: int) -> Fitted:
    if not needs.weights.has_experts:
        wish = replace(wish, cpu_moe=None)
    enough = min(LEAST_CONTEXT, default_context(facts))
    best: tuple[int, Split] | None = None
    sizes = [*_contexts(facts, wish)]
    for size in sizes:
        # Each GPU has compute buffers of its own; one GPU's are in the split.
        room = machine.gpu_room - (len(machine.gpus) - 1) * needs.buffers.compute(size)
        split = _fastest(needs, size, wish, room, have)
        if split is not None and split.whole and size >= enough:
            best = size, split
            break
        best = best or (split and (size, split))
    if best is None and wish.gpu_layers is not None:
        # Whoever gives a number knows what it means.
        best = sizes[-1], _asked(needs, sizes[-1], wish)
    if best is None:
        total = needs.total(sizes[-1], wish.kv_type)
        raise _too_large(facts, sizes[-1], total, have + machine.gpu_room)
    size, split = best
    cpu_moe = split.experts_left if wish.cpu_moe is None else min(wish.cpu_moe, len(needs.weights.layers))
    return Fitted(
        _placement(facts, wish, size, split.layers, cpu_moe, repack=split.main <= _NEAR * have), split
    )


def _fastest(needs: Needs, size: int, wish: Wish, room: int, have: int) -> Split | None:
    """The fastest way to share the model out with this context, or the one that is asked for; None if none fits."""
    if wish.gpu_layers is not None:
        ways = [_asked(needs, size, wish)]
    elif wish.cpu_moe is not None:
        ways = [by_layers(needs, size, wish.kv_type, room, wish.cpu_moe)]
    else:
        ways = [by_layers(needs, size, wish.kv_type, room), by_experts(needs, size, wish.kv_type, room)]
    fitting = [way for way in ways if way is not None and way.main <= have and way.gpu <= max(room, 0)]
    return min(fitting, key=lambda way: way.time, default=None)


def _asked(needs: Needs, size: int, wish: Wish) -> Split:
    count = len(needs.weights.layers) + 1
    layers = count if wish.gpu_layers is None else min(wish.gpu_layers, count)
    return split_of(needs, size, wish.kv_type, layers, with_experts(needs, layers, wish.cpu_moe or 0))


def _placement(
    facts: ModelFacts, wish: Wish, size: int, gpu_layers: int | None, cpu_moe: int, *, repack: bool
) -> Placement:
    native = native_context(facts)
    return Placement(
        size,
        wish.threads,
        gpu_layers,
        wish.kv_type,
        cpu_moe=cpu_moe,
        repack=repack,
        stretch=size / native if native and size > max(facts.context_length, native) else 1.0,
        native=native,
    )


def native_context(facts: ModelFacts) -> int:
    """The context that a Qwen3 was trained with, from which YaRN stretches; 0 for others, whose way is not ours to say.

    The first models name 40,960 tokens, which leave room for an answer to a prompt of 32,768 (their cards).
    """
    if facts.architecture not in ("qwen3", "qwen3moe"):
        return 0
    first = NATIVE_CONTEXT < facts.context_length <= NATIVE_CONTEXT + NATIVE_CONTEXT // 4
    return NATIVE_CONTEXT if first else facts.context_length


def _contexts(facts: ModelFacts, wish: Wish) -> Iterator[int]:
    """The contexts that are tried, the longest first."""
    size = wish.context or default_context(facts)
    yield size
    while wish.context is None and size > SMALLEST_CONTEXT:
        size = size // 2
        yield size


def _too_large(facts: ModelFacts, size: int, need: int, have: int) -> NotEnough:
    return NotEnough(
        f"`{facts.name}` with a context of {size:,} tokens needs about {_gb(need)} of memory"
        f" and {_gb(have)} are free",
        "close other programs, give a smaller `--ctx` or `--kv-type q8_0`, or take a smaller model",
    )


def default_context(facts: ModelFacts) -> int:
    """The context a model gets where memory is no question."""
    return min(facts.context_length or NATIVE_CONTEXT, NATIVE_CONTEXT)


def needed(facts: ModelFacts, context: int, kv_type: str) -> int:
    """Bytes: weights, KV cache, compute buffers."""
    # How wide a feed-forward block is makes some ten megabytes.
    buffers = Buffers.of(
        kv_bytes=facts.kv_bytes_per_token, vocabulary=facts.vocabulary, hidden=facts.hidden, feed_forward=0
    )
    return facts.file_bytes + buffers.cache(context, kv_type) + buffers.compute(context)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
