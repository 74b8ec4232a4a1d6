"""Checkpoints (safetensors) to GGUF, in one pass and constant memory; and the reader of GGUF headers.

Knows nothing of qwen3cli. Light to import: numpy, gguf and ggml load when a conversion begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converters.errors import (
    AdapterError,
    CheckpointError,
    ConversionError,
    HeaderError,
    ImatrixError,
    OutputError,
    RecipeError,
)
from converters.recipes import RECIPES, Recipe, find_recipe
from converters.wishes import Overrides, Wishes

if TYPE_CHECKING:
    from converters.plan import Plan

__all__ = [
    "RECIPES",
    "AdapterError",
    "CheckpointError",
    "ConversionError",
    "ConversionResult",
    "HeaderError",
    "ImatrixError",
    "OutputError",
    "Overrides",
    "Progress",
    "Recipe",
    "RecipeError",
    "Wishes",
    "convert",
    "find_recipe",
    "prepare",
]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversion is; bytes are those of the output's tensors, `tensor` is the one just written."""

    bytes_done: int
    bytes_total: int
    tensor: str
    tensors_done: int
    tensors_total: int


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """What was written; `notices` are sentences that the user should see."""

    path: Path
    bytes: int
    tensors: int
    parameters: int
    notices: tuple[str, ...]


def convert(
    source: Path,
    output: Path,
    recipe: str | Recipe,
    wishes: Wishes | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    threads: int | None = None,
) -> ConversionResult:
    """Writes the checkpoint folder `source` as the GGUF file `output`, whole or not at all.

    `recipe` is a quantization by name, in any case; `threads` defaults to the cores. `progress` is called in the
    calling thread; what it raises, or Ctrl-C, ends the conversion and leaves nothing behind. An existing `output`
    is replaced. Raises ConversionError.
    """
    from converters.stream import write_plan

    made = prepare(source, recipe, wishes)
    notices = write_plan(made, output, threads, progress)
    return ConversionResult(
        path=output,
        bytes=made.size,
        tensors=len(made.tensors),
        parameters=made.parameters,
        notices=(*made.notices, *notices),
    )


def prepare(source: Path, recipe: str | Recipe, wishes: Wishes | None = None) -> Plan:
    """What `convert` would write, checked as far as it can be without reading weights. Raises ConversionError."""
    wanted = find_recipe(recipe) if isinstance(recipe, str) else recipe
    # numpy takes 80 ms, gguf 200: not for those who only list models.
    from converters.plan import make_plan

    # The folder's name counts, and a link's is the one that a person gave; `.` and `..` have none.
    named = source if source.name not in ("", "..") else source.resolve()
    return make_plan(named, wanted, wishes or Wishes())
