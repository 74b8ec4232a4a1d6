"""What a machine has, what a model is, and where it is put: values only, no reading and no deciding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""KV cache types that llama.cpp's attention accepts (common/arg.cpp)."""

MOST_THREADS = 512
"""Threads that llama.cpp computes with at most (GGML_MAX_N_THREADS of ggml.h)."""

MOST_TOKENS = (1 << 31) - 1
"""Tokens that llama.cpp counts with 32 bits (llama_pos of llama.h)."""


@dataclass(frozen=True)
class Device:
    """A device llama.cpp can compute on; memory in bytes."""

    name: str
    description: str
    kind: str
    free_memory: int
    total_memory: int


@dataclass(frozen=True)
class ModelFacts:
    """What a model file says about itself, read from its header by `models`.

    `context_length` is the trained context in tokens (0 when the file does not say);
    `kv_bytes_per_token` counts K and V over all layers at 16 bits; `further` are the other files of a split
    model, which the figures include; `thinking` is "hybrid", "never", "always", or "" where it is not known;
    `vocabulary` counts tokens, and `hidden` the numbers that stand for one: what computing takes follows from both.
    """

    name: str
    path: Path
    architecture: str
    file_bytes: int
    parameters: int
    quantization: str
    quantized: bool
    context_length: int
    kv_bytes_per_token: int
    base: bool = False
    further: tuple[Path, ...] = ()
    thinking: str = ""
    vocabulary: int = 0
    hidden: int = 0


MICRO_BATCH = 512
"""Tokens computed at once; cancelling takes at most one micro-batch on devices without an abort callback."""
MOST_OUTPUTS = 16
"""Tokens of a batch whose logits are kept: one that is sure, and drafts. Each takes 600 kB with Qwen3's vocabulary."""


@dataclass(frozen=True)
class Placement:
    """How a model is run; `context_size` in tokens, `gpu_layers` None for as many as llama.cpp will take.

    The experts of the first `cpu_moe` layers stay in main memory. With `repack` weights may be laid out anew for this
    CPU, which is faster, and takes their memory beside the mapped file. `stretch` is the factor by which YaRN makes a
    model of `native` tokens take longer contexts.
    """

    context_size: int
    threads: int
    gpu_layers: int | None = None
    kv_type: str = "f16"
    use_mmap: bool = True
    cpu_moe: int = 0
    repack: bool = True
    stretch: float = 1.0
    native: int = 0


@dataclass(frozen=True)
class Drafts:
    """Where drafts come from: `lookup` in what the context holds, and a small `model`, run as its `placement` says."""

    lookup: bool = True
    model: ModelFacts | None = None
    placement: Placement | None = None


LOOKED_UP = Drafts()


@dataclass(frozen=True)
class Depth:
    """Tokens a second that are decoded when the context holds `tokens`."""

    tokens: int
    rate: float


@dataclass(frozen=True)
class Gain:
    """Tokens a second of a text that is written without drafts, and with a small model's; what came of these."""

    plain: float
    drafted: float
    drafted_tokens: int
    accepted_tokens: int


@dataclass(frozen=True)
class Measured:
    """How fast a model is on a machine: seconds, and tokens a second.

    `cold_s` and `warm_s` are the time to the first token after `prompt` tokens, evaluated and kept ones. `quoting` is
    decoding what stands in the context already, `drafted` the same with drafts, which are all right then. `by_model`
    is what a small model's drafts gain, if there is one.
    """

    load_s: float
    prefill: float
    decode: tuple[Depth, ...]
    prompt: int
    cold_s: float
    warm_s: float
    quoting: float
    drafted: float
    by_model: Gain | None = None
