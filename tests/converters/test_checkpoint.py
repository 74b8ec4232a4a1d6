"""What a broken checkpoint gets: one sentence that names the file and the fault, and no output."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters import CheckpointError, convert
from tests.converters.breakages import (
    SMALL,
    WEIGHTS,
    Breakage,
    bpe,
    check_refused,
    config,
    content,
    edit,
    remove,
    tokenizer,
    without,
)
from tests.converters.checkpoints import make_checkpoint, write_json
from tests.converters.vocabulary import make_tokenizer

VOCABULARY = SMALL.vocabulary

BROKEN: dict[str, tuple[Breakage, str]] = {
    # config.json
    "no config": (remove("config.json"), "has no config.json"),
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
    "activation of a thousand letters": (config(hidden_act="x" * 1000), "the activation `xxxx"),
    "sliding window": (config(use_sliding_window=True, max_window_layers=0), "sliding-window"),
    "rope scaling of another kind": (config(rope_scaling={"rope_type": "dynamic", "factor": 2}), "dynamic"),
    "yarn without its context": (config(rope_scaling={"rope_type": "yarn", "factor": 2}), "original_max"),
    "rope scaling is text": (config(rope_scaling="yarn"), "`rope_scaling`"),
    "linear scaling without its factor": (config(rope_scaling={"rope_type": "linear"}), "`factor`"),
    "linear scaling by nothing": (config(rope_scaling={"rope_type": "linear", "factor": 0}), "`factor`"),
    "yarn with a context beyond 32 bits": (
        config(rope_scaling={"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 1 << 40}),
        "has 1099511627776 as `original_max_position_embeddings`",
    ),
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
    "no weights": (remove(WEIGHTS), "has no model.safetensors"),
    # tokenizer
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer.json"),
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
    "far more ids than tokens": (config(vocab_size=4_000_000), "has 276 tokens, and config.json says"),
    "id of 4,000 digits": (bpe(vocab={"a": 10**4000}), "has a token with id 1000"),
    "special id of 4,000 digits": (config(mask_token_id=10**4000), "`mask_token_id` 1000"),
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
    "chat template with a name of 2,000 letters": (
        lambda folder: edit(
            folder,
            "tokenizer_config.json",
            lambda value: value.update({"chat_template": [{"name": "x" * 2000, "template": "y"}]}),
        ),
        "a name of 2,000 letters",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_gets_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = BROKEN[name]
    folder = make_checkpoint(tmp_path / "model", SMALL)
    breakage(folder)
    check_refused(folder, reason)


def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path) -> None:
    check_refused(tmp_path / "absent", "does not exist")
    check_refused(tmp_path / ("x" * 300), "cannot be read: File name too long")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    check_refused(tmp_path / "model.gguf", "is a file")
    (tmp_path / "pickled").mkdir()
    write_json(tmp_path / "pickled" / "config.json", {"architectures": ["Qwen3ForCausalLM"]})
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "pickled", tmp_path / "out.gguf", "f16")
    assert "pickled" in (caught.value.hint or "")
