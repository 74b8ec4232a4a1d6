"""The placement of a model that is about to be loaded: one that fits what is free now, as fast as that allows.

A small model that drafts for it has to fit beside it, with a context as long. Arithmetic on figures; what a model needs
and what a machine has is others' business.
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
    """A placement, and how it shares the model out where there is a GPU with memory of its own.

    `draft` is that of the model that drafts for it.
    """

    placement: Placement
    split: Split | None = None
    draft: Placement | None = None


def place(
    facts: ModelFacts,
    machine: Machine,
    wish: Wish,
    needs: Callable[[ModelFacts], Needs],
    draft: ModelFacts | None = None,
) -> Fitted:
    """A placement that fits; `needs` reads a file's header, and is asked only where there is a choice.

    The context is the one that is asked for, else the native one, halved until the model, and the one that is to
    `draft` for it, fit; on a GPU halved as far as `LEAST_CONTEXT` if all of both, or at least of the model, lies there
    then. Raises `NotEnough` with both figures when it cannot fit.
    """
    have = machine.usable if machine.free is None else min(machine.usable, machine.free)
    if not machine.gpus or wish.gpu_layers == 0:
        return _in_one_memory(facts, wish, have, draft)
    return _OnGpus(machine, wish, have, needs(facts), draft and needs(draft)).fitted(facts, draft)


def _in_one_memory(facts: ModelFacts, wish: Wish, have: int, draft: ModelFacts | None) -> Fitted:
    models = [facts] if draft is None else [facts, draft]
    sizes = [*_contexts(facts, wish)]
    needs = [sum(needed(one, size, wish.kv_type) for one in models) for size in sizes]
    size, need = next(
        ((s, n) for s, n in zip(sizes, needs, strict=True) if n <= have), (sizes[-1], needs[-1])
    )
    if need > have and wish.gpu_layers is None:
        raise _too_large(facts, draft, size, need, have)
    repack = need <= _NEAR * have
    # All layers of what drafts lie where some of the others do.
    beside = draft and _placement(draft, wish, size, 0 if wish.gpu_layers == 0 else None, 0, repack=repack)
    return Fitted(_placement(facts, wish, size, wish.gpu_layers, 0, repack=repack), draft=beside)


@dataclass(frozen=True)
class _Shared:
    """A model with a context of `size` tokens, shared out, and the one beside it that drafts for it."""

    size: int
    split: Split
    beside: Split | None = None

    @property
    def main(self) -> int:
        """Bytes in main memory."""
        return self.split.main + (self.beside.main if self.beside else 0)

    @property
    def gpu(self) -> int:
        """Bytes on GPUs."""
        return self.split.gpu + (self.beside.gpu if self.beside else 0)

    def rank(self, enough: int) -> int:
        """What counts before a context that is longer than `enough`: that all of it lies on the GPU."""
        if not self.split.whole or self.size < enough:
            return 0
        return 1 if self.beside is not None and not self.beside.whole else 2


class _OnGpus:
    """A model of which a part can lie on GPUs, and one that drafts for it, which lies in one place."""

    def __init__(self, machine: Machine, wish: Wish, have: int, needs: Needs, draft: Needs | None) -> None:
        """In main memory there are `have` bytes."""
        self._machine = machine
        self._wish = wish if needs.weights.has_experts else replace(wish, cpu_moe=None)
        self._have = have
        self._needs = needs
        self._draft = draft

    def fitted(self, facts: ModelFacts, draft: ModelFacts | None) -> Fitted:
        """The way with most on the GPUs and then the longest context."""
        wish, sizes = self._wish, [*_contexts(facts, self._wish)]
        ways = [way for size in sizes if (way := self._fastest(size)) is not None]
        if not ways and wish.gpu_layers is not None:
            # Whoever gives a number knows what it means.
            beside = self._draft and split_of(self._draft, sizes[-1], wish.kv_type, 0, 0)
            ways = [_Shared(sizes[-1], self._asked(sizes[-1]), beside)]
        if not ways:
            raise self._too_large(facts, draft, sizes[-1])
        enough = min(LEAST_CONTEXT, default_context(facts))
        best = max(ways, key=lambda way: way.rank(enough))
        split, beside, repack = best.split, best.beside, best.main <= _NEAR * self._have
        left = wish.cpu_moe
        cpu_moe = split.experts_left if left is None else min(left, len(self._needs.weights.layers))
        return Fitted(
            _placement(facts, wish, best.size, split.layers, cpu_moe, repack=repack),
            split,
            draft and beside and _placement(draft, wish, best.size, beside.layers, 0, repack=repack),
        )

    def _fastest(self, size: int) -> _Shared | None:
        """The fastest way with this context, or the one that is asked for; None if none fits."""
        needs, wish = self._needs, self._wish
        room = self._machine.gpu_room - self._copies(needs, size)
        if wish.gpu_layers is not None:
            ways = [self._asked(size)]
        elif wish.cpu_moe is not None:
            ways = [by_layers(needs, size, wish.kv_type, room, wish.cpu_moe)]
        else:
            ways = [by_layers(needs, size, wish.kv_type, room), by_experts(needs, size, wish.kv_type, room)]
        fitting = [
            both
            for way in ways
            if way is not None
            and way.main <= self._have
            and way.gpu <= max(room, 0)
            and (both := self._with_draft(size, way, room - way.gpu)) is not None
        ]
        return min(fitting, key=lambda both: both.split.time, default=None)

    def _with_draft(self, size: int, split: Split, room: int) -> _Shared | None:
        """What drafts lies on the GPUs if they have `room` after the model, else in main memory, if that has some."""
        draft, kv_type = self._draft, self._wish.kv_type
        if draft is None:
            return _Shared(size, split)
        layers = len(draft.weights.layers) + 1
        there = _Shared(size, split, split_of(draft, size, kv_type, layers, layers))
        here = _Shared(size, split, split_of(draft, size, kv_type, 0, 0))
        on_gpus = there.gpu - split.gpu + self._copies(draft, size)
        ways = [there, here] if on_gpus <= room else [here]
        return next((way for way in ways if way.main <= self._have), None)

    def _copies(self, needs: Needs, size: int) -> int:
        """Bytes of compute buffers that the GPUs have besides one's, which is in the split."""
        return (len(self._machine.gpus) - 1) * needs.buffers.compute(size)

    def _asked(self, size: int) -> Split:
        needs, wish = self._needs, self._wish
        count = len(needs.weights.layers) + 1
        layers = count if wish.gpu_layers is None else min(wish.gpu_layers, count)
        return split_of(needs, size, wish.kv_type, layers, with_experts(needs, layers, wish.cpu_moe or 0))

    def _too_large(self, facts: ModelFacts, draft: ModelFacts | None, size: int) -> NotEnough:
        need = self._needs.total(size, self._wish.kv_type)
        if self._draft is not None:
            need += self._draft.total(size, self._wish.kv_type)
        return _too_large(facts, draft, size, need, self._have + self._machine.gpu_room)


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


def _too_large(facts: ModelFacts, draft: ModelFacts | None, size: int, need: int, have: int) -> NotEnough:
    subject = f"`{facts.name}` with a context of {size:,} tokens needs"
    less = "take a smaller model"
    if draft is not None:
        subject = f"`{facts.name}` and `{draft.name}`, which is to draft for it, need with contexts of {size:,} tokens"
        less = "leave out `--draft`"
    return NotEnough(
        f"{subject} about {_gb(need)} of memory and {_gb(have)} are free",
        f"close other programs, give a smaller `--ctx` or `--kv-type q8_0`, or {less}",
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
