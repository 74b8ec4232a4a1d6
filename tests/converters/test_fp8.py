"""Quantized checkpoints: FP8 in blocks has to fit together, and other methods are called by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import CheckpointError, convert
from tests.converters.breakages import EMBEDDING, WEIGHTS, Breakage, check_refused, config, tensors
from tests.converters.checkpoints import Model, Stored, make_checkpoint, make_tensors, write_safetensors

FP8 = Model(layers=1, fp8=(32, 48))
MATRIX = "model.layers.0.mlp.up_proj.weight"
SCALE = f"{MATRIX}_scale_inv"
NORM = "model.layers.0.input_layernorm.weight"


def changed(change: Callable[[dict[str, Stored]], object]) -> Breakage:
    return tensors(change, FP8)


def scale(shape: tuple[int, ...], dtype: str = "BF16", *, name: str = SCALE) -> Breakage:
    width = {"F64": np.uint64, "I32": np.uint32, "F8_E4M3": np.uint8, "F8_E8M0": np.uint8}
    stored = Stored(np.zeros(shape, width.get(dtype, np.uint16)), dtype)
    return changed(lambda made: made.update({name: stored}))


def blocks(size: Any) -> Breakage:
    return config(quantization_config={"quant_method": "fp8", "weight_block_size": size})


def method(**settings: Any) -> Breakage:
    return config(quantization_config=settings)


# up_proj is [96, 64]: three blocks down and two across.
SENSELESS: dict[str, tuple[Breakage, str]] = {
    "no scale": (
        changed(lambda made: made.pop(SCALE)),
        f"tensor `{MATRIX}` of `{{}}` is FP8 and has no scale",
    ),
    "scale of too few rows": (
        scale((2, 2)),
        f"the scale `{SCALE}` of `{{}}` is [2, 2] of BF16, and must be [3, 2]",
    ),
    "scale of too many columns": (scale((3, 3)), "is [3, 3] of BF16, and must be [3, 2]"),
    "scale turned": (scale((2, 3)), "is [2, 3] of BF16, and must be [3, 2]"),
    "one scale for all": (scale((1,)), "is [1] of BF16, and must be [3, 2]"),
    "scale without dimensions": (scale(()), "is [] of BF16, and must be [3, 2]"),
    "scale in FP8": (scale((3, 2), "F8_E4M3"), "is [3, 2] of F8_E4M3, and must be [3, 2] of F32, F16, BF16"),
    "scale as exponents": (scale((3, 2), "F8_E8M0"), "is [3, 2] of F8_E8M0"),
    "scale in 64 bits": (scale((3, 2), "F64"), "is [3, 2] of F64"),
    "scale in whole numbers": (scale((3, 2), "I32"), "is [3, 2] of I32"),
    "scale without matrix": (scale((3, 2), name="x.weight_scale_inv"), "belongs to no matrix"),
    "scale of a norm": (scale((1, 1), name=f"{NORM}_scale_inv"), "belongs to no matrix"),
    "scale of a scale": (scale((1, 1), name=f"{SCALE}_scale_inv"), "belongs to no matrix"),
    "scale of a matrix in BF16": (
        scale((9, 2), name=f"{EMBEDDING}_scale_inv"),
        f"tensor `{EMBEDDING}` of `{{}}` has a scale and is BF16",
    ),
    "other FP8": (
        changed(lambda made: made.update({MATRIX: replace(made[MATRIX], dtype="F8_E5M2")})),
        "has a scale and is F8_E5M2",
    ),
    "blocks of another size": (blocks([48, 32]), "and must be"),
    "FP8 without a word in config.json": (config(quantization_config=None), "is FP8 and has no scale"),
    "code of NaN": (
        changed(lambda made: made[MATRIX].data.__setitem__((7, 9), 0x7F)),
        "holds NaN or infinity",
    ),
    "code of negative NaN": (
        changed(lambda made: made[MATRIX].data.__setitem__((95, 63), 0xFF)),
        f"tensor `{MATRIX}` of `{{}}` holds NaN or infinity",
    ),
    "scale of NaN": (
        changed(lambda made: made[SCALE].data.__setitem__((2, 1), 0x7FC0)),
        f"tensor `{MATRIX}` of `{{}}` holds NaN or infinity",
    ),
    "scale beyond 32 bits": (
        changed(lambda made: made[SCALE].data.__setitem__((0, 0), 0x7F7F)),
        f"tensor `{MATRIX}` of `{{}}` holds NaN or infinity",
    ),
}
ODD_BLOCKS: tuple[Any, ...] = (
    None,
    128,
    "128",
    [],
    [128],
    [0, 128],
    [-1, 128],
    [128, 128, 128],
    [1.0, 2.0],
    [True, 1],
    [1 << 31, 1],
)


@pytest.mark.parametrize("name", SENSELESS)
def test_what_does_not_fit_together_gets_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = SENSELESS[name]
    folder = make_checkpoint(tmp_path / "model", FP8)
    breakage(folder)
    check_refused(folder, reason.format(folder / WEIGHTS))


@pytest.mark.parametrize("size", ODD_BLOCKS, ids=str)
def test_odd_blocks_get_a_sentence(size: Any, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", FP8)
    blocks(size)(folder)
    check_refused(folder, "is FP8 without `weight_block_size`, and only block scales are known")


def test_blocks_may_be_far_larger_than_any_matrix(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", Model(layers=1, fp8=(1 << 30, 1 << 30)))
    convert(folder, tmp_path / "huge.gguf", "q8_0")
    blocks([512, 512])(folder)
    convert(folder, tmp_path / "large.gguf", "q8_0")
    assert (tmp_path / "huge.gguf").read_bytes() == (tmp_path / "large.gguf").read_bytes()


OTHERS: dict[str, tuple[Breakage, str]] = {
    "MLX": (config(quantization={"group_size": 64, "bits": 4}), "is an MLX checkpoint, quantized to 4 bits"),
    "MLX of later versions": (
        config(quantization={"bits": 6}, quantization_config={"bits": 6}),
        "is an MLX checkpoint, quantized to 6 bits",
    ),
    "AWQ": (method(quant_method="awq", bits=4, version="gemm"), "is quantized with AWQ"),
    "GPTQ": (method(quant_method="gptq", bits=4, desc_act=False), "is quantized with GPTQ"),
    "bitsandbytes": (
        method(quant_method="bitsandbytes", load_in_4bit=True),
        "is quantized with bitsandbytes",
    ),
    "llm-compressor": (method(quant_method="compressed-tensors"), "is quantized with compressed-tensors"),
    "MXFP4": (method(quant_method="mxfp4"), "is quantized with MXFP4"),
    "one that comes next year": (method(quant_method="xyz"), "is quantized with xyz"),
    "one without a name": (method(bits=4), "is quantized with an unnamed method"),
    "one that is a number": (method(quant_method=8), "is quantized with 8"),
    "one of a thousand letters": (method(quant_method="x" * 1000), "is quantized with xxxxx"),
    "text": (config(quantization_config="fp8"), "`quantization_config` of"),
    "MLX as text": (config(quantization="4 bits"), "`quantization` of"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_methods_are_called_by_their_names(name: str, tmp_path: Path) -> None:
    breakage, reason = OTHERS[name]
    folder = make_checkpoint(tmp_path / "model", Model(layers=1))
    breakage(folder)
    check_refused(folder, reason)
    if "of" not in reason.split():
        with pytest.raises(CheckpointError) as caught:
            convert(folder, tmp_path / "out.gguf", "q8_0")
        assert "the original checkpoint" in (caught.value.hint or "")


def test_a_config_without_quantization_is_that_of_plain_weights(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", Model(layers=1))
    for absent in (None, dict[str, Any]()):
        config(quantization_config=absent, quantization=absent)(folder)
        convert(folder, tmp_path / "out.gguf", "q8_0")


def test_norms_and_embeddings_may_be_in_fp8_only_with_scales(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", FP8)
    made = make_tensors(FP8)
    for name in (NORM, EMBEDDING):
        codes = Stored(np.zeros(made[name].data.shape, np.uint8), "F8_E4M3")
        write_safetensors(folder / WEIGHTS, {**made, name: codes})
        check_refused(folder, f"tensor `{name}` of `{folder / WEIGHTS}` is FP8 and has no scale")
