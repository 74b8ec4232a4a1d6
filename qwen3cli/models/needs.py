"""What a model needs in memory: weights by where they can lie, the KV cache, llama.cpp's compute buffers.

Arithmetic on values. Where the values come from, a file's header or the family's shapes, is sizes.py's business.
The figures are those that llama.cpp itself reports: tests/models/memory_golden.json holds both side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from qwen3cli.machine import MICRO_BATCH, MOST_OUTPUTS

_FLOAT = 4
_HALF = 2
_KV_PADDING = 256
"""The cache holds a whole multiple of so many tokens (llama-context.cpp)."""

_KV_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}
"""Bits for each cached value, block scales counted (ggml-common.h)."""


@dataclass(frozen=True)
class Layer:
    """Bytes of one layer's weights: its experts, and all else."""

    shared: int
    experts: int = 0


@dataclass(frozen=True)
class Weights:
    """Bytes of the weights; `tied` says that the output is computed with the embeddings.

    `active` is the share of the experts that a token uses. llama.cpp keeps the embeddings in main memory, so that
    tied ones lie there and, once more, on the GPU that computes the output.
    """

    embedding: int
    output: int
    layers: tuple[Layer, ...]
    tied: bool = False
    active: float = 1.0

    @property
    def total(self) -> int:
        """All of them, each once."""
        return self.embedding + self.output + sum(self.last(len(self.layers)))

    @property
    def output_read(self) -> int:
        """What computing the output reads, and what it takes on a GPU."""
        return self.output + (self.embedding if self.tied else 0)

    @property
    def has_experts(self) -> bool:
        """Whether it is a mixture of experts."""
        return self.last(len(self.layers))[1] > 0

    @property
    def read(self) -> int:
        """Bytes that a token reads of all of them."""
        shared, experts = self.last(len(self.layers))
        return self.output_read + shared + int(experts * self.active)

    def last(self, count: int) -> tuple[int, int]:
        """Bytes of the last `count` layers: without their experts, and of these."""
        return self._sums[count]

    @cached_property
    def _sums(self) -> list[tuple[int, int]]:
        """For each number of layers, the last ones' bytes: a plan asks for hundreds of them."""
        shared = accumulate((layer.shared for layer in reversed(self.layers)), initial=0)
        experts = accumulate((layer.experts for layer in reversed(self.layers)), initial=0)
        return list(zip(shared, experts, strict=True))


@dataclass(frozen=True)
class Buffers:
    """What a model needs besides its weights, for each token.

    `kv_bytes` counts K and V over all layers at 16 bits. `output_width` is how many numbers are alive while the
    logits are computed, `layer_width` while a layer is; both were found from what llama.cpp reports.
    """

    kv_bytes: int
    output_width: int
    layer_width: int

    @classmethod
    def of(
        cls, *, kv_bytes: int, vocabulary: int, hidden: int, feed_forward: int, experts_used: int = 0
    ) -> Buffers:
        """From the sizes of a model; `feed_forward` is one expert's where there are any."""
        widest = 3 * feed_forward + 4 * hidden
        if experts_used:
            widest = 2 * experts_used * (feed_forward + hidden)
        return cls(kv_bytes, vocabulary + 2 * hidden, widest)

    def cache(self, context: int, kv_type: str) -> int:
        """Bytes of the KV cache."""
        cells = -(-context // _KV_PADDING) * _KV_PADDING
        return int(self.kv_bytes * cells * _KV_BITS[kv_type] / 16)

    def compute(self, context: int) -> int:
        """Bytes of the compute buffers: those of the layers, and the logits that are kept."""
        return self.inside(context) + MOST_OUTPUTS * self.output_width * _FLOAT

    def inside(self, context: int) -> int:
        """Bytes of the compute buffers of layers alone: the attention mask, and what a layer works with."""
        batch = min(MICRO_BATCH, context)
        return batch * (context * _HALF + self.layer_width * _FLOAT)


@dataclass(frozen=True)
class Needs:
    """A model in one quantization; `context` is the native one in tokens, 0 when nobody says."""

    quantization: str
    file_bytes: int
    weights: Weights
    buffers: Buffers
    context: int

    def total(self, context: int, kv_type: str = "f16") -> int:
        """Bytes of everything when all of it lies in one memory."""
        return self.weights.total + self.buffers.cache(context, kv_type) + self.buffers.compute(context)
