"""The shapes of released Qwen3 models: their configuration, and the names and sizes of their tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

HEAD: Final = 128
VOCABULARY: Final = 151936
EXPERTS_PER_TOKEN: Final = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that all tensors follow from; with `experts`, each of them is `feed_forward` wide."""

    name: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    tied: bool = False
    experts: int = 0

    @property
    def title(self) -> str:
        """The name, and the layers, which may be fewer than the model's."""
        return f"{self.name}, {self.layers} layers"

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(prod(shape) for _, shape in self.tensors())

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and shapes, in the order of the file."""
        yield "model.embed_tokens.weight", (VOCABULARY, self.hidden)
        for layer in range(self.layers):
            for name, shape in self._layer():
                yield f"model.layers.{layer}.{name}.weight", shape
        yield "model.norm.weight", (self.hidden,)
        if not self.tied:
            yield "lm_head.weight", (VOCABULARY, self.hidden)

    def config(self) -> dict[str, Any]:
        """config.json, as the released models have it."""
        return {
            "architectures": ["Qwen3MoeForCausalLM" if self.experts else "Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 151643,
            "eos_token_id": 151645,
            "head_dim": HEAD,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.feed_forward,
            "max_position_embeddings": 40960,
            "max_window_layers": self.layers,
            "model_type": "qwen3_moe" if self.experts else "qwen3",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": VOCABULARY,
            **(self._mixture() if self.experts else {}),
        }

    def _mixture(self) -> dict[str, Any]:
        return {
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "moe_intermediate_size": self.feed_forward,
            "norm_topk_prob": True,
            "num_experts": self.experts,
            "num_experts_per_tok": EXPERTS_PER_TOKEN,
        }

    def _layer(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        queries, keys = self.heads * HEAD, self.kv_heads * HEAD
        yield "input_layernorm", (self.hidden,)
        yield "self_attn.q_proj", (queries, self.hidden)
        yield "self_attn.k_proj", (keys, self.hidden)
        yield "self_attn.v_proj", (keys, self.hidden)
        yield "self_attn.o_proj", (self.hidden, queries)
        yield "self_attn.q_norm", (HEAD,)
        yield "self_attn.k_norm", (HEAD,)
        yield "post_attention_layernorm", (self.hidden,)
        if self.experts:
            yield "mlp.gate", (self.experts, self.hidden)
        for block in [f"mlp.experts.{number}" for number in range(self.experts)] or ["mlp"]:
            yield f"{block}.gate_proj", (self.feed_forward, self.hidden)
            yield f"{block}.up_proj", (self.feed_forward, self.hidden)
            yield f"{block}.down_proj", (self.hidden, self.feed_forward)


SMALL: Final = Shape("Qwen3-0.6B", 28, 1024, 3072, 16, 8, tied=True)
LARGE: Final = {
    "8B": Shape("Qwen3-8B", 36, 4096, 12288, 32, 8),
    "30B-A3B": Shape("Qwen3-30B-A3B", 48, 2048, 768, 32, 4, experts=128),
}
