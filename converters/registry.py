"""Architecture name → the module that knows it, imported on demand."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final, Protocol, cast

from converters.checkpoint import Checkpoint, Config
from converters.entries import Entries
from converters.errors import CheckpointError

_MODULES: Final = {"Qwen3ForCausalLM": "converters.qwen3"}


@dataclass(frozen=True, slots=True)
class MappedTensor:
    """A tensor of the GGUF file: its name, its shape as torch counts, and where its rows come from.

    `parts` are names of the checkpoint's tensors, one after the other; several make one more dimension, as
    experts do.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[str, ...]


class Architecture(Protocol):
    """What a module of this registry offers."""

    GGUF_NAME: str

    def map_tensors(self, checkpoint: Checkpoint) -> list[MappedTensor]:
        """The GGUF's tensors in writing order; CheckpointError for one missing, superfluous or misshapen."""
        ...

    def hyperparameters(self, config: Config, file_type: int) -> Entries:
        """The architecture's metadata, `general.file_type` in its place among it."""
        ...


def find_architecture(config: Config) -> Architecture:
    """The module for this checkpoint's architecture; CheckpointError names those that there are."""
    module = _MODULES.get(config.architecture)
    if module is None:
        message = f"`{config.path.parent}` is a {config.architecture[:80]}, which cannot be converted"
        raise CheckpointError(message, hint=f"supported: {', '.join(_MODULES)}")
    return cast(Architecture, importlib.import_module(module))
