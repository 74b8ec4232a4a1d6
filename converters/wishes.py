"""What a person wants of a conversion besides a quantization. Light to import."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converters.errors import RecipeError
from converters.ggml import TensorType
from converters.recipes import find_type


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person wants otherwise: types for output and embeddings, and for tensors by a pattern."""

    output: TensorType | None = None
    embedding: TensorType | None = None
    tensors: tuple[tuple[re.Pattern[str], TensorType], ...] = ()

    @classmethod
    def parse(
        cls, tensors: Sequence[str] = (), *, output: str | None = None, embedding: str | None = None
    ) -> Overrides:
        """From `PATTERN=TYPE` texts and type names; RecipeError for one that makes no sense."""
        return cls(
            None if output is None else find_type(output),
            None if embedding is None else find_type(embedding),
            tuple(_pattern(text) for text in tensors),
        )


@dataclass(frozen=True, slots=True)
class Wishes:
    """`name` becomes `general.name`; `adapter` is a folder whose LoRA is merged on the way."""

    name: str | None = None
    imatrix: Path | None = None
    adapter: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    allow_nonfinite: bool = False


def _pattern(text: str) -> tuple[re.Pattern[str], TensorType]:
    pattern, separator, kind = text.rpartition("=")
    if not separator or not pattern:
        raise RecipeError(f"`{text}` says no type for a tensor", hint="write it as in `attn_v=q8_0`")
    try:
        return compile_pattern(pattern.lower()), find_type(kind)
    except ValueError as error:
        raise RecipeError(f"`{pattern[:80]}` is no pattern for tensor names: {error}") from None


def compile_pattern(text: str) -> re.Pattern[str]:
    """A pattern for names; ValueError says why it is none, or one whose meaning depends on who reads it."""
    if "[[" in text or "[:" in text:
        raise ValueError("sets within sets mean something else to every reader")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error) or "it is nested too deeply") from None
