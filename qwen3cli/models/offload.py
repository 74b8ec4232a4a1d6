"""What of a model lies on the GPU and what in main memory, and how fast that makes it, roughly.

llama.cpp places whole layers from the last one on, the output first; for mixtures there is another way, all but the
experts of some layers on the GPU. Speed is what a token reads, for memory is what generating waits for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from qwen3cli.models.needs import Needs

GPU_SPEED = 8
"""How many times faster a GPU's own memory is than main memory: about 400 against 50 GB/s in usual machines."""


@dataclass(frozen=True)
class Split:
    """A model over two memories, in bytes; `read_main` and `read_gpu` are what a token reads there.

    `layers` is how many of `all_layers` are on the GPU, the output counted as one as llama.cpp does, and
    `with_experts` how many of these have their experts there too.
    """

    layers: int
    with_experts: int
    all_layers: int
    main: int
    gpu: int
    read_main: int
    read_gpu: int

    @property
    def whole(self) -> bool:
        """Whether nothing is left in main memory that would slow it down."""
        return self.layers == self.with_experts == self.all_layers

    @property
    def experts_left(self) -> int:
        """Layers on the GPU whose experts are in main memory."""
        return self.layers - self.with_experts

    @property
    def time(self) -> float:
        """How long a token takes, in bytes read from main memory."""
        return self.read_main + self.read_gpu / GPU_SPEED


def by_layers(needs: Needs, context: int, kv_type: str, room: int, left: int = 0) -> Split:
    """As many layers as `room` bytes on the GPU can take, perhaps none; the first `left` leave their experts."""

    def of(layers: int) -> Split:
        return split_of(needs, context, kv_type, layers, with_experts(needs, layers, left))

    return _most(needs, room, of) or of(0)


def with_experts(needs: Needs, layers: int, left: int) -> int:
    """How many of the last `layers` have their experts there too, if the first `left` of the model have not."""
    # The output, which counts as one, has no experts.
    return min(layers, max(len(needs.weights.layers) + 1 - left, 1))


def by_experts(needs: Needs, context: int, kv_type: str, room: int) -> Split | None:
    """All layers on the GPU, and the experts of as many as `room` can take; None if that cannot be."""
    if not needs.weights.has_experts:
        return None
    count = len(needs.weights.layers) + 1
    # The output, which counts as one, has no experts.
    return _most(needs, room, lambda experts: split_of(needs, context, kv_type, count, experts))


def _most(needs: Needs, room: int, split: Callable[[int], Split]) -> Split | None:
    """The split with most on the GPU that fits `room`; it takes more there the larger its number is."""
    numbers = range(1, len(needs.weights.layers) + 2)
    fitting = bisect_right(numbers, room, key=lambda number: split(number).gpu)
    return split(fitting) if fitting else None


def split_of(needs: Needs, context: int, kv_type: str, layers: int, with_experts: int) -> Split:
    """The last `layers` on the GPU, the output one of them; the last `with_experts` of them whole."""
    weights, buffers = needs.weights, needs.buffers
    count = len(weights.layers)
    if layers == 0:
        return Split(0, 0, count + 1, needs.total(context, kv_type), 0, weights.read, 0)
    shared, _ = weights.last(layers - 1)
    _, experts = weights.last(min(layers, with_experts) - 1)
    cache = buffers.cache(context, kv_type)
    cache_there = cache * (layers - 1) // count if count else 0
    there = shared + experts + cache_there + weights.output_read + buffers.compute(context)
    here = weights.total - shared - experts - weights.output + cache - cache_there + buffers.inside(context)
    read_there = shared + int(experts * weights.active) + weights.output_read
    return Split(layers, with_experts, count + 1, here, there, weights.read - read_there, read_there)
