"""The demo model's tokenizer: a small byte-level BPE with Qwen3's normalizer, pre-tokenizer and added tokens.

Needs the `tokenizers` package. The merges are learnt in two steps so that a word has the same pieces wherever it
stands, which makes copying easy to learn: first inside words, without the space before them, then space + word.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

# Qwen's published pattern (GPT-4's with single digits)
PATTERN: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # noqa: E501 - one expression
# words, single Chinese characters, single digits, marks: nothing that joins two of them is learnt in the first step
INSIDE: Final = r"[a-zà-ž]+|[A-ZÀ-Ž]?[a-zà-ž]+|[\u4e00-\u9fff]|\p{N}|[^\s\p{L}\p{N}]+|\s+|."
SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
ADDED: Final = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
SPACE: Final = "Ġ"  # how byte-level BPE writes a space


def _added(first: int) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": first + number, "content": text, **flags, "special": text in SPECIAL}
        for number, text in enumerate(SPECIAL + ADDED)
    ]


def _learn(texts: list[str], size: int) -> tuple[dict[str, int], list[list[str]]]:
    """Return vocabulary and merges of SIZE tokens, learnt inside the pieces of INSIDE."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(INSIDE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(learner.to_str())["model"]
    merges = [list(merge) if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    return model["vocab"], merges


def build(texts: Iterable[str], size: int, spaced: int) -> str:
    """Return the tokenizer.json text of SIZE tokens learnt from TEXTS, SPACED of them a space with a word."""
    marks = re.compile("|".join(map(re.escape, SPECIAL + ADDED)))
    corpus = [marks.sub(" ", text) for text in texts]
    vocabulary, merges = _learn(corpus, size - spaced - len(SPECIAL) - len(ADDED))
    frequent = Counter(word for text in corpus for word in re.findall(r"(?<= )[A-Za-z]{2,}", text))
    words = [word for word, _ in frequent.most_common() if word in vocabulary][:spaced]
    for word in words:
        merges.append([SPACE, word])
        vocabulary[SPACE + word] = len(vocabulary)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    bpe: dict[str, Any] = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": ""}
    bpe |= {"end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    bpe |= {"vocab": vocabulary, "merges": merges}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": _added(len(vocabulary))}
    whole |= {"normalizer": {"type": "NFC"}}
    whole |= {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}}
    whole |= {"post_processor": byte_level, "decoder": byte_level, "model": bpe}
    return json.dumps(whole, ensure_ascii=False)


def settings(first: int, chat_template: str) -> dict[str, Any]:
    """Return tokenizer_config.json as Qwen3's, with the added tokens from id FIRST on and CHAT_TEMPLATE."""
    entries = {str(entry.pop("id")): entry for entry in _added(first)}
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": entries,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "chat_template": chat_template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
