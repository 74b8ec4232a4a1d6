"""Qwen3ForCausalLM: its tensors under their GGUF names, and its metadata.

Source: conversion/qwen.py and base.py (`TextModel.set_gguf_parameters`) of llama.cpp. Rows keep their order:
Qwen3's query and key are not permuted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from converters.checkpoint import Checkpoint, Config, as_number
from converters.documents import JsonObject
from converters.entries import Entries
from converters.errors import CheckpointError
from converters.registry import MappedTensor, Part
from converters.rules import Traits
from converters.safetensors import SourceTensor

GGUF_NAME: Final = "qwen3"

_MAX_LAYERS: Final = 512  # LLAMA_MAX_LAYERS of llama.cpp
# Derived from the configuration, stored by some old exports, and of no use: llama.cpp's converter drops them.
_DERIVED: Final = (".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias")
_HEAD: Final = "lm_head.weight"
_KV_HEADS: Final = "num_key_value_heads"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that all tensors follow from."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int

    @classmethod
    def of(cls, config: Config) -> Shape:
        """From config.json, with the defaults of transformers' Qwen3Config."""
        heads = config.integer("num_attention_heads")
        shape = cls(
            layers=config.integer("num_hidden_layers", most=_MAX_LAYERS),
            hidden=config.integer("hidden_size"),
            feed_forward=config.integer("intermediate_size", least=2),
            heads=heads,
            # Absent means 32 to transformers, and null means as many as there are heads.
            kv_heads=config.integer(_KV_HEADS, heads if _KV_HEADS in config.values else 32),
            head=config.integer("head_dim", 128),
            vocabulary=config.integer("vocab_size"),
        )
        if shape.heads % shape.kv_heads:
            sizes = f"{heads} attention heads, no multiple of its {shape.kv_heads} key-value heads"
            raise CheckpointError(f"`{config.path}` has {sizes}")
        if shape.head % 2:
            raise CheckpointError(
                f"`{config.path}` has the odd head size {shape.head}, which rope cannot turn"
            )
        return shape


def map_tensors(checkpoint: Checkpoint) -> list[MappedTensor]:
    """All tensors, each checked for its shape."""
    shape = Shape.of(checkpoint.config)
    check_behaviour(checkpoint.config, shape)

    def layer_tensors(layer: int) -> list[MappedTensor]:
        return attention_tensors(shape, layer) + feed_forward_tensors(shape, layer)

    return match_tensors(checkpoint, shape, layer_tensors)


def hyperparameters(config: Config) -> Entries:
    """The `qwen3.*` keys."""
    shape = Shape.of(config)
    entries = common_hyperparameters(GGUF_NAME, config, shape)
    entries.extend(head_lengths(GGUF_NAME, shape))
    return entries


