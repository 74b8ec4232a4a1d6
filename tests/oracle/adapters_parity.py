"""LoRA adapters, merged on the way into a file, beside PEFT's `merge_and_unload`: logits and weights.

Adapters are random, large enough to change what the model says, and written by PEFT. Run by `make oracle`. Needs the
extra `oracle`. Fails unless, for every adapter, the mean KL divergence between the merged models is at most 1e-6, the
most likely token the same at every position, and no weight further off than the last bits of a 32-bit number;
and unless what cannot be merged is refused.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from converters import AdapterError, Wishes, convert, prepare
from tests.oracle.logits import (
    HEADING,
    MOST_KL,
    THREADS,
    Shape,
    be_quiet,
    compare,
    logits_of,
    logits_of_file,
    random_model,
    save,
)
from tests.oracle.source import CACHE

MOST_APART = 1e-5
"""Of the largest number of the tensor: the order of sums, and no more."""

_ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_UNTIED = Shape(heads=16, kv_heads=4, hidden=256, head=32, tied=False)
_TIED = Shape(heads=16, kv_heads=8, hidden=256, head=32, tied=True)
_MIXTURE = Shape(heads=16, kv_heads=2, hidden=256, head=32, tied=False, experts=16)


@dataclass(frozen=True)
class Case:
    """An adapter: what PEFT is told, and how its weights are stored."""

    shape: Shape
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    dtype: torch.dtype = torch.float32


def _whole(*modules: str) -> dict[str, Any]:
    return {"modules_to_save": list(modules)}


_KEPT_TIED = {"ensure_weight_tying": True}

CASES = {
    "all projections": Case(_UNTIED, {"target_modules": _ALL, "r": 8, "lora_alpha": 16}),
    "patterns of rank and alpha": Case(
        _UNTIED,
        {
            "target_modules": _ALL,
            "r": 8,
            "lora_alpha": 24,
            "rank_pattern": {"q_proj": 3, r"layers\.[01]\.mlp\.down_proj": 17},
            "alpha_pattern": {"v_proj": 5, r"layers\.2\..*_proj": 40},
        },
    ),
    "patterns, by the root of the rank": Case(
        _TIED,
        {
            "target_modules": _ALL,
            "r": 16,
            "lora_alpha": 8,
            "use_rslora": True,
            "rank_pattern": {"k_proj": 64, "o_proj": 1},
            "alpha_pattern": {"down_proj": 2},
        },
    ),
    "stored as BF16": Case(_UNTIED, {"target_modules": _ALL, "r": 8}, torch.bfloat16),
    "embeddings changed, head as a whole": Case(
        _UNTIED, {"target_modules": ["q_proj", "embed_tokens"], **_whole("lm_head")}
    ),
    "a changed head": Case(_UNTIED, {"target_modules": ["v_proj", "lm_head"], "r": 4}),
    "experts, attention changed": Case(_MIXTURE, {"target_modules": _ALL[:4], "lora_alpha": 12}),
    "experts, router as a whole": Case(
        _MIXTURE, {"target_modules": ["q_proj"], "modules_to_save": ["gate", "input_layernorm"]}
    ),
    # What changes one of two tied matrices changes both, unless it is trained as a whole: then they part.
    "tied, embeddings changed": Case(_TIED, {"target_modules": ["q_proj", "embed_tokens"]}),
    "tied, head changed": Case(_TIED, {"target_modules": ["q_proj", "lm_head"]}),
    "tied, both changed": Case(_TIED, {"target_modules": ["q_proj", "lm_head", "embed_tokens"]}),
    "tied, kept tied": Case(_TIED, {"target_modules": ["q_proj", "embed_tokens"], **_KEPT_TIED}),
    "tied, embeddings as a whole": Case(_TIED, {"target_modules": ["q_proj"], **_whole("embed_tokens")}),
    "tied, head as a whole": Case(_TIED, {"target_modules": ["q_proj"], **_whole("lm_head")}),
    "tied, both as a whole": Case(_TIED, {"target_modules": ["q_proj"], **_whole("lm_head", "embed_tokens")}),
    "tied, as a whole, kept tied": Case(
        _TIED, {"target_modules": ["q_proj"], **_whole("embed_tokens"), **_KEPT_TIED}
    ),
    "tied, changed beside a whole head": Case(
        _TIED, {"target_modules": ["embed_tokens"], **_whole("lm_head")}
    ),
    "tied, changed beside a whole table": Case(
        _TIED, {"target_modules": ["lm_head"], **_whole("embed_tokens")}
    ),
}
# What PEFT writes and we do not merge: to be refused, not merged wrongly.
REFUSED = {
    "DoRA": Case(_UNTIED, {"target_modules": ["q_proj"], "use_dora": True}),
    "PiSSA": Case(_UNTIED, {"target_modules": ["q_proj"], "init_lora_weights": "pissa"}),
    "OLoRA": Case(_UNTIED, {"target_modules": ["q_proj"], "init_lora_weights": "olora"}),
    "biases": Case(_UNTIED, {"target_modules": ["q_proj"], "lora_bias": True}),
    "single tokens": Case(_TIED, {"target_modules": ["q_proj"], "trainable_token_indices": [1, 2]}),
    "fused experts": Case(
        _MIXTURE, {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj"]}
    ),
    "whole experts": Case(_MIXTURE, {"target_modules": ["q_proj"], "modules_to_save": ["experts"]}),
}


def main() -> None:
    """Prints a line per adapter; exits with 1 if one of them is off."""
    be_quiet()
    # Most say that changing tied embeddings changes the output too: that is what is measured.
    warnings.simplefilter("ignore")
    CACHE.mkdir(exist_ok=True)
    print(f"{'adapter':36} {HEADING}   weights apart   {'KL without it':>13}")
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        right = [_check(name, Path(work) / name, seed) for seed, name in enumerate(CASES)]
        right += [_is_refused(name, Path(work) / name) for name in REFUSED]
    if not all(right):
        sys.exit("merged adapters differ from PEFT's")


def _check(name: str, folder: Path, seed: int) -> bool:
    case = CASES[name]
    checkpoint = save(random_model(case.shape, seed), folder / "base")
    _write_adapter(random_model(case.shape, seed), case, folder / "adapter", seed)
    convert(checkpoint, folder / "ours.gguf", "f32", Wishes(adapter=folder / "adapter"), threads=THREADS)
    merged = PeftModel.from_pretrained(random_model(case.shape, seed), folder / "adapter").merge_and_unload()
    convert(save(merged, folder / "merged"), folder / "theirs.gguf", "f32", threads=THREADS)
    theirs = logits_of(merged.eval())
    compared = compare(theirs, logits_of_file(folder / "ours.gguf"))
    apart = _apart(folder / "ours.gguf", folder / "theirs.gguf")
    effect = compare(theirs, logits_of(random_model(case.shape, seed)))
    print(f"{name:36} {compared}   {apart:13.1e}   {effect.mean:13.1e}", flush=True)
    return compared.within(MOST_KL) and apart <= MOST_APART


def _is_refused(name: str, folder: Path) -> bool:
    case = REFUSED[name]
    checkpoint = save(random_model(case.shape, 0), folder / "base")
    _write_adapter(random_model(case.shape, 0), case, folder / "adapter", 0)
    try:
        prepare(checkpoint, "f32", Wishes(adapter=folder / "adapter"))
    except AdapterError as error:
        print(f"{name:36} refused: {str(error).partition('/adapter` ')[2]}", flush=True)
        return True
    print(f"{name:36} NOT refused", flush=True)
    return False


def _write_adapter(model: PreTrainedModel, case: Case, folder: Path, seed: int) -> None:
    torch.manual_seed(1000 + seed)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **case.options))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.copy_(0.08 * torch.randn_like(weight))
    adapted.save_pretrained(folder)
    if case.dtype is not torch.float32:
        path = folder / "adapter_model.safetensors"
        stored = {name: tensor.to(case.dtype) for name, tensor in load_file(path).items()}
        save_file(stored, path, metadata={"format": "pt"})


def _apart(ours: Path, theirs: Path) -> float:
    """How far any two numbers are apart, measured by the largest of their tensor; infinite for other tensors."""
    left, right = GGUFReader(ours).tensors, GGUFReader(theirs).tensors
    if [(one.name, one.shape.tolist()) for one in left] != [(one.name, one.shape.tolist()) for one in right]:
        return np.inf
    pairs = ((one.data, other.data) for one, other in zip(left, right, strict=True))
    return max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs)


if __name__ == "__main__":
    main()
