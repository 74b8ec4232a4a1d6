"""Makes tiny Qwen3 checkpoints, the same bytes every time: a safetensors writer, random weights.

Standard library and numpy, so that tests need neither torch nor transformers. The weights come from a linear
congruential generator written out here, not from numpy's, whose streams may change between versions.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.converters.vocabulary import ADDED, MERGES, make_tokenizer, make_tokenizer_config

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Model:
    """A checkpoint to be made.

    `stored_head` writes lm_head.weight even if the embeddings are tied. With `experts` it is a mixture of that
    many, each `feed_forward` wide, `fused` as transformers 5 keeps them. `fp8` stores the layers' matrices as
    F8_E4M3 with a scale for each block of that many rows and columns; `scales` is the type of the scales.
    """

    layers: int = 2
    hidden: int = 64
    feed_forward: int = 96
    heads: int = 4
    kv_heads: int = 2
    head: int = 32
    padding: int = 4
    dtype: str = "BF16"
    tied: bool = True
    stored_head: bool = False
    shards: int = 1
    seed: int = 1
    experts: int = 0
    fused: bool = False
    fp8: tuple[int, int] | None = None
    scales: str = "BF16"
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def vocabulary(self) -> int:
        return 256 + len(MERGES) + len(ADDED) + self.padding


def make_checkpoint(folder: Path, model: Model) -> Path:
    """Writes the checkpoint into `folder`, which must not exist, and returns it."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", make_config(model))
    write_json(folder / "generation_config.json", {"temperature": 0.6, "top_k": 20, "top_p": 0.95})
    write_json(folder / "tokenizer.json", make_tokenizer())
    write_json(folder / "tokenizer_config.json", make_tokenizer_config())
    tensors = make_tensors(model)
    if model.shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
    else:
        _write_shards(folder, tensors, model)
    for name, text in model.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def make_sparse_checkpoint(folder: Path, model: Model) -> Path:
    """All of a checkpoint but its weights, which are a hole that reads as zeros and takes no disk."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", make_config(model))
    write_json(folder / "tokenizer.json", make_tokenizer())
    write_json(folder / "tokenizer_config.json", make_tokenizer_config())
    header: dict[str, object] = {}
    offset = 0
    for name, shape in tensor_shapes(model).items():
        end = offset + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    write_sparse(folder / "model.safetensors", struct.pack("<Q", len(raw)) + raw, 8 + len(raw) + offset)
    return folder


def write_sparse(path: Path, beginning: bytes, size: int) -> None:
    """A file of that size, all of it a hole but its beginning."""
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(size)


def make_config(model: Model) -> dict[str, Any]:
    mixture = {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": model.feed_forward,
        "norm_topk_prob": True,
        "num_experts": model.experts,
        "num_experts_per_tok": min(2, model.experts),
    }
    blocks = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "bos_token_id": 256 + len(MERGES),
        "eos_token_id": 256 + len(MERGES) + 2,
        "head_dim": model.head,
        "hidden_act": "silu",
        "hidden_size": model.hidden,
        "intermediate_size": model.feed_forward,
        "max_position_embeddings": 512,
        "model_type": "qwen3",
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "num_key_value_heads": model.kv_heads,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "tie_word_embeddings": model.tied,
        "torch_dtype": "bfloat16",
        "vocab_size": model.vocabulary,
        **(mixture if model.experts else {}),
        **({"quantization_config": {**blocks, "weight_block_size": [*model.fp8]}} if model.fp8 else {}),
        **model.config,
    }


def tensor_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    table = (model.vocabulary, model.hidden)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": table,
        "model.norm.weight": (model.hidden,),
    }
    queries, keys = model.heads * model.head, model.kv_heads * model.head
    for number in range(model.layers):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (model.hidden,),
            f"{layer}.post_attention_layernorm.weight": (model.hidden,),
            f"{layer}.self_attn.q_proj.weight": (queries, model.hidden),
            f"{layer}.self_attn.k_proj.weight": (keys, model.hidden),
            f"{layer}.self_attn.v_proj.weight": (keys, model.hidden),
            f"{layer}.self_attn.o_proj.weight": (model.hidden, queries),
            f"{layer}.self_attn.q_norm.weight": (model.head,),
            f"{layer}.self_attn.k_norm.weight": (model.head,),
            **_feed_forward(model, f"{layer}.mlp"),
        }
    if model.stored_head or not model.tied:
        shapes["lm_head.weight"] = table
    return shapes


def _feed_forward(model: Model, prefix: str) -> dict[str, tuple[int, ...]]:
    wide, narrow = (model.feed_forward, model.hidden), (model.hidden, model.feed_forward)
    if not model.experts:
        shapes = {"gate_proj": wide, "up_proj": wide, "down_proj": narrow}
        return {f"{prefix}.{name}.weight": shape for name, shape in shapes.items()}
    found: dict[str, tuple[int, ...]] = {f"{prefix}.gate.weight": (model.experts, model.hidden)}
    if model.fused:
        both = (model.experts, 2 * model.feed_forward, model.hidden)
        down = (model.experts, *narrow)
        return {**found, f"{prefix}.experts.gate_up_proj": both, f"{prefix}.experts.down_proj": down}
    for number in range(model.experts):
        expert = f"{prefix}.experts.{number}"
        found |= {f"{expert}.gate_proj.weight": wide, f"{expert}.up_proj.weight": wide}
        found[f"{expert}.down_proj.weight"] = narrow
    return found


@dataclass(frozen=True)
class Stored:
    """A tensor's numbers as they are stored, and the name of their type."""

    data: Array
    dtype: str


