"""Adapters that cannot be merged: each is told in one sentence that names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import AdapterError, CheckpointError, Wishes, convert
from tests.converters.adapters import PREFIX, Floats, embedding_lora, lora, make_adapter
from tests.converters.breakages import Breakage, append, check_refused, content, cut, edit, header, remove
from tests.converters.checkpoints import Model, Stored, make_checkpoint, write_safetensors

MODEL = Model(layers=1, feed_forward=96)
Q = "model.layers.0.self_attn.q_proj"
EMBEDDING = "model.embed_tokens"
TABLE = (MODEL.vocabulary, 64)
SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PAIR = lora(Q, (128, 64), 4)
A, B = PAIR


def setting(**changes: Any) -> Breakage:
    return lambda folder: edit(folder, SETTINGS, lambda value: value.update(changes))


def weights(tensors: Mapping[str, Floats], dtype: str = "F32") -> Breakage:
    stored = {name: Stored(numbers, dtype) for name, numbers in tensors.items()}
    return lambda folder: write_safetensors(folder / WEIGHTS, stored)


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


KINDS = ("use_dora", "use_qalora", "lora_bias", "fan_in_fan_out")
REFUSED: dict[str, tuple[Breakage, str]] = {
    # adapter_config.json
    "no settings": (remove(SETTINGS), "does not exist"),
    "settings are no JSON": (content(SETTINGS, b"{"), "is not valid JSON"),
    "settings are a list": (content(SETTINGS, b"[]"), "does not hold a JSON object"),
    "settings are not UTF-8": (content(SETTINGS, b'{"\xff": 1}'), "is not UTF-8"),
    "another kind": (setting(peft_type="IA3"), "is IA3, and only LORA can be merged"),
    "no kind": (setting(peft_type=None), "is None, and only LORA can be merged"),
    "kind is a number": (setting(peft_type=1), "is 1, and only LORA can be merged"),
    **{f"{key} is set": (setting(**{key: True}), f"uses `{key}`") for key in KINDS},
    "biases": (setting(bias="all"), "uses `bias`"),
    "layers repeated": (setting(layer_replication=[[0, 1]]), "uses `layer_replication`"),
    "single tokens": (setting(trainable_token_indices=[1]), "uses `trainable_token_indices`"),
    "parameters by name": (setting(target_parameters=["mlp.experts"]), "uses `target_parameters`"),
    "alpha is text": (setting(lora_alpha="16"), "`lora_alpha` of"),
    "alpha is infinite": (setting(lora_alpha=float("inf")), "`lora_alpha` of"),
    "scaling by root is text": (setting(use_rslora="yes"), "`use_rslora` of"),
    "alphas are a list": (setting(alpha_pattern=[1]), "`alpha_pattern` of"),
    "an alpha is text": (setting(alpha_pattern={"q_proj": "1"}), "`q_proj` of"),
    "pattern with an open bracket": (setting(alpha_pattern={"q_proj(": 1}), "`q_proj(`, which is no pattern"),
    **{
        f"pattern that searches for years: {begin}": (
            setting(alpha_pattern={f"{pattern}Z": 1}),
            "which is too intricate",
        )
        for begin, pattern in {
            "repeated group": r"(\w+\.?)+",
            "repetitions": ".*" * 8,
            "options": ".?" * 60,
            "choices": "(.|.)" * 30,
            "length": "a" * 300,
        }.items()
    },
    # the file of weights
    "no weights": (remove(WEIGHTS), "does not exist"),
    "weights are empty": (content(WEIGHTS, b""), "is cut off in its header"),
    "weights are cut": (cut(WEIGHTS, -1), "is cut off: at least 1 bytes"),
    "bytes behind the weights": (append(WEIGHTS, b"\0"), "has 1 bytes after"),
    "no tensors": (weights({}), "changes nothing"),
    "tensors in whole numbers": (weights({A: zeros(4, 64), B: zeros(128, 4)}, "I32"), "is I32 instead of"),
    "FP8": (
        header(lambda value: value[A].update(dtype="F8_E4M3", shape=[16, 64]), WEIGHTS),
        f"tensor `{A}` is F8_E4M3 instead of F32, F16, BF16",
    ),
    "tensor of another method": (
        weights({**PAIR, f"{PREFIX}{Q}.lora_magnitude_vector": zeros(4)}),
        f"tensor `{PREFIX}{Q}.lora_magnitude_vector` is not part of a LoRA adapter that is known",
    ),
    "tensor of nothing": (weights({**PAIR, "x": zeros(4)}), "tensor `x` is not part of a LoRA adapter"),
    # the pairs
    "only A": (weights({A: PAIR[A]}), f"`{Q}` has only one of lora_A and lora_B"),
    "only B": (weights({B: PAIR[B]}), f"`{Q}` has only one of lora_A and lora_B"),
    "two ranks": (weights({A: zeros(4, 64), B: zeros(128, 8)}), "do not fit: [4, 64], [128, 8]"),
    "B turned": (weights({A: zeros(4, 64), B: zeros(4, 128)}), "do not fit: [4, 64], [4, 128]"),
    "A without columns": (weights({A: zeros(4), B: zeros(128, 4)}), "do not fit: [4], [128, 4]"),
    "pair of stacked experts": (
        weights({A: zeros(2, 4, 64), B: zeros(2, 128, 4)}),
        "do not fit: [2, 4, 64], [2, 128, 4]",
    ),
    # against the model
    "a layer that is not there": (
        weights(lora("model.layers.1.self_attn.q_proj", (128, 64), 4)),
        "changes `model.layers.1.self_attn.q_proj.weight`, which the model does not have",
    ),
    "a module that is not there": (weights(lora("score", (2, 64), 4)), "changes `score.weight`, which the"),
    "another width": (
        weights(lora(Q, (128, 96), 4)),
        f"changes `{Q}.weight` as [128, 96], and the model's is [128, 64]",
    ),
    "another height": (weights(lora(Q, (96, 64), 4)), "as [96, 64], and the model's is [128, 64]"),
    "a norm": (weights(lora("model.norm", (64, 64), 4)), "as [64, 64], and the model's is [64]"),
    "embeddings not turned": (
        weights(lora(EMBEDDING, (64, MODEL.vocabulary), 4)),
        f"as [64, {MODEL.vocabulary}], and the model's is [{MODEL.vocabulary}, 64]",
    ),
    "embeddings of another vocabulary": (
        weights(embedding_lora(EMBEDDING, (MODEL.vocabulary + 8, 64), 4)),
        f"as [{MODEL.vocabulary + 8}, 64]",
    ),
    "a whole tensor of another shape": (
        weights({**PAIR, f"{PREFIX}model.norm.weight": zeros(65)}),
        "changes `model.norm.weight` as [65], and the model's is [64]",
    ),
    "a whole tensor that is not there": (
        weights({f"{PREFIX}classifier.weight": zeros(2, 64)}),
        "changes `classifier.weight`, which the model does not have",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_adapter_that_cannot_be_merged_gets_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = REFUSED[name]
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    adapter = make_adapter(tmp_path / "lora", PAIR)
    breakage(adapter)
    check_refused(checkpoint, reason, Wishes(adapter=adapter), error=AdapterError, named=adapter)


def test_what_is_no_folder_gets_a_sentence(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    (tmp_path / "file").write_bytes(b"")
    for name, reason in (("absent", "does not exist"), ("file", "cannot"), ("x" * 300, "name too long")):
        folder = tmp_path / name
        check_refused(checkpoint, reason, Wishes(adapter=folder), error=AdapterError, named=folder)


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    for file in (SETTINGS, WEIGHTS):
        adapter = make_adapter(tmp_path / file / "lora", PAIR)
        (adapter / file).unlink()
        os.mkfifo(adapter / file)
        wishes = Wishes(adapter=adapter)
        check_refused(checkpoint, "not a regular file", wishes, error=AdapterError, named=adapter)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_numbers_that_are_none_are_not_blamed_on_the_model(value: float, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    pair = {name: np.array(numbers) for name, numbers in PAIR.items()}
    pair[A][1, 1] = value
    pair[B][:, 1] = 2
    wishes = Wishes(adapter=make_adapter(tmp_path / "lora", pair))
    reason = f"tensor `{Q}.weight` of `{checkpoint}/model.safetensors`, with the adapter merged, holds NaN or"
    check_refused(checkpoint, reason, wishes, error=CheckpointError)


def test_a_factor_that_makes_weights_infinite_is_told_without_a_warning(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    adapter = make_adapter(tmp_path / "lora", {name: numbers * 1e30 for name, numbers in PAIR.items()})
    setting(lora_alpha=1e37)(adapter)
    check_refused(checkpoint, "with the adapter merged, holds", Wishes(adapter=adapter))


def test_settings_that_change_nothing_are_taken(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    usual = make_adapter(tmp_path / "lora", PAIR)
    named = make_adapter(
        tmp_path / "again" / "lora",
        PAIR,
        use_dora=False,
        bias="none",
        layer_replication=None,
        alpha_pattern={},
        fan_in_fan_out=False,
        modules_to_save=None,
        something_new=True,
    )
    for number, adapter in enumerate((usual, named)):
        convert(checkpoint, tmp_path / f"{number}.gguf", "f32", Wishes(adapter=adapter))
    assert (tmp_path / "0.gguf").read_bytes() == (tmp_path / "1.gguf").read_bytes()
