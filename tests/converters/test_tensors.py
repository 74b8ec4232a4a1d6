"""Weights that do not fit their index, their configuration or their architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import CheckpointError, convert
from converters.checkpoint import find_shards, open_checkpoint, read_config
from converters.qwen3 import Shape, attention_tensors, match_tensors
from converters.registry import MappedTensor
from tests.converters.breakages import (
    EMBEDDING,
    FIRST,
    INDEX,
    NORM,
    SECOND,
    SHARDED,
    SMALL,
    WEIGHTS,
    Breakage,
    check_refused,
    config,
    content,
    cut,
    edit,
    remove,
    tensors,
    without,
)
from tests.converters.checkpoints import Model, Stored, make_checkpoint, make_tensors, write_safetensors

MIXTURE = Model(layers=2, experts=3)
FUSED = replace(MIXTURE, fused=True)
Change = Callable[[dict[str, Stored]], object]


def remap(tensor: str, file: Any) -> Breakage:
    return lambda folder: edit(folder, INDEX, lambda value: value["weight_map"].update({tensor: file}))


def without_index(folder: Path) -> None:
    """Both files have the same tensors, and nothing says which count."""
    (folder / INDEX).unlink()
    (folder / "model-x.safetensors").write_bytes((folder / SECOND).read_bytes())


def twice(folder: Path) -> None:
    """A tensor in both shards, of which the index names one."""
    made = make_tensors(SHARDED)
    names = list(made)
    half = len(names) // 2 + 1
    write_safetensors(folder / FIRST, {name: made[name] for name in names[:half]})
    write_safetensors(folder / SECOND, {name: made[name] for name in (*names[half:], EMBEDDING)})


SHARDS: dict[str, tuple[Breakage, str]] = {
    "missing shard": (remove(SECOND), f"lacks its shard `{SECOND}`"),
    "shard is a folder": (lambda folder: remove(SECOND)(folder) or (folder / SECOND).mkdir(), "lacks its"),
    "cut shard": (cut(SECOND, 5000), "is cut off"),
    "shards swapped": (
        lambda folder: (
            [(folder / SECOND).rename(folder / "x"), (folder / FIRST).rename(folder / SECOND)]
            and (folder / "x").rename(folder / FIRST)
        ),
        f"is not there by `{INDEX}`",
    ),
    "no weight map": (without(INDEX, "weight_map"), "has no `weight_map`"),
    "empty weight map": (content(INDEX, b'{"weight_map": {}}'), "has no `weight_map`"),
    "weight map is a list": (content(INDEX, b'{"weight_map": [1]}'), "has no `weight_map`"),
    "index is a list": (content(INDEX, b"[]"), "does not hold a JSON object"),
    "index names a tensor twice": (
        content(INDEX, b'{"weight_map": {"a": "b.safetensors", "a": "c.safetensors"}}'),
        "occurs twice",
    ),
    **{
        f"shard {what}": (remap(NORM, name), f"puts tensor `{NORM}` in")
        for what, name in {
            "above the folder": "../x.safetensors",
            "below the folder": "a/x.safetensors",
            "by absolute path": "/x.safetensors",
            "on a drive": "C:x.safetensors",
            "by a path of Windows": "..\\x.safetensors",
            "with a zero in its name": "x\0.safetensors",
            "that is half a letter": "\ud800.safetensors",
            "that is a number": 7,
            "that is nothing": None,
            "that is a list": ["x.safetensors"],
            "of a name beyond any file system": "x" * 5000 + ".safetensors",
            "that is another file": "config.json",
            "without a name": "",
        }.items()
    },
    "index names a tensor too many": (remap("x", SECOND), f"tensor `x` is missing in `{{}}/{SECOND}`"),
    "index lacks a tensor": (
        lambda folder: edit(folder, INDEX, lambda value: value["weight_map"].pop(NORM)),
        f"tensor `{NORM}`",
    ),
    "tensor in another shard than the index says": (remap(NORM, SECOND), f"tensor `{NORM}` of"),
    "tensor in two shards": (twice, f"tensor `{EMBEDDING}` is in"),
    "tensor in two shards without index": (without_index, "and in `"),
}


@pytest.mark.parametrize("name", SHARDS)
def test_broken_shards_get_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = SHARDS[name]
    folder = make_checkpoint(tmp_path / "model", SHARDED)
    breakage(folder)
    check_refused(folder, reason.format(folder))


def test_shards_without_index_are_found(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SHARDED)
    (folder / INDEX).unlink()
    assert convert(folder, tmp_path / "out.gguf", "f16").tensors == 13


def test_derived_buffers_of_old_exports_are_left_out(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SMALL)
    made = make_tensors(SMALL)
    made["model.layers.0.self_attn.rotary_emb.inv_freq"] = made[NORM]
    write_safetensors(folder / WEIGHTS, made)
    assert convert(folder, tmp_path / "out.gguf", "f16").tensors == 13


@pytest.mark.parametrize("model", [SMALL, replace(SMALL, tied=False), MIXTURE, FUSED], ids=str)
def test_every_tensor_is_needed_and_in_its_shape(model: Model, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", model)
    made = make_tensors(model)
    for name in made:
        if name.endswith("experts.0.down_proj.weight"):
            continue  # Like the other experts'.
        write_safetensors(folder / WEIGHTS, {other: made[other] for other in made if other != name})
        # Without its first fused tensor a mixture is taken for one of separate experts.
        first = model.fused and name == "model.layers.0.mlp.experts.gate_up_proj"
        check_refused(folder, "lacks the tensor" if first else f"lacks the tensor `{name}`")
        data = made[name].data
        changed = replace(made[name], data=np.concatenate([data, data[:1]]))
        write_safetensors(folder / WEIGHTS, {**made, name: changed})
        check_refused(folder, f"`{name}`" if not first else "has the shape")
    assert len(made) > 12


def put(name: str, stored: Stored | None = None) -> Change:
    return lambda made: made.update({name: stored or made[NORM]})


def as_type(dtype: str, name: str = EMBEDDING) -> Change:
    def change(made: dict[str, Stored]) -> None:
        width = {"F64": np.uint64, "F8_E5M2": np.uint8, "I8": np.uint8, "BOOL": np.uint8}.get(
            dtype, np.uint16
        )
        made[name] = Stored(np.zeros(made[name].data.shape, width), dtype)

    return change


DENSE: dict[str, tuple[Breakage, str]] = {
    "bias": (tensors(put("model.layers.0.self_attn.q_proj.bias")), "is not part of a Qwen3ForCausalLM"),
    "a layer too many": (tensors(put("model.layers.1.input_layernorm.weight")), "is not part of a"),
    "scale of a quantization": (tensors(put("model.layers.0.mlp.up_proj.qweight")), "is not part of a"),
    "tensor without a name": (tensors(put("")), "tensor `` of"),
    "LoRA adapter": (tensors(put("base.lora_A.weight")), "belongs to a LoRA adapter"),
    "missing head": (config(tie_word_embeddings=False), "lacks the tensor `lm_head.weight`"),
    "head of another shape": (tensors(put("lm_head.weight")), "tensor `lm_head.weight` of"),
    "turned embeddings": (
        tensors(lambda made: made.update({EMBEDDING: Stored(np.transpose(made[EMBEDDING].data), "BF16")})),
        f"has the shape [64, {SMALL.vocabulary}] instead of [{SMALL.vocabulary}, 64]",
    ),
    "other vocabulary": (config(vocab_size=SMALL.vocabulary + 1), f"instead of [{SMALL.vocabulary + 1}, 64]"),
    "other head size": (config(head_dim=16), "instead of [64, 64]"),
    **{
        f"weights in {dtype}": (tensors(as_type(dtype)), f"is {dtype}, which cannot be converted")
        for dtype in ("I16", "U16", "F64", "F8_E5M2", "I8", "BOOL")
    },
}

EXPERT = "model.layers.1.mlp.experts.2.up_proj.weight"
WRONG_WIDTH = config(moe_intermediate_size=95)
MIXED: dict[str, tuple[Breakage, str]] = {
    "an expert's matrix is missing": (
        tensors(lambda made: made.pop(EXPERT), MIXTURE),
        f"lacks the tensor `{EXPERT}`",
    ),
    "an expert too few": (config(num_experts=4), "of `{}/model.safetensors` has the shape [3, 64]"),
    "an expert too many": (
        tensors(put("model.layers.0.mlp.experts.3.up_proj.weight"), MIXTURE),
        "tensor `model.layers.0.mlp.experts.3.up_proj.weight` of `{}/model.safetensors` is not part of a",
    ),
    "no router": (tensors(lambda made: made.pop("model.layers.1.mlp.gate.weight"), MIXTURE), "lacks the"),
    "experts of another width": (WRONG_WIDTH, "has the shape [96, 64] instead of [95, 64]"),
    "shares not normalised": (config(norm_topk_prob=False), "does not normalise the experts' shares"),
    "normalising not said": (without("config.json", "norm_topk_prob"), "does not normalise"),
    "normalising is text": (config(norm_topk_prob="yes"), "`norm_topk_prob`"),
    "dense layers": (config(mlp_only_layers=[0]), "has layers without experts"),
    "every other layer dense": (config(decoder_sparse_step=2), "has layers without experts"),
    "a shared expert": (config(shared_expert_intermediate_size=96), "has a shared expert"),
    "tensors of a shared expert": (
        tensors(put("model.layers.0.mlp.shared_expert.up_proj.weight"), MIXTURE),
        "is not part of a Qwen3MoeForCausalLM",
    ),
    "no experts": (config(num_experts=0), "`num_experts`"),
    "experts not said": (without("config.json", "num_experts"), "`num_experts`"),
    "more experts than llama.cpp takes": (config(num_experts=513), "`num_experts`"),
    "more experts asked than there are": (config(num_experts_per_tok=4), "`num_experts_per_tok`"),
    "two numbers of experts": (config(num_local_experts=2), "has the shape [3, 64] instead of [2, 64]"),
    "width of experts not said": (without("config.json", "moe_intermediate_size"), "`moe_intermediate_size`"),
}
ONE_FUSED = "model.layers.0.mlp.experts"
BOTH: dict[str, tuple[Breakage, str]] = {
    "fused experts of another width": (WRONG_WIDTH, "has the shape [3, 192, 64] instead of [3, 190, 64]"),
    "fused experts turned, as other models have them": (
        tensors(
            lambda made: made.update(
                {f"{ONE_FUSED}.gate_up_proj": Stored(np.zeros((3, 64, 192), np.uint16), "BF16")}
            ),
            FUSED,
        ),
        "has the shape [3, 64, 192] instead of [3, 192, 64]",
    ),
    "fused experts without their way down": (
        tensors(lambda made: made.pop(f"{ONE_FUSED}.down_proj"), FUSED),
        f"lacks the tensor `{ONE_FUSED}.down_proj`",
    ),
    "fused and separate": (
        tensors(lambda made: made.update(make_tensors(MIXTURE)), FUSED),
        "is not part of a Qwen3MoeForCausalLM",
    ),
    "one layer fused, the other not": (
        tensors(
            lambda made: (
                [made.pop(name) for name in list(made) if name.startswith("model.layers.1.mlp.experts")]
                and made.update(
                    {k: v for k, v in make_tensors(MIXTURE).items() if k.startswith("model.layers.1.mlp")}
                )
            ),
            FUSED,
        ),
        "lacks the tensor `model.layers.1.mlp.experts.gate_up_proj`",
    ),
}
CASES = [
    *((SMALL, name, *case) for name, case in DENSE.items()),
    *((MIXTURE, name, *case) for name, case in MIXED.items()),
    *((FUSED, name, *case) for name, case in BOTH.items()),
]


@pytest.mark.parametrize(("model", "name", "breakage", "reason"), CASES, ids=[case[1] for case in CASES])
def test_other_tensors_get_a_sentence(
    model: Model, name: str, breakage: Breakage, reason: str, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "model", model)
    breakage(folder)
    check_refused(folder, reason.format(folder))


def test_layers_are_looked_for_one_by_one(tmp_path: Path) -> None:
    """A configuration may claim 512 layers of 512 experts, which take a second and 130 MB to write down."""
    folder = make_checkpoint(tmp_path / "model", SMALL)
    checkpoint = open_checkpoint(folder, read_config(folder), find_shards(folder))
    asked: list[int] = []

    def layer(number: int) -> list[MappedTensor]:
        asked.append(number)
        return attention_tensors(shape, number)

    shape = replace(Shape.of(checkpoint.config), layers=512)
    with pytest.raises(
        CheckpointError, match=r"lacks the tensor `model\.layers\.1\.input_layernorm\.weight`"
    ):
        match_tensors(checkpoint, shape, layer)
    assert asked == [0, 1]
