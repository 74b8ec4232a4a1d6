"""What a broken checkpoint gets: one sentence that names the file and the fault, and no output."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters import CheckpointError, convert
from tests.converters.checkpoints import (
    Model,
    Stored,
    make_checkpoint,
    make_tensors,
    make_tokenizer,
    write_json,
    write_raw_safetensors,
    write_safetensors,
)

Breakage = Callable[[Path], object]
SMALL = Model(layers=1)
SHARDED = Model(layers=1, shards=2)
INDEX = "model.safetensors.index.json"
SECOND = "model-00002-of-00002.safetensors"


def remap(tensor: str, file: Any) -> Breakage:
    return lambda folder: edit(folder, INDEX, lambda value: value["weight_map"].update({tensor: file}))


def both_shards(folder: Path) -> None:
    (folder / INDEX).unlink()
    (folder / "model-x.safetensors").write_bytes((folder / SECOND).read_bytes())


def edit(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / file).read_text(encoding="utf-8"))
    change(value)
    write_json(folder / file, value)


def config(**changes: Any) -> Breakage:
    return lambda folder: edit(folder, "config.json", lambda value: value.update(changes))


def without(file: str, *keys: str) -> Breakage:
    return lambda folder: edit(folder, file, lambda value: [value.pop(key) for key in keys])


def tokenizer(**changes: Any) -> Breakage:
    return lambda folder: write_json(folder / "tokenizer.json", {**make_tokenizer(), **changes})


def bpe(**changes: Any) -> Breakage:
    return tokenizer(model={**make_tokenizer()["model"], **changes})


def content(file: str, data: bytes) -> Breakage:
    return lambda folder: (folder / file).write_bytes(data)


def tensors(change: Callable[[dict[str, Any]], object], dtype: str = "BF16") -> Breakage:
    def breakage(folder: Path) -> None:
        made = {name: stored.data for name, stored in make_tensors(SMALL).items()}
        change(made)
        stored = {name: Stored(data, dtype) for name, data in made.items()}
        write_safetensors(folder / "model.safetensors", stored)

    return breakage


def cut(file: str, size: int) -> Breakage:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:size])


def header(change: Callable[[dict[str, Any]], object]) -> Breakage:
    """Rewrites the header of model.safetensors and leaves its data."""

    def breakage(folder: Path) -> None:
        path = folder / "model.safetensors"
        raw = path.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        value = json.loads(raw[8 : 8 + length])
        change(value)
        write_raw_safetensors(path, value, raw[8 + length :])

    return breakage


def one(name: str, **changes: Any) -> Breakage:
    return header(lambda value: value[name].update(changes))


EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
VOCABULARY = SMALL.vocabulary

BROKEN: dict[str, tuple[Breakage, str]] = {
    # config.json
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "config is no JSON": (content("config.json", b"{"), "is not valid JSON"),
    "config is a list": (content("config.json", b"[]"), "not hold a JSON object"),
    "config is not UTF-8": (content("config.json", b'{"\xff": 1}'), "is not UTF-8"),
    "config is nested too deeply": (content("config.json", b"[" * 100_000), "nested too deeply"),
    "config has a key twice": (content("config.json", b'{"a": 1, "a": 2}'), "occurs twice"),
    "config holds a number of 5,000 digits": (
        content("config.json", b'{"a": ' + b"9" * 5000 + b"}"),
        "is not valid JSON: Exceeds the limit",
    ),
    "no architecture": (without("config.json", "architectures"), "names no architecture"),
    "architectures is text": (config(architectures="Qwen3ForCausalLM"), "names no architecture"),
    "other architecture": (config(architectures=["LlamaForCausalLM"]), "LlamaForCausalLM"),
    "quantized with FP8": (
        config(quantization_config={"quant_method": "fp8"}),
        "FP8 without `weight_block_size`",
    ),
    "no hidden size": (without("config.json", "hidden_size"), "`hidden_size`"),
    "hidden size is text": (config(hidden_size="64"), "`hidden_size`"),
    "hidden size is true": (config(hidden_size=True), "`hidden_size`"),
    "no layers": (config(num_hidden_layers=0), "`num_hidden_layers`"),
    "a billion layers": (config(num_hidden_layers=10**9), "`num_hidden_layers`"),
    "heads do not divide": (config(num_attention_heads=5), "no multiple"),
    "norm epsilon is text": (config(rms_norm_eps="small"), "`rms_norm_eps`"),
    "norm epsilon is infinite": (config(rms_norm_eps=float("inf")), "`rms_norm_eps`"),
    "tied is text": (config(tie_word_embeddings="yes"), "`tie_word_embeddings`"),
    "other activation": (config(hidden_act="gelu"), "gelu"),
    "sliding window": (config(use_sliding_window=True, max_window_layers=0), "sliding-window"),
    "rope scaling of another kind": (config(rope_scaling={"rope_type": "dynamic", "factor": 2}), "dynamic"),
    "yarn without its context": (config(rope_scaling={"rope_type": "yarn", "factor": 2}), "original_max"),
    "rope scaling is text": (config(rope_scaling="yarn"), "`rope_scaling`"),
    "linear scaling without its factor": (config(rope_scaling={"rope_type": "linear"}), "`factor`"),
    "linear scaling by nothing": (config(rope_scaling={"rope_type": "linear", "factor": 0}), "`factor`"),
    "two rope scalings": (
        config(rope_parameters={"rope_type": "default"}, rope_scaling={"rope_type": "linear", "factor": 2}),
        "two rope scalings",
    ),
    "a part of each head turned": (config(partial_rotary_factor=0.5), "`partial_rotary_factor`"),
    "a part of each head turned, in transformers 5": (
        config(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5}),
        "`partial_rotary_factor`",
    ),
    "rope base of nothing": (config(rope_theta=0), "`rope_theta`"),
    "norm epsilon below nothing": (config(rms_norm_eps=-1), "`rms_norm_eps`"),
    "odd head size": (config(head_dim=33), "odd head size 33"),
    "more layers than llama.cpp takes": (config(num_hidden_layers=513), "`num_hidden_layers`"),
    # what the folder is for
    "embedding model": (content("modules.json", b"[]"), "is an embedding model"),
    "reranker": (content("README.md", b"# Qwen3-Reranker-0.6B"), "is a reranker"),
    # weights: files
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
    "weights are empty": (content("model.safetensors", b""), "cut off in its header"),
    "header is cut": (cut("model.safetensors", 100), "cut off in its header"),
    "header length is huge": (content("model.safetensors", b"\xff" * 100), "cut off in its header"),
    "header is no JSON": (content("model.safetensors", struct.pack("<Q", 4) + b"nope"), "is not valid JSON"),
    "header is not UTF-8": (content("model.safetensors", struct.pack("<Q", 2) + b"\xff\xff"), "not UTF-8"),
    "header is a list": (
        content("model.safetensors", struct.pack("<Q", 2) + b"[]"),
        "not hold a JSON object",
    ),
    "data is cut": (cut("model.safetensors", 60_000), "is cut off"),
    "data is cut by one byte": (cut("model.safetensors", -1), "is cut off"),
    "bytes behind the data": (lambda folder: append(folder, b"\0"), "1 bytes after its last tensor"),
    "tensors are no objects": (header(lambda value: value.update({NORM: 1})), "has no description"),
    "no dtype": (header(lambda value: value[NORM].pop("dtype")), "lacks a dtype"),
    "shape is text": (one(NORM, shape="64"), "lacks a dtype, a shape"),
    "negative shape": (one(NORM, shape=[-64]), "lacks a dtype, a shape"),
    "shape of truth values": (one(NORM, shape=[True]), "lacks a dtype, a shape"),
    "shape of 100 dimensions": (one(NORM, shape=[1] * 100), "lacks a dtype, a shape"),
    "overflowing shape": (one(NORM, shape=[2**40, 2**40]), "impossible shape"),
    "empty tensor": (one(NORM, shape=[0]), "impossible shape"),
    "shape of another size": (one(NORM, shape=[63]), "which is not [63] of BF16"),
    "unknown dtype": (one(NORM, dtype="F17"), "unknown dtype `F17`"),
    "offsets are swapped": (header(lambda value: value[NORM]["data_offsets"].reverse()), "which is not"),
    "one offset": (one(NORM, data_offsets=[0]), "lacks a dtype, a shape"),
    "tensors overlap": (header(lambda value: shift(value[NORM], -2)), "overlaps another"),
    "hole between tensors": (header(lambda value: shift(value[NORM], 2)), "has a hole before"),
    "first tensor not at 0": (
        header(lambda value: [shift(one, 2) for one in described(value)]),
        "has a hole",
    ),
    # weights: tensors
    "missing tensor": (
        tensors(lambda made: made.pop("model.layers.0.mlp.up_proj.weight")),
        "lacks the tensor",
    ),
    "missing head": (config(tie_word_embeddings=False), "lacks the tensor `lm_head.weight`"),
    "superfluous tensor": (
        tensors(lambda made: made.update({"model.layers.0.self_attn.q_proj.bias": made[NORM]})),
        "is not part of a Qwen3ForCausalLM",
    ),
    "LoRA adapter": (tensors(lambda made: made.update({"base.lora_A.weight": made[NORM]})), "LoRA adapter"),
    "tensor of the wrong shape": (
        tensors(lambda made: made.update({EMBEDDING: made[EMBEDDING].T})),
        f"has the shape [64, {VOCABULARY}] instead of [{VOCABULARY}, 64]",
    ),
    "weights in whole numbers": (tensors(lambda _: None, dtype="I16"), "is I16"),
    # tokenizer
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "tokenizer is no BPE": (bpe(type="Unigram"), "is a Unigram tokenizer"),
    "no model in the tokenizer": (tokenizer(model=None), "only byte-level BPE"),
    "unknown pre-tokenizer": (tokenizer(pre_tokenizer={"type": "Whitespace"}), "splits text"),
    "no pre-tokenizer": (tokenizer(pre_tokenizer=None), "splits text"),
    "one more pre-tokenizer": (
        tokenizer(
            pre_tokenizer={
                "type": "Sequence",
                "pretokenizers": [*make_tokenizer()["pre_tokenizer"]["pretokenizers"], {"type": "Digits"}],
            }
        ),
        "unknown pre-tokenizer `Digits`",
    ),
    "normalizer that lowers": (tokenizer(normalizer={"type": "Lowercase"}), "normalizer `Lowercase`"),
    "post-processor with a template": (tokenizer(post_processor={"type": "Template"}), "post-processor"),
    "no vocabulary": (bpe(vocab={}), "has no vocabulary"),
    "no merges": (bpe(merges=[]), "has no merges"),
    "merge of three": (bpe(merges=["a b c"]), "a merge that is no pair"),
    "merge is a number": (bpe(merges=[7]), "a merge that is no pair"),
    "id is text": (bpe(vocab={"a": "b"}), "the id b"),
    "id is negative": (bpe(vocab={"a": -1}), "the id -1"),
    "two tokens, one id": (bpe(vocab={"a": 1, "b": 1}), "the id 1 to `a` and `b`"),
    "one token, two ids": (bpe(vocab={"a": 1, "<think>": 2}), "`<think>` two ids"),
    "id outside of the embeddings": (bpe(vocab={"a": VOCABULARY}), f"id {VOCABULARY}"),
    "added tokens are no list": (tokenizer(added_tokens={"a": 1}), "is not a list"),
    "added token is text": (tokenizer(added_tokens=["a"]), "is no token"),
    "added token with the name of an unused id": (
        tokenizer(added_tokens=[{"id": VOCABULARY - 2, "content": f"[PAD{VOCABULARY - 1}]"}]),
        "names the unused id",
    ),
    "added token without id": (tokenizer(added_tokens=[{"content": "a"}]), "without id or content"),
    "special id outside": (config(mask_token_id=10**6), "outside of the vocabulary"),
    "chat template is a number": (
        lambda folder: edit(
            folder, "tokenizer_config.json", lambda value: value.update({"chat_template": 7})
        ),
        "neither text nor a named text",
    ),
}


def append(folder: Path, data: bytes) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + data)


def described(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [tensor for name, tensor in value.items() if name != "__metadata__"]


def shift(tensor: dict[str, Any], by: int) -> None:
    tensor["data_offsets"] = [offset + by for offset in tensor["data_offsets"]]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_gets_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = BROKEN[name]
    folder = make_checkpoint(tmp_path / "model", SMALL)
    breakage(folder)
    check(folder, reason)


SHARDS_BROKEN: dict[str, tuple[Breakage, str]] = {
    "missing shard": (lambda folder: (folder / SECOND).unlink(), f"lacks its shard `{SECOND}`"),
    "cut shard": (cut(SECOND, 5000), "is cut off"),
    "no weight map": (without(INDEX, "weight_map"), "has no `weight_map`"),
    "empty weight map": (content(INDEX, b'{"weight_map": {}}'), "has no `weight_map`"),
    "shard outside of the folder": (
        remap(NORM, "../x.safetensors"),
        "no file name",
    ),
    "shard by absolute path": (
        remap(NORM, "/x.safetensors"),
        "no file name",
    ),
    "shard is a number": (
        remap(NORM, 7),
        "no file name",
    ),
    "shard with a name beyond any file system": (
        remap(NORM, "x" * 5000 + ".safetensors"),
        "no file name",
    ),
    "shard is another file": (
        remap(NORM, "config.json"),
        "no file name",
    ),
    "index names a tensor too many": (
        remap("x", SECOND),
        "tensor `x` is missing",
    ),
    "index lacks a tensor": (
        lambda folder: edit(folder, INDEX, lambda value: value["weight_map"].pop(NORM)),
        f"tensor `{NORM}`",
    ),
    "tensor in both shards": (
        both_shards,
        "and in",
    ),
}


@pytest.mark.parametrize("name", SHARDS_BROKEN)
def test_broken_shards_get_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = SHARDS_BROKEN[name]
    folder = make_checkpoint(tmp_path / "model", SHARDED)
    breakage(folder)
    check(folder, reason)


def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path) -> None:
    check(tmp_path / "absent", "does not exist")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    check(tmp_path / "model.gguf", "is a file")
    (tmp_path / "pickled").mkdir()
    write_json(tmp_path / "pickled" / "config.json", {"architectures": ["Qwen3ForCausalLM"]})
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "pickled", tmp_path / "out.gguf", "f16")
    assert "pickled" in (caught.value.hint or "")


def test_shards_without_index_are_found(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SHARDED)
    (folder / INDEX).unlink()
    assert convert(folder, tmp_path / "out.gguf", "f16").tensors == 13


def test_derived_buffers_of_old_exports_are_left_out(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SMALL)
    made = make_tensors(SMALL)
    made["model.layers.0.self_attn.rotary_emb.inv_freq"] = made[NORM]
    write_safetensors(folder / "model.safetensors", made)
    assert convert(folder, tmp_path / "out.gguf", "f16").tensors == 13


def check(folder: Path, reason: str) -> None:
    output = folder.parent / "out.gguf"
    with pytest.raises(CheckpointError) as caught:
        convert(folder, output, "q8_0", threads=1)
    message = str(caught.value)
    assert reason in message
    assert str(folder) in message
    assert len(message) < 500
    assert not message.endswith(".")
    assert "\n" not in message
    assert not [path for path in folder.parent.iterdir() if "out.gguf" in path.name]
