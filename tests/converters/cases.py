"""What the golden file covers: checkpoints, and the quantizations that each is converted to.

Shared by the oracle, which asks llama.cpp's converter, and by the test, which asks ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.converters.checkpoints import TEMPLATE, Model, make_tokenizer, make_tokenizer_config

ALL = ("F32", "F16", "BF16", "Q8_0")

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
    """One checkpoint; `folder` gives it its name, `name` is the override."""

    folder: str
    model: Model
    types: tuple[str, ...]
    name: str | None = None


def _tokenizer(**changes: Any) -> str:
    return json.dumps({**make_tokenizer(), **changes}, ensure_ascii=False)


def _settings(*removed: str, **changes: Any) -> str:
    kept = {key: value for key, value in make_tokenizer_config().items() if key not in removed}
    return json.dumps({**kept, **changes}, ensure_ascii=False)


def _pairs() -> str:
    model = make_tokenizer()["model"]
    return _tokenizer(model={**model, "merges": [merge.split(" ") for merge in model["merges"]]})


CASES = {
    "tied": Case("tiny", Model(), ALL),
    "untied-f32": Case("tiny-f32", Model(dtype="F32", tied=False, seed=2), ALL),
    "stored-head-f16": Case("tiny-f16", Model(dtype="F16", stored_head=True, seed=3), ALL),
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
