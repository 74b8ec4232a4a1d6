"""Makes LoRA adapters as PEFT saves them, for the test checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.converters.checkpoints import Stored, encode, random_floats, write_json, write_safetensors

PREFIX = "base_model.model."
Floats = npt.NDArray[np.float32]


def lora(module: str, shape: tuple[int, int], rank: int, seed: int = 1) -> dict[str, Floats]:
    """A and B for a matrix of that shape, by the names that PEFT gives them."""
    out, inner = shape
    return {
        f"{PREFIX}{module}.lora_A.weight": random_floats((rank, inner), seed),
        f"{PREFIX}{module}.lora_B.weight": random_floats((out, rank), seed + 1),
    }


def embedding_lora(module: str, shape: tuple[int, int], rank: int, seed: int = 1) -> dict[str, Floats]:
    """The same for embeddings [tokens, width], which PEFT keeps the other way round."""
    tokens, width = shape
    return {
        f"{PREFIX}{module}.lora_embedding_A": random_floats((rank, tokens), seed),
        f"{PREFIX}{module}.lora_embedding_B": random_floats((width, rank), seed + 1),
    }


def make_adapter(folder: Path, tensors: Mapping[str, Floats], *, dtype: str = "F32", **config: Any) -> Path:
    """Writes the adapter; `config` replaces what adapter_config.json usually says."""
    folder.mkdir(parents=True)
    usual = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "use_rslora": False}
    write_json(folder / "adapter_config.json", {**usual, **config})
    stored = {name: Stored(encode(numbers, dtype), dtype) for name, numbers in tensors.items()}
    write_safetensors(folder / "adapter_model.safetensors", stored)
    return folder
