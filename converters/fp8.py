"""What a checkpoint is quantized with: FP8 in blocks, as Qwen's -FP8 repositories are, can be converted.

Everything else is named, with what to use instead: its numbers were thrown away by a method of its own, and a
second quantization on top would only make it worse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, cast

from converters.checkpoint import Checkpoint, Config
from converters.errors import CheckpointError
from converters.safetensors import SourceTensor
from converters.sources import BlockScale

FP8: Final = "F8_E4M3"
_SUFFIX: Final = "_scale_inv"
_SCALE_TYPES: Final = ("F32", "F16", "BF16")
_NAMES: Final = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed-tensors (llm-compressor)",
    "mxfp4": "MXFP4",
}
_HINT: Final = "convert the original checkpoint, the one in BF16, or take a GGUF file of the model"


@dataclass(frozen=True, slots=True)
class Blocks:
    """How many rows and columns of a matrix share a scale."""

    rows: int
    columns: int


def find_blocks(config: Config) -> Blocks | None:
    """The blocks of an FP8 checkpoint, None for one that is not quantized; CheckpointError for the rest."""
    folder = config.path.parent
    mlx = config.table("quantization")
    method = config.table("quantization_config")
    if mlx and "quant_method" not in method:
        bits = str(mlx.get("bits", "a few"))[:10]
        message = f"`{folder}` is an MLX checkpoint, quantized to {bits} bits for Apple's MLX only"
        raise CheckpointError(message, hint=_HINT)
    if not method:
        return None
    name = str(method.get("quant_method", "an unnamed method"))[:40]
    if name != "fp8":
        known = _NAMES.get(name.lower(), name)
        message = f"`{folder}` is quantized with {known}, which cannot be converted"
        raise CheckpointError(message, hint=_HINT)
    size: Any = method.get("weight_block_size")
    sizes = cast(list[Any], size) if isinstance(size, list) else []
    if len(sizes) != 2 or not all(type(one) is int and 0 < one < 1 << 31 for one in sizes):
        message = f"`{folder}` is FP8 without `weight_block_size`, and only block scales are known"
        raise CheckpointError(message, hint=_HINT)
    return Blocks(*sizes)


def split_scales(checkpoint: Checkpoint, blocks: Blocks | None) -> tuple[Checkpoint, dict[str, BlockScale]]:
    """The checkpoint without its scales, and each scale by its matrix; CheckpointError if they do not match."""
    tensors = checkpoint.tensors
    weights: dict[str, SourceTensor] = {}
    scales: dict[str, BlockScale] = {}
    for name, tensor in tensors.items():
        if blocks is not None and name.endswith(_SUFFIX):
            matrix = name.removesuffix(_SUFFIX)
            scales[matrix] = _checked(tensor, tensors.get(matrix), blocks)
        else:
            weights[name] = tensor
    for name, tensor in weights.items():
        if (tensor.dtype == FP8) != (name in scales):
            what = "is FP8 and has no scale" if tensor.dtype == FP8 else f"has a scale and is {tensor.dtype}"
            raise CheckpointError(f"tensor `{name}` of `{tensor.path}` {what}")
    return replace(checkpoint, tensors=weights), scales


def _checked(scale: SourceTensor, matrix: SourceTensor | None, blocks: Blocks) -> BlockScale:
    where = f"the scale `{scale.name}` of `{scale.path}`"
    if matrix is None or len(matrix.shape) != 2 or matrix.name.endswith(_SUFFIX):
        raise CheckpointError(f"{where} belongs to no matrix")
    wanted = (-(-matrix.shape[0] // blocks.rows), -(-matrix.shape[1] // blocks.columns))
    if scale.shape != wanted or scale.dtype not in _SCALE_TYPES:
        found = f"{list(scale.shape)} of {scale.dtype}"
        raise CheckpointError(f"{where} is {found}, and must be {list(wanted)} of {', '.join(_SCALE_TYPES)}")
    return BlockScale(scale, blocks.rows, blocks.columns)
