"""Checkpoints (safetensors) to GGUF, in one pass and constant memory; and the reader of GGUF headers.

Knows nothing of qwen3cli. Light to import: numpy, gguf and ggml load when a conversion begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from converters.errors import CheckpointError, ConversionError, HeaderError, OutputError, RecipeError
from converters.recipes import RECIPES, Recipe, find_recipe

__all__ = [
    "RECIPES",
    "CheckpointError",
    "ConversionError",
    "ConversionResult",
    "HeaderError",
    "OutputError",
    "Progress",
    "Recipe",
    "RecipeError",
    "convert",
    "find_recipe",
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
    quantization: str
    notices: tuple[str, ...]


def convert(
    source: Path,
    output: Path,
    recipe: str | Recipe,
    *,
    progress: Callable[[Progress], None] | None = None,
    threads: int | None = None,
    name: str | None = None,
) -> ConversionResult:
    """Writes the checkpoint folder `source` as the GGUF file `output`, whole or not at all.

    `recipe` is a quantization by name, in any case; `threads` defaults to the cores; `name` becomes
    `general.name`. `progress` is called in the calling thread; what it raises, or Ctrl-C, ends the conversion
    and leaves nothing behind. An existing `output` is replaced. Raises ConversionError.
    """
    wanted = find_recipe(recipe) if isinstance(recipe, str) else recipe
    # numpy takes 80 ms, gguf 200: not for those who only list models.
    from converters.plan import make_plan
    from converters.stream import write_plan

    # The folder's name counts, and a link's is the one that a person gave; `.` and `..` have none.
    named = source if source.name not in ("", "..") else source.resolve()
    plan = make_plan(named, wanted, name)
    notices = write_plan(plan, output, threads, progress)
    return ConversionResult(
        path=output,
        bytes=plan.size,
        tensors=len(plan.tensors),
        parameters=plan.parameters,
        quantization=wanted.name,
        notices=(*plan.notices, *notices),
    )
