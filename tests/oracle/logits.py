"""Random models of transformers, their logits, and those that llama.cpp computes with a GGUF file.

What logits_parity.py and adapters_parity.py share.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import torch
from transformers import (
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)
from transformers.utils.logging import disable_progress_bar

from tests.converters.checkpoints import Model, write_json
from tests.converters.vocabulary import make_tokenizer, make_tokenizer_config

THREADS = 2
MOST_KL = 1e-6
HEADING = f"{'mean KL':>9} {'max KL':>9} {'argmax equal':>13}"


@dataclass(frozen=True)
class Shape:
    """A model to be made up; with `experts` a mixture, of which each token asks `used`."""

    heads: int
    kv_heads: int
    hidden: int
    head: int
    tied: bool
    layers: int = 4
    experts: int = 0
    used: int = 4


@dataclass(frozen=True)
class Comparison:
    """KL divergence in nats, and whether the most likely token is the same, per position."""

    divergence: np.ndarray
    equal: np.ndarray

    @property
    def mean(self) -> float:
        """The mean divergence."""
        return float(self.divergence.mean())

    def within(self, most: float) -> bool:
        """Whether the mean divergence is at most that and the most likely token always the same."""
        return bool(self.mean <= most and self.equal.all())

    def __str__(self) -> str:
        figures = f"{self.mean:9.1e} {self.divergence.max():9.1e}"
        return f"{figures} {self.equal.sum():8} / {self.equal.size}"


def be_quiet() -> None:
    """No progress bars, no log of llama.cpp; and no more threads than wanted."""
    torch.set_num_threads(THREADS)
    llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(None))
    disable_progress_bar()


def random_model(shape: Shape, seed: int) -> PreTrainedModel:
    """In 32 bits; weights large enough for confident, hence telling, logits."""
    torch.manual_seed(seed)
    common = {
        "vocab_size": Model().vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": 3 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        "tie_word_embeddings": shape.tied,
        "initializer_range": 0.08,
        "eos_token_id": None,
    }
    if shape.experts:
        routing = {"num_experts": shape.experts, "num_experts_per_tok": shape.used, "norm_topk_prob": True}
        width = {"moe_intermediate_size": shape.hidden // 2}
        model: PreTrainedModel = Qwen3MoeForCausalLM(Qwen3MoeConfig(**common, **routing, **width))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**common))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
    return model.eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """The checkpoint as transformers writes it, with a tiny tokenizer."""
    model.save_pretrained(folder)
    write_json(folder / "tokenizer.json", make_tokenizer())
    write_json(folder / "tokenizer_config.json", make_tokenizer_config())
    return folder


def logits_of(model: PreTrainedModel) -> np.ndarray:
    """As transformers computes them."""
    with torch.no_grad():
        return model(torch.tensor([_tokens()])).logits[0].float().numpy()


def logits_of_file(path: Path, *, exact: bool = True) -> np.ndarray:
    """As llama.cpp computes them; `exact` keeps its cache in 32 bits instead of the usual 16."""
    tokens = _tokens()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = 512
    params.n_threads = params.n_threads_batch = THREADS
    if exact:
        params.type_k = params.type_v = 0  # GGML_TYPE_F32
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for position, token in enumerate(tokens):
        batch.token[position], batch.pos[position] = token, position
        batch.n_seq_id[position], batch.logits[position] = 1, 1
        batch.seq_id[position][0] = 0
    assert llama_cpp.llama_decode(context, batch) == 0
    size = (Model().vocabulary,)
    rows = [
        np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, position), size).copy()
        for position in range(len(tokens))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.stack(rows)


def compare(theirs: np.ndarray, ours: np.ndarray) -> Comparison:
    """How far our logits are from theirs."""
    p, q = _log_softmax(theirs), _log_softmax(ours)
    return Comparison((np.exp(p) * (p - q)).sum(-1), theirs.argmax(-1) == ours.argmax(-1))


def _tokens() -> list[int]:
    """96 token ids, all over the tiny vocabulary."""
    return [(37 * position * position + 11 * position) % Model().vocabulary for position in range(96)]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@llama_cpp.llama_log_callback
def _quiet(level: int, text: bytes, data: object) -> None:
    """Swallows llama.cpp's log; a module-level name, since ctypes does not keep callbacks alive."""
