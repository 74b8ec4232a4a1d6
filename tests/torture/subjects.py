"""What is damaged: checkpoints of every kind that can be converted, with what may be given beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters import RECIPES, Wishes
from tests.converters.adapters import PREFIX, embedding_lora, lora, make_adapter
from tests.converters.cases import CARD
from tests.converters.checkpoints import Model, make_checkpoint, random_floats
from tests.converters.imatrices import write_dat, write_gguf
from tests.converters.vocabulary import TEMPLATE, make_tokenizer, make_tokenizer_config

FEW = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_1", "Q4_K_M", "IQ4_NL")
_SMALL = Model(layers=1, hidden=32, feed_forward=32, heads=2, kv_heads=1, head=16)


@dataclass(frozen=True)
class Subject:
    """A checkpoint and what a person gives with it."""

    model: Model
    recipes: Sequence[str] = FEW
    imatrix: Callable[[Path, Model], Path] | None = None
    adapter: bool = False

    def make(self, folder: Path) -> Wishes:
        """Writes everything below `folder`; the checkpoint is its `model`."""
        make_checkpoint(folder / "model", self.model)
        suffix = "dat" if self.imatrix is write_dat else "gguf"
        imatrix = self.imatrix and self.imatrix(folder / f"imatrix.{suffix}", self.model)
        return Wishes(imatrix=imatrix, adapter=_adapter(folder, self.model) if self.adapter else None)


def _adapter(folder: Path, model: Model) -> Path:
    layer, width = "model.layers.0.self_attn", model.hidden
    tensors = {
        **lora(f"{layer}.q_proj", (model.heads * model.head, width), 4),
        **lora(f"{layer}.v_proj", (model.kv_heads * model.head, width), 2),
        **embedding_lora("model.embed_tokens", (model.vocabulary, width), 3),
        f"{PREFIX}model.norm.weight": random_floats((width,), 9),
    }
    return make_adapter(folder / "lora", tensors, alpha_pattern={"v_proj": 3}, rank_pattern={"v_proj": 2})


def _rich() -> Model:
    """A dense model whose small files say all that they can."""
    tokenizer = make_tokenizer()
    tokenizer["model"]["merges"] = [merge.split(" ") for merge in tokenizer["model"]["merges"]]
    settings = make_tokenizer_config()
    settings["chat_template"] = [
        {"name": "default", "template": TEMPLATE},
        {"name": "tools", "template": "x"},
    ]
    settings["bos_token"] = {"content": "<|im_start|>", "special": True}
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "rope_theta": 5e6}
    sampling = {"temperature": 0.6, "top_k": 20, "min_p": 0, "repetition_penalty": 1.05, "mirostat": 2}
    files = {
        "README.md": CARD,
        "tokenizer.json": json.dumps(tokenizer),
        "tokenizer_config.json": json.dumps(settings),
        "generation_config.json": json.dumps(sampling),
    }
    config = {"rope_parameters": rope, "_name_or_path": "a/b-1B-v2", "pad_token_id": 3, "mask_token_id": None}
    return replace(_SMALL, dtype="F32", tied=False, config=config, files=files)


_WIDE = replace(_SMALL, hidden=256)
SUBJECTS = {
    "dense": Subject(replace(_SMALL, shards=2, files={"README.md": CARD})),
    "rich": Subject(_rich()),
    "experts": Subject(replace(_SMALL, experts=3)),
    "fused experts": Subject(replace(_SMALL, experts=3, fused=True, shards=2)),
    "FP8": Subject(replace(_SMALL, fp8=(16, 24))),
    "adapter": Subject(replace(_SMALL, dtype="F16"), adapter=True),
    "imatrix": Subject(_WIDE, tuple(RECIPES), write_gguf),
    "imatrix of experts": Subject(replace(_WIDE, experts=2, tied=False), tuple(RECIPES), write_gguf),
    "imatrix.dat": Subject(_WIDE, tuple(RECIPES), write_dat),
}
