"""Qwen3MoeForCausalLM: attention as in qwen3.py, and experts stacked into one tensor of three dimensions.

Source: conversion/qwen.py (`Qwen2MoeModel`, `Qwen3MoeModel`) and src/models/qwen3moe.cpp of llama.cpp. Experts
come one tensor each, as the released checkpoints have them, or fused, as transformers 5 keeps them in memory.
"""

from __future__ import annotations

from typing import Final

from converters.checkpoint import Checkpoint, Config
from converters.entries import Entries
from converters.errors import CheckpointError
from converters.qwen3 import (
    Shape,
    attention_tensors,
    check_behaviour,
    common_hyperparameters,
    head_lengths,
    match_tensors,
    plain,
)
from converters.registry import MappedTensor, Part
from converters.rules import Traits

GGUF_NAME: Final = "qwen3moe"

_MAX_EXPERTS: Final = 512  # LLAMA_MAX_EXPERTS of llama.cpp
_FUSED: Final = "model.layers.0.mlp.experts.gate_up_proj"


def map_tensors(checkpoint: Checkpoint) -> list[MappedTensor]:
    """All tensors, each checked for its shape."""
    config = checkpoint.config
    shape = Shape.of(config)
    check_behaviour(config, shape)
    _check_routing(config)
    experts, width = _experts(config), config.integer("moe_intermediate_size", least=2)
    stacked = _fused_tensors if _FUSED in checkpoint.tensors else expert_tensors

    def layer_tensors(layer: int) -> list[MappedTensor]:
        tensors = [*attention_tensors(shape, layer), router(layer, experts, shape.hidden)]
        return tensors + stacked(layer, experts, width, shape.hidden)

    return match_tensors(checkpoint, shape, layer_tensors)


def hyperparameters(config: Config) -> Entries:
    """The `qwen3moe.*` keys."""
    shape = Shape.of(config)
    experts = _experts(config)
    entries = common_hyperparameters(GGUF_NAME, config, shape)
    entries.u32(f"{GGUF_NAME}.expert_count", experts)
    entries.u32(f"{GGUF_NAME}.expert_used_count", config.integer("num_experts_per_tok", most=experts))
    entries.extend(head_lengths(GGUF_NAME, shape))
    entries.u32(f"{GGUF_NAME}.expert_feed_forward_length", config.integer("moe_intermediate_size", least=2))
    if config.values.get("shared_expert_intermediate_size") is not None:  # Qwen3-Coder says 0.
        entries.u32(f"{GGUF_NAME}.expert_shared_feed_forward_length", 0)
    return entries


def traits(config: Config) -> Traits:
    """What recipes ask about the model."""
    shape = Shape.of(config)
    return Traits(shape.layers, shape.heads // shape.kv_heads, _experts(config))


def _experts(config: Config) -> int:
    """How many there are; Mixtral's name for it comes first, as in llama.cpp's converter."""
    key = "num_experts" if config.values.get("num_local_experts") is None else "num_local_experts"
    return config.integer(key, most=_MAX_EXPERTS)


def _check_routing(config: Config) -> None:
    """Refuses what llama.cpp's graph would compute differently without a word."""
    if not config.flag("norm_topk_prob", False):
        message = f"`{config.path}` does not normalise the experts' shares (`norm_topk_prob`)"
        raise CheckpointError(message, hint="llama.cpp always does for this architecture")
    dense = config.values.get("mlp_only_layers")
    if dense or config.integer("decoder_sparse_step", 1) != 1:
        raise CheckpointError(f"`{config.path}` has layers without experts, which llama.cpp lacks here")
    if config.integer("shared_expert_intermediate_size", 0, least=0):
        raise CheckpointError(f"`{config.path}` has a shared expert, which llama.cpp lacks here")


def router(layer: int, experts: int, hidden: int) -> MappedTensor:
    """What chooses a layer's experts."""
    source = f"model.layers.{layer}.mlp.gate.weight"
    return plain(source, f"blk.{layer}.ffn_gate_inp.weight", (experts, hidden))


def expert_tensors(layer: int, experts: int, width: int, hidden: int) -> list[MappedTensor]:
    """A layer's experts, which the released checkpoints have one tensor each."""
    source = f"model.layers.{layer}.mlp.experts"
    shapes = {"gate": (width, hidden), "up": (width, hidden), "down": (hidden, width)}
    return [
        MappedTensor(
            f"blk.{layer}.ffn_{kind}_exps.weight",
            (experts, *shape),
            tuple(Part.whole(f"{source}.{number}.{kind}_proj.weight", shape) for number in range(experts)),
        )
        for kind, shape in shapes.items()
    ]


def _fused_tensors(layer: int, experts: int, width: int, hidden: int) -> list[MappedTensor]:
    """gate_up_proj [experts, 2·width, hidden] holds an expert's gate, then its up; down_proj is whole."""
    source, target = f"model.layers.{layer}.mlp.experts", f"blk.{layer}"
    both, down = (experts, 2 * width, hidden), (experts, hidden, width)

    def parts(name: str, shape: tuple[int, ...], begin: int, count: int) -> tuple[Part, ...]:
        return tuple(Part(name, shape, shape[1] * number + begin, count) for number in range(experts))

    gate_up = f"{source}.gate_up_proj"
    return [
        MappedTensor(
            f"{target}.ffn_gate_exps.weight", (experts, width, hidden), parts(gate_up, both, 0, width)
        ),
        MappedTensor(
            f"{target}.ffn_up_exps.weight", (experts, width, hidden), parts(gate_up, both, width, width)
        ),
        MappedTensor(f"{target}.ffn_down_exps.weight", down, parts(f"{source}.down_proj", down, 0, hidden)),
    ]
