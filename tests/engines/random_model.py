"""Models with random weights: a Qwen3, the worst that a grammar can meet, for nothing it wants to say is allowed; and
a recurrent one, which cannot forget a part of what it has read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

from tests.engines.models import HYBRID, SPECIALS, as_token, write_vocabulary

PIECES = (
    '{"', '": ', '": "', '", "', '"}', '}}', '}\n', '}}\n', '"]', ']}', ' "', ', ', '[]', '{}', '["', '\\"', '\\u',
    '\\n', '\n\n', '12', '2024', '-0', '.5', 'true', 'false', 'null', 'name', 'arguments', ' {', 'a"', 'é', '中文',
    '日', '\u00b0', 'ab', 'tool_call', '</', '">', 'e-', '0"', '-', '"\n',
)  # fmt: skip
BROKEN = (
    b"\xe4\xb8",
    b"\xad\xe6",
    b"a\x00",
    b"\xc2",
    b"\xf0\x9f",
    b"\x98\x80",
    b"\xed\xa0",
    b'\xc0"',
    b'"\xe4',
)
"""Tokens that begin or end within a character, or are no UTF-8 at all."""


def small_vocabulary() -> list[str]:
    """Every byte, pieces of JSON that cross its borders, broken characters, Qwen3's special tokens."""
    texts = [bytes([byte]) for byte in range(256)]
    texts += [text.encode() for text in PIECES if len(text.encode()) > 1] + list(BROKEN)
    return [*map(as_token, dict.fromkeys(texts)), *SPECIALS]


def write_random(
    path: Path,
    seed: int = 0,
    *,
    vocabulary: Sequence[str] | None = None,
    merges: Sequence[str] = ("Ċ Ċ",),
    width: int = 64,
) -> Path:
    """The model, one block deep, with a vocabulary of a few hundred tokens unless another is given."""
    tokens = small_vocabulary() if vocabulary is None else list(vocabulary)
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(1)
    writer.add_context_length(32768)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(width * 2)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, tokens, list(merges))
    writer.add_chat_template(HYBRID)
    shapes = {
        "token_embd": (len(tokens), width), "output": (len(tokens), width), "output_norm": (width,),
        "blk.0.attn_norm": (width,), "blk.0.attn_q": (64, width), "blk.0.attn_k": (32, width),
        "blk.0.attn_v": (32, width), "blk.0.attn_output": (width, 64), "blk.0.attn_q_norm": (32,),
        "blk.0.attn_k_norm": (32,), "blk.0.ffn_norm": (width,), "blk.0.ffn_gate": (width * 2, width),
        "blk.0.ffn_up": (width * 2, width), "blk.0.ffn_down": (width, width * 2),
    }  # fmt: skip
    for name, shape in shapes.items():
        drawn = random.standard_normal(shape, np.float32) * np.float32(0.02)
        writer.add_tensor(f"{name}.weight", drawn + 1 if len(shape) == 1 else drawn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_recurrent(path: Path) -> Path:
    """A Mamba of one block with the same small vocabulary."""
    tokens, width, inner, state, rank, kernel = small_vocabulary(), 64, 128, 16, 4, 4
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_block_count(1)
    writer.add_context_length(32768)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, tokens, ["Ċ Ċ"])
    writer.add_chat_template(HYBRID)
    shapes = {
        "token_embd.weight": (len(tokens), width), "output.weight": (len(tokens), width),
        "output_norm.weight": (width,), "blk.0.attn_norm.weight": (width,),
        "blk.0.ssm_in.weight": (2 * inner, width), "blk.0.ssm_conv1d.weight": (inner, kernel),
        "blk.0.ssm_conv1d.bias": (inner,), "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank), "blk.0.ssm_dt.bias": (inner,), "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,), "blk.0.ssm_out.weight": (width, inner),
    }  # fmt: skip
    for name, shape in shapes.items():
        drawn = random.standard_normal(shape, np.float32) * np.float32(0.3)
        # A state fades.
        writer.add_tensor(name, -abs(drawn) - np.float32(0.1) if name.endswith("ssm_a") else drawn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
