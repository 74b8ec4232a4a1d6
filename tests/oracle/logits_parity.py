"""Logits of our F32 files, run by llama.cpp, beside transformers on the same random checkpoints.

Run by `make oracle`. Needs the extra `oracle`. Fails unless the mean KL divergence is at most 1e-6 and the
most likely token is the same at every position, for every shape. This is about the files, so llama.cpp keeps
its cache in F32 for it. With its default, F16, shown beside, some 5e-7 come on top and a close call may tip.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from converters import convert
from tests.converters.checkpoints import Model, make_tokenizer, make_tokenizer_config, write_json
from tests.oracle.upstream import CACHE

MOST_KL = 1e-6
SHAPES = {
    "0.6B's ratios, tied": {"heads": 16, "kv_heads": 8, "hidden": 256, "head": 32, "tied": True},
    "4B's ratios, tied, wide heads": {"heads": 32, "kv_heads": 8, "hidden": 320, "head": 64, "tied": True},
    "8B's ratios, untied": {"heads": 32, "kv_heads": 8, "hidden": 512, "head": 16, "tied": False},
    "14B's ratios, untied": {"heads": 40, "kv_heads": 8, "hidden": 640, "head": 16, "tied": False},
    "32B's ratios, deep": {"heads": 64, "kv_heads": 8, "hidden": 320, "head": 16, "tied": False, "layers": 8},
    "one key-value head": {"heads": 8, "kv_heads": 1, "hidden": 128, "head": 32, "tied": True},
    "as many key-value heads": {"heads": 4, "kv_heads": 4, "hidden": 128, "head": 32, "tied": False},
    "heads of 128": {"heads": 2, "kv_heads": 1, "hidden": 256, "head": 128, "tied": True},
}


def main() -> None:
    """Prints a line per shape; exits with 1 if one of them is off."""
    llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(None))
    disable_progress_bar()
    CACHE.mkdir(exist_ok=True)
    print(f"{'':32} {'cache in F32':^33}   {'cache in F16':^33}")
    print(f"{'shape':32} {_HEADING}   {_HEADING}")
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        right = [_check(name, Path(work) / str(number), seed=number) for number, name in enumerate(SHAPES)]
    if not all(right):
        sys.exit("the logits differ from those of transformers")


def _check(name: str, folder: Path, seed: int) -> bool:
    checkpoint = _random_checkpoint(folder, SHAPES[name], seed)
    output = folder.with_suffix(".gguf")
    convert(checkpoint, output, "f32")
    theirs = _theirs(checkpoint)
    divergence, equal = _compare(theirs, _ours(output, exact=True))
    by_default = _compare(theirs, _ours(output, exact=False))
    print(f"{name:32} {_figures(divergence, equal)}   {_figures(*by_default)}", flush=True)
    return bool(divergence.mean() <= MOST_KL and equal.all())


_HEADING = f"{'mean KL':>9} {'max KL':>9} {'argmax equal':>13}"


def _figures(divergence: np.ndarray, equal: np.ndarray) -> str:
    return f"{divergence.mean():9.1e} {divergence.max():9.1e} {equal.sum():8} / {equal.size}"


def _tokens() -> list[int]:
    """96 token ids, all over the tiny vocabulary."""
    return [(37 * position * position + 11 * position) % Model().vocabulary for position in range(96)]


def _random_checkpoint(folder: Path, shape: dict[str, int], seed: int) -> Path:
    """A checkpoint written by transformers; weights large enough for confident, hence telling, logits."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=Model().vocabulary,
        hidden_size=shape["hidden"],
        intermediate_size=3 * shape["hidden"],
        num_hidden_layers=shape.get("layers", 4),
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        head_dim=shape["head"],
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        tie_word_embeddings=bool(shape["tied"]),
        initializer_range=0.08,
        eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)
    write_json(folder / "tokenizer.json", make_tokenizer())
    write_json(folder / "tokenizer_config.json", make_tokenizer_config())
    return folder


def _theirs(checkpoint: Path) -> np.ndarray:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([_tokens()])).logits[0].numpy()


def _ours(path: Path, exact: bool) -> np.ndarray:
    tokens = _tokens()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = 512
    if exact:
        params.type_k = params.type_v = 0  # GGML_TYPE_F32
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for position, token in enumerate(tokens):
        batch.token[position], batch.pos[position] = token, position
        batch.n_seq_id[position], batch.logits[position] = 1, 1
        batch.seq_id[position][0] = 0
    assert llama_cpp.llama_decode(context, batch) == 0
    size = (Model().vocabulary,)
    rows = [
        np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, position), size).copy()
        for position in range(len(tokens))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.stack(rows)


def _compare(theirs: np.ndarray, ours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """KL divergence in nats, and whether the most likely token is the same, per position."""
    p, q = _log_softmax(theirs), _log_softmax(ours)
    return (np.exp(p) * (p - q)).sum(-1), theirs.argmax(-1) == ours.argmax(-1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@llama_cpp.llama_log_callback
def _quiet(level: int, text: bytes, data: object) -> None:
    """Swallows llama.cpp's log; a module-level name, since ctypes does not keep callbacks alive."""


if __name__ == "__main__":
    main()
