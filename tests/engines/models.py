"""Models that say what a test wants: real GGUF files for the real engine, without training.

A scripted model has attention and feed-forward weights of zero, so the residual stream is the embedding of
the last token, a unit vector, and the output matrix is a table: after this token comes that one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import gguf
import numpy as np

CONTROL = [
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end"),
        *("quad_start", "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
    )
]
FIM = [
    f"<|{name}|>" for name in ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")
]
TOOLS = ["<tool_call>", "</tool_call>"]
SPECIALS = [*CONTROL, *TOOLS, *FIM, "<tool_response>", "</tool_response>", "<think>", "</think>"]
"""Qwen3's 26 added tokens, in the order of their ids from 151643 on."""

HYBRID = """{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if enable_thinking is false %}<think>

</think>

{% endif %}"""
"""A small template with the hard switch; it ends with one line end when thinking is on, with two when off."""

Script = Mapping[str, str | tuple[str, ...]]
_HIDDEN = 512


def byte_characters() -> dict[int, str]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + n) for n, b in enumerate(hidden)}}


_CHARACTERS = byte_characters()


def as_token(data: bytes) -> str:
    """Bytes as a byte-level vocabulary writes them."""
    return "".join(_CHARACTERS[byte] for byte in data)


def without(specials: Collection[str]) -> list[str]:
    """Qwen3's added tokens without some: in their place are unused ones."""
    return [f"[unused{n}]" if text in specials else text for n, text in enumerate(SPECIALS)]


def write_vocabulary(writer: gguf.GGUFWriter, tokens: list[str], merges: list[str]) -> None:
    """The tokenizer's metadata; special are the tokens that Qwen3 has as such."""
    kinds = {
        **dict.fromkeys(SPECIALS, gguf.TokenType.USER_DEFINED),
        **dict.fromkeys(CONTROL, gguf.TokenType.CONTROL),
    }
    kinds |= dict.fromkeys(FIM, gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)


def write_scripted(
    path: Path,
    script: Script,
    *,
    template: str | None = HYBRID,
    blocks: int = 1,
    head: int = 32,
    missing: Collection[str] = (),
) -> Path:
    """A model that continues as `script` says: after a token comes another, or one of several by chance.

    Every key and value that is not a byte, a special token or an empty line becomes a token of its own.
    What a token without a successor is followed by is the end. Special tokens may be `missing`.
    """
    specials = without(missing)
    words = {
        w for key, value in script.items() for w in (key, *([value] if isinstance(value, str) else value))
    }
    known = ["\n\n", *specials]
    words = sorted(w for w in words if len(w.encode()) > 1 and w not in known)
    texts = [*(bytes([byte]) for byte in range(256)), b"\n\n", *(w.encode() for w in words)]
    tokens = [*map(as_token, texts), *specials]
    ids = {**{text: number for number, text in enumerate(texts)}}
    ids |= {text.encode(): len(texts) + number for number, text in enumerate(specials)}
    assert len(tokens) <= _HIDDEN
    output = np.zeros((len(tokens), _HIDDEN), np.float32)
    for token in range(len(tokens)):
        output[ids[b"<|im_end|>"], token] = 0.5
    for key, value in script.items():
        for successor in [value] if isinstance(value, str) else value:
            output[ids[_bytes(successor)], ids[_bytes(key)]] = 1
    _write(path, tokens, output, template, blocks, head)
    return path


def write_embedder(path: Path) -> Path:
    """A BERT, which llama.cpp loads and which cannot write."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁a"])
    writer.add_token_types([gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL])
    writer.add_token_type_count(2)
    for number, add in enumerate((writer.add_pad_token_id, writer.add_unk_token_id, writer.add_bos_token_id)):
        add(number)
    shapes = {"token_embd": 6, "token_types": 2, "position_embd": 64, "token_embd_norm": 0}
    shapes |= {
        f"blk.0.{name}": 64 for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")
    }
    shapes |= {f"blk.0.{name}": 0 for name in ("attn_output_norm", "layer_output_norm")}
    for name, rows in shapes.items():
        writer.add_tensor(f"{name}.weight", np.zeros((rows, 64) if rows else 64, np.float32))
        if name.startswith("blk") or not rows:
            writer.add_tensor(f"{name}.bias", np.zeros(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _bytes(text: str) -> bytes:
    """A token's bytes; a single character below 256 is the byte of that number."""
    return bytes([ord(text)]) if len(text) == 1 and ord(text) < 256 else text.encode()


def _write(
    path: Path, tokens: list[str], output: np.ndarray, template: str | None, blocks: int, head: int
) -> None:
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(blocks)
    writer.add_context_length(32768)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(head)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, tokens, ["Ċ Ċ"])
    if template is not None:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", np.eye(len(tokens), _HIDDEN, dtype=np.float32))
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(_HIDDEN, np.float32))
    shapes = {
        "attn_norm": (_HIDDEN,), "attn_q": (head, _HIDDEN), "attn_k": (head, _HIDDEN),
        "attn_v": (head, _HIDDEN), "attn_output": (_HIDDEN, head), "attn_q_norm": (head,),
        "attn_k_norm": (head,), "ffn_norm": (_HIDDEN,), "ffn_gate": (head, _HIDDEN),
        "ffn_up": (head, _HIDDEN), "ffn_down": (_HIDDEN, head),
    }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
