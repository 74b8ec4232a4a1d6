"""Architecture name → the module that knows it, imported on demand."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from math import prod
from typing import Final, Protocol, cast

from converters.checkpoint import Checkpoint, Config
from converters.entries import Entries
from converters.errors import CheckpointError
from converters.rules import Traits

_MODULES: Final = {
    "Qwen3ForCausalLM": "converters.qwen3",
    "Qwen3MoeForCausalLM": "converters.qwen3_moe",
}


@dataclass(frozen=True, slots=True)
class Part:
    """`count` rows, from row `first` on, of a checkpoint's tensor, which must have that `shape`."""

    name: str
    shape: tuple[int, ...]
    first: int
    count: int

    @classmethod
    def whole(cls, name: str, shape: tuple[int, ...]) -> Part:
        """All rows of the tensor."""
        return cls(name, shape, 0, prod(shape[:-1]))


@dataclass(frozen=True, slots=True)
class MappedTensor:
    """A tensor of the GGUF file: its name, its shape as torch counts, and where its rows come from.

    Several `parts`, one after the other, make one more dimension, as experts do.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[Part, ...]


class Architecture(Protocol):
    """What a module of this registry offers."""

    GGUF_NAME: str

    def map_tensors(self, checkpoint: Checkpoint) -> list[MappedTensor]:
        """The GGUF's tensors, in any order; CheckpointError for one missing, superfluous or misshapen."""
        ...

    def hyperparameters(self, config: Config) -> Entries:
        """The architecture's metadata."""
        ...

    def traits(self, config: Config) -> Traits:
        """What recipes ask about the model; without an imatrix."""
        ...


def find_architecture(config: Config) -> Architecture:
    """The module for this checkpoint's architecture; CheckpointError names those that there are."""
    module = _MODULES.get(config.architecture)
    if module is None:
        message = f"`{config.path.parent}` is a {config.architecture[:80]}, which cannot be converted"
        raise CheckpointError(message, hint=f"supported: {', '.join(_MODULES)}")
    return cast(Architecture, importlib.import_module(module))