def make_tensors(model: Model) -> dict[str, Stored]:
    """Random weights, stored as the model's dtype; BF16 as its 16 bits."""
    tensors: dict[str, Stored] = {}
    for number, (name, shape) in enumerate(tensor_shapes(model).items()):
        floats = random_floats(shape, model.seed * 1000 + number)
        if model.fp8 and ".layers." in name and name.endswith("_proj.weight"):
            tensors |= _fp8(name, floats, model.fp8, model.scales)
        else:
            tensors[name] = Stored(encode(floats, model.dtype), model.dtype)
    return tensors


def _fp8(name: str, floats: Array, block: tuple[int, int], scales: str) -> dict[str, Stored]:
    """Codes that cover the whole type but NaN, and a scale for each block."""
    codes = ((np.abs(floats) * 9973).astype(np.int64) % 127 + 128 * (floats < 0)).astype(np.uint8)
    shape = tuple(-(-size // step) for size, step in zip(floats.shape, block, strict=True))
    factors = random_floats(shape, len(name)) * np.float32(0.01)
    stored = Stored(encode(np.abs(factors) + np.float32(1e-4), scales), scales)
    return {name: Stored(codes, "F8_E4M3"), f"{name}_scale_inv": stored}


def random_floats(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Bell-shaped numbers around 0 (around 1 for norms), with a few zeros, subnormals and large ones."""
    count = int(np.prod(shape))
    state = np.arange(1, 4 * count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64's mixing
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    uniform = ((state >> np.uint64(40)).astype(np.float64) / (1 << 24)).reshape(count, 4)
    numbers = (uniform.sum(axis=1) - 2) * 0.08 + (1 if len(shape) == 1 else 0)
    if len(shape) > 1:
        numbers[::97] = 0
        numbers[::211] = 3e-39
        numbers[::389] *= 100
    return numbers.astype(np.float32).reshape(shape)


def encode(numbers: npt.NDArray[np.float32], dtype: str) -> Array:
    if dtype == "F32":
        return numbers.astype("<f4")
    if dtype == "F16":
        with np.errstate(under="ignore"):
            return numbers.astype("<f2")
    bits = numbers.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype("<u2")


def write_safetensors(path: Path, tensors: Mapping[str, Stored]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.data.nbytes
        shape = list(tensor.data.shape)
        header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    write_raw_safetensors(path, header, b"".join(tensor.data.tobytes() for tensor in tensors.values()))


def write_raw_safetensors(path: Path, header: Mapping[str, Any] | str, data: bytes) -> None:
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    raw = text.encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")


def _write_shards(folder: Path, tensors: dict[str, Stored], model: Model) -> None:
    names = list(tensors)
    size = -(-len(names) // model.shards)
    weight_map: dict[str, str] = {}
    for shard in range(model.shards):
        file = f"model-{shard + 1:05}-of-{model.shards:05}.safetensors"
        mine = names[shard * size : (shard + 1) * size]
        write_safetensors(folder / file, {name: tensors[name] for name in mine})
        weight_map |= dict.fromkeys(mine, file)
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
