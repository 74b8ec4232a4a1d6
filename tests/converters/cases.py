"""What the golden file covers: checkpoints, and the quantizations that each is converted to.

Shared by the oracle, which asks llama.cpp's converter, and by the test, which asks ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import RECIPES, Overrides, Wishes
from tests.converters.checkpoints import Model
from tests.converters.imatrices import write_dat, write_gguf
from tests.converters.vocabulary import TEMPLATE, make_tokenizer, make_tokenizer_config

FLOATS = ("F32", "F16", "BF16", "Q8_0")
EVERY = tuple(RECIPES)
NEEDY = ("Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS")
"""What llama-quantize refuses to make of even rows without an importance matrix."""
ALONE = tuple(name for name in EVERY if name not in NEEDY)

CARD = """---
license: apache-2.0
license_link: https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/LICENSE
language:
- en
- no
- zh
pipeline_tag: text-generation
base_model: Qwen/Qwen3-0.6B-Base
datasets:
- someone/some-Data-v2
- https://huggingface.co/datasets/other
tags:
- chat
- tiny
model_creator: A Person
version: "1.5"
---
# Tiny
"""


@dataclass(frozen=True)
class Case:
    """One checkpoint; `folder` gives it its name, `name` is the override.

    `imatrix` writes an importance matrix for it; the rest is given to both converters as on a command line.
    """

    folder: str
    model: Model
    types: Sequence[str]
    name: str | None = None
    imatrix: Callable[[Path, Model], Path] | None = None
    tensors: tuple[str, ...] = ()
    output: str | None = None
    embedding: str | None = None

    def options(self, folder: Path) -> list[str]:
        """For llama-quantize, run in `folder`: a path to an importance matrix ends up in the file."""
        options = [word for text in self.tensors for word in ("--tensor-type", text)]
        options += ["--output-tensor-type", self.output] if self.output else []
        options += ["--token-embedding-type", self.embedding] if self.embedding else []
        return options + (
            ["--imatrix", self.imatrix(folder / "imatrix", self.model).name] if self.imatrix else []
        )

    def wishes(self, folder: Path) -> Wishes:
        """For our converter, run in `folder`."""
        overrides = Overrides.parse(self.tensors, output=self.output, embedding=self.embedding)
        imatrix = self.imatrix and self.imatrix(folder / "imatrix", self.model).relative_to(folder)
        return Wishes(self.name, imatrix, overrides=overrides)


def _tokenizer(**changes: Any) -> str:
    return json.dumps({**make_tokenizer(), **changes}, ensure_ascii=False)


def _settings(*removed: str, **changes: Any) -> str:
    kept = {key: value for key, value in make_tokenizer_config().items() if key not in removed}
    return json.dumps({**kept, **changes}, ensure_ascii=False)


def _pairs() -> str:
    model = make_tokenizer()["model"]
    return _tokenizer(model={**model, "merges": [merge.split(" ") for merge in model["merges"]]})


# Just wide enough for blocks of 256, and deep enough that every rule about layers tells them apart.
_EVEN = Model(layers=16, hidden=256, feed_forward=256, heads=4, kv_heads=2, head=64, seed=5)
_GROUPED = Model(layers=9, hidden=256, feed_forward=256, heads=8, kv_heads=2, head=32, tied=False, seed=6)
_EXPERTS = Model(
    layers=9, hidden=256, feed_forward=256, heads=8, kv_heads=1, head=32, tied=False, experts=5, seed=7
)
_EIGHT = Model(
    layers=9, hidden=256, feed_forward=256, heads=4, kv_heads=2, head=64, tied=False, experts=8, seed=8
)
_ODD = Model(layers=9, hidden=96, feed_forward=160, heads=4, kv_heads=2, head=24, tied=False, seed=9)

CASES = {
    "every-type": Case("even", _EVEN, ALONE),
    "every-type-imatrix": Case("even", _EVEN, EVERY, imatrix=write_gguf),
    "grouped": Case("grouped", _GROUPED, ALONE),
    "grouped-dat": Case("grouped", _GROUPED, (*NEEDY, "Q4_0", "Q5_0", "Q4_K_M", "IQ4_XS"), imatrix=write_dat),
    "experts": Case("Qwen3-4x1M-A2", _EXPERTS, ALONE),
    "experts-imatrix": Case("experts", _EXPERTS, EVERY, imatrix=write_gguf),
    "eight-experts": Case("eight", _EIGHT, ALONE),
    "eight-experts-dat": Case("eight", _EIGHT, NEEDY, imatrix=write_dat),
    "fused-experts": Case(
        "fused",
        Model(hidden=96, feed_forward=64, heads=4, kv_heads=1, head=32, experts=3, fused=True, seed=10),
        ("BF16", "Q4_K_M"),
    ),
    "coder": Case(
        "Qwen3-Coder-tiny",
        Model(layers=1, experts=2, tied=False, config={"shared_expert_intermediate_size": 0}),
        ("Q8_0",),
    ),
    "one-expert": Case("one", Model(layers=2, experts=1, tied=False, seed=15), ("BF16", "Q4_K_M")),
    "odd-rows": Case("odd", _ODD, EVERY),
    "odder-rows": Case("odder", Model(layers=3, hidden=48, feed_forward=80, head=16, seed=11), EVERY),
    "fp8": Case(
        "fp8",
        Model(layers=3, hidden=256, feed_forward=256, heads=4, head=64, tied=False, fp8=(128, 128), seed=12),
        ("F32", "BF16", "Q8_0", "Q4_K_M"),
    ),
    "fp8-odd-blocks": Case(
        "fp8-odd", Model(hidden=160, head=40, fp8=(64, 96), scales="F32", seed=13), ("F32", "Q5_0")
    ),
    "f16-kept": Case("f16", Model(layers=8, hidden=256, heads=8, dtype="F16", seed=14), ("Q4_K_M", "Q6_K")),
    "overrides": Case(
        "overrides",
        _GROUPED,
        ("Q4_K_M", "Q3_K_M", "IQ4_XS"),
        tensors=(r"blk\.[01]\.attn_v=q8_0", "ffn_down=Q5_1", "FFN_UP=f16"),
        output="q8_0",
        embedding="Q5_K",
    ),
    "overrides-experts": Case(
        "overrides",
        _EXPERTS,
        ("Q4_K_M", "IQ2_M"),
        imatrix=write_gguf,
        tensors=(r"blk\.0\.(attn_v|ffn_down)=q6_k",),
    ),
    "overrides-tied": Case("tied", _EVEN, ("Q3_K_M",), output="q5_k"),
    "shared-embedding": Case("tied", _EVEN, ("Q4_0",), embedding="q4_1"),
    "tied": Case("tiny", Model(), FLOATS),
    "untied-f32": Case("tiny-f32", Model(dtype="F32", tied=False, seed=2), FLOATS),
    "stored-head-f16": Case("tiny-f16", Model(dtype="F16", stored_head=True, seed=3), FLOATS),
    "sharded": Case("Qwen3-0.1M-Chat", Model(layers=3, tied=False, shards=3, seed=4), ("BF16", "Q8_0")),
    "narrow": Case("narrow", Model(hidden=48, feed_forward=80, heads=6, kv_heads=3, head=16), ("Q8_0",)),
    "one-kv-head": Case("grouped", Model(layers=1, heads=8, kv_heads=1, tied=False), ("Q8_0",)),
    "card": Case("Tiny-Qwen3-v2", Model(layers=1, files={"README.md": CARD}), ("F16",)),
    "named": Case("c1899de289a0", Model(layers=1), ("F16",), name="My Model"),
    "sampling": Case(
        "sampling",
        Model(
            layers=1,
            files={
                "generation_config.json": json.dumps(
                    {
                        "do_sample": True,
                        "top_k": 20,
                        "top_p": 0.8,
                        "min_p": 0,
                        "temperature": 1,
                        "repetition_penalty": 1.05,
                    }
                )
            },
        ),
        ("F16",),
    ),
    "yarn": Case(
        "yarn",
        Model(
            layers=1,
            config={
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
            },
        ),
        ("F16",),
    ),
    "transformers-5": Case(
        "transformers-5",
        Model(
            layers=1,
            config={"rope_parameters": {"rope_theta": 5000000, "rope_type": "default"}, "dtype": "bfloat16"},
            files={
                "tokenizer.json": _pairs(),
                "tokenizer_config.json": _settings("chat_template", "added_tokens_decoder"),
                "chat_template.jinja": TEMPLATE,
            },
        ),
        ("F16",),
    ),
    "templates": Case(
        "templates",
        Model(
            layers=1,
            files={
                "tokenizer_config.json": _settings(
                    "add_bos_token",
                    chat_template=[
                        {"name": "default", "template": TEMPLATE},
                        {"name": "tool use", "template": TEMPLATE + "{# tools #}"},
                    ],
                ),
                "tokenizer.json": _tokenizer(post_processor=None),
            },
        ),
        ("F16",),
    ),
    "special": Case(
        "special",
        Model(
            layers=1,
            config={"pad_token_id": 3, "eos_token_id": [270, 268]},
            files={
                "tokenizer_config.json": _settings(
                    "chat_template",
                    eos_token={"__type": "AddedToken", "content": "<|endoftext|>", "special": True},
                    bos_token="<|im_start|>",
                    unk_token="<think>",
                    pad_token=None,
                ),
                "chat_template.json": json.dumps({"chat_template": TEMPLATE}),
            },
        ),
        ("F16",),
    ),
}