def traits(config: Config) -> Traits:
    """What recipes ask about the model."""
    shape = Shape.of(config)
    return Traits(shape.layers, shape.heads // shape.kv_heads)


def check_behaviour(config: Config, shape: Shape) -> None:
    """Refuses what llama.cpp's graph of this architecture would compute differently without a word."""
    if config.values.get("hidden_act", "silu") != "silu":
        raise CheckpointError(
            f"`{config.path}` has the activation `{str(config.values['hidden_act'])[:40]}` instead of silu"
        )
    if config.number("partial_rotary_factor", 1.0) != 1.0:
        raise CheckpointError(f"`{config.path}` turns only a part of each head (`partial_rotary_factor`)")
    windowed = config.flag("use_sliding_window", False)
    if windowed and config.integer("max_window_layers", 28, least=0) < shape.layers:
        raise CheckpointError(
            f"`{config.path}` uses sliding-window attention, which llama.cpp lacks for Qwen3"
        )


def model_tensors(shape: Shape, *, has_head: bool) -> list[MappedTensor]:
    """What stands outside of the layers."""
    table = (shape.vocabulary, shape.hidden)
    mapped = [
        plain("model.embed_tokens.weight", "token_embd.weight", table),
        plain("model.norm.weight", "output_norm.weight", (shape.hidden,)),
    ]
    if has_head:
        mapped.append(plain(_HEAD, "output.weight", table))
    return mapped


def attention_tensors(shape: Shape, layer: int) -> list[MappedTensor]:
    """A layer's attention and its two norms."""
    source, target = f"model.layers.{layer}", f"blk.{layer}"
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    return [
        plain(f"{source}.input_layernorm.weight", f"{target}.attn_norm.weight", (shape.hidden,)),
        plain(f"{source}.post_attention_layernorm.weight", f"{target}.ffn_norm.weight", (shape.hidden,)),
        plain(f"{source}.self_attn.q_proj.weight", f"{target}.attn_q.weight", (queries, shape.hidden)),
        plain(f"{source}.self_attn.k_proj.weight", f"{target}.attn_k.weight", (keys, shape.hidden)),
        plain(f"{source}.self_attn.v_proj.weight", f"{target}.attn_v.weight", (keys, shape.hidden)),
        plain(f"{source}.self_attn.o_proj.weight", f"{target}.attn_output.weight", (shape.hidden, queries)),
        plain(f"{source}.self_attn.q_norm.weight", f"{target}.attn_q_norm.weight", (shape.head,)),
        plain(f"{source}.self_attn.k_norm.weight", f"{target}.attn_k_norm.weight", (shape.head,)),
    ]


def feed_forward_tensors(shape: Shape, layer: int) -> list[MappedTensor]:
    """A layer's feed-forward block, of a model without experts."""
    source, target = f"model.layers.{layer}.mlp", f"blk.{layer}"
    return [
        plain(f"{source}.gate_proj.weight", f"{target}.ffn_gate.weight", (shape.feed_forward, shape.hidden)),
        plain(f"{source}.up_proj.weight", f"{target}.ffn_up.weight", (shape.feed_forward, shape.hidden)),
        plain(f"{source}.down_proj.weight", f"{target}.ffn_down.weight", (shape.hidden, shape.feed_forward)),
    ]


def plain(source: str, target: str, shape: tuple[int, ...]) -> MappedTensor:
    """A tensor that is the checkpoint's under another name."""
    return MappedTensor(target, shape, (Part.whole(source, shape),))


def match_tensors(
    checkpoint: Checkpoint, shape: Shape, layer_tensors: Callable[[int], list[MappedTensor]]
) -> list[MappedTensor]:
    """The model's tensors and those of each layer, once the checkpoint is known to have just those.

    Raises CheckpointError at the first that does not match. Layers are asked for one by one, so a configuration
    that claims thousands of tensors costs no more than the checkpoint has.
    """
    # Tied embeddings need no lm_head, and one that is there is kept.
    has_head = _HEAD in checkpoint.tensors or not checkpoint.config.tied
    mapped = model_tensors(shape, has_head=has_head)
    expected = {part.name for tensor in mapped for part in _found_parts(checkpoint, tensor)}
    for layer in range(shape.layers):
        tensors = layer_tensors(layer)
        expected |= {part.name for tensor in tensors for part in _found_parts(checkpoint, tensor)}
        mapped += tensors
    for name, tensor in checkpoint.tensors.items():
        if name not in expected and not name.endswith(_DERIVED):
            raise _superfluous(checkpoint, tensor)
    return mapped


def _found_parts(checkpoint: Checkpoint, tensor: MappedTensor) -> tuple[Part, ...]:
    """The parts of `tensor`, all of which the checkpoint has in their shape; CheckpointError otherwise."""
    for part in tensor.parts:
        found = checkpoint.tensors.get(part.name)
        if found is None:
            hint = _missing_hint(part.name)
            raise CheckpointError(f"`{checkpoint.folder}` lacks the tensor `{part.name}`", hint=hint)
        if found.shape != part.shape:
            sizes = f"{list(found.shape)} instead of {list(part.shape)}"
            hint = "config.json and the weights belong to different models"
            raise CheckpointError(f"tensor `{part.name}` of `{found.path}` has the shape {sizes}", hint=hint)
    return tensor.parts


def common_hyperparameters(prefix: str, config: Config, shape: Shape) -> Entries:
    """What all text models of the family say about themselves, in llama.cpp's order."""
    entries = Entries()
    entries.u32(f"{prefix}.block_count", shape.layers)
    entries.u32(f"{prefix}.context_length", config.integer("max_position_embeddings", 32768))
    entries.u32(f"{prefix}.embedding_length", shape.hidden)
    entries.u32(f"{prefix}.feed_forward_length", shape.feed_forward)
    entries.u32(f"{prefix}.attention.head_count", shape.heads)
    entries.u32(f"{prefix}.attention.head_count_kv", shape.kv_heads)
    _add_rope(entries, prefix, config)
    epsilon = _positive(config.number("rms_norm_eps", 1e-6), "rms_norm_eps", config)
    entries.f32(f"{prefix}.attention.layer_norm_rms_epsilon", epsilon)
    return entries


def head_lengths(prefix: str, shape: Shape) -> Entries:
    """The sizes of a head, which llama.cpp's converter writes after those of experts."""
    entries = Entries()
    entries.u32(f"{prefix}.attention.key_length", shape.head)
    entries.u32(f"{prefix}.attention.value_length", shape.head)
    return entries


def _add_rope(entries: Entries, prefix: str, config: Config) -> None:
    """Rotary base and scaling; transformers 5 writes both into `rope_parameters`."""
    rope = _rope(config)
    kind = rope.get("rope_type", rope.get("type", "default"))

    def number(key: str) -> float:
        return as_number(rope.get(key), 0.0, f"`{key}` of the rope scaling of `{config.path}`")

    if kind in ("linear", "yarn"):
        entries.text(f"{prefix}.rope.scaling.type", kind)
        entries.f32(f"{prefix}.rope.scaling.factor", _positive(number("factor"), "factor", config))
    elif kind != "default":
        raise CheckpointError(f"`{config.path}` has the rope scaling `{str(kind)[:40]}`, not linear or yarn")
    if kind == "yarn":
        original = rope.get("original_max_position_embeddings")
        if original is None:
            original = config.values.get("original_max_position_embeddings")
        entries.u32(f"{prefix}.rope.scaling.original_context_length", _context(original, config))
        for name, keys in _YARN_KEYS.items():
            given = [key for key in keys if rope.get(key) is not None]
            if given:
                entries.f32(f"{prefix}.rope.scaling.{name}", number(given[0]))
    theta = as_number(rope.get("rope_theta"), config.number("rope_theta", 10000.0), f"`{config.path}`")
    entries.f32(f"{prefix}.rope.freq_base", _positive(theta, "rope_theta", config))


def _rope(config: Config) -> JsonObject:
    """The table of rotary parameters; CheckpointError where the old one scales and the new one does not."""
    new, old = config.table("rope_parameters"), config.table("rope_scaling")
    for table in (new, old):
        if as_number(table.get("partial_rotary_factor"), 1.0, f"`{config.path}`") != 1.0:
            raise CheckpointError(f"`{config.path}` turns only a part of each head (`partial_rotary_factor`)")
    kinds = [table.get("rope_type", table.get("type", "default")) for table in (new, old)]
    if new and old and kinds[0] != kinds[1]:
        message = f"`{config.path}` has two rope scalings, `{str(kinds[0])[:40]}` and `{str(kinds[1])[:40]}`"
        raise CheckpointError(message, hint="keep one of `rope_parameters` and `rope_scaling`")
    return new or old


_YARN_KEYS: Final = {
    "yarn_ext_factor": ("extrapolation_factor",),
    "yarn_attn_factor": ("attention_factor", "attn_factor"),
    "yarn_beta_fast": ("beta_fast",),
    "yarn_beta_slow": ("beta_slow",),
}


def _positive(value: float, key: str, config: Config) -> float:
    if value > 0:
        return value
    raise CheckpointError(f"`{key}` of `{config.path}` must be a number above 0")


def _context(value: Any, config: Config) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1 << 31:
        return value
    found = "lacks" if value is None else f"has {str(value)[:40]} as"
    raise CheckpointError(f"`{config.path}` scales by yarn and {found} `original_max_position_embeddings`")


def _missing_hint(name: str) -> str:
    if name == _HEAD:
        return "config.json says that the embeddings are not tied: set `tie_word_embeddings` if they are"
    return "a shard is missing or config.json belongs to another model"


def _superfluous(checkpoint: Checkpoint, tensor: SourceTensor) -> CheckpointError:
    where = f"tensor `{tensor.name}` of `{tensor.path}`"
    if "lora_" in tensor.name:
        return CheckpointError(f"{where} belongs to a LoRA adapter", hint="merge the adapter first")
    return CheckpointError(f"{where} is not part of a {checkpoint.config.architecture}")
