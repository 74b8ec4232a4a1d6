"""Which tensor gets which type, per quantization; rules as data.

Source: conversion/base.py (`prepare_tensors`) of the llama.cpp that llama-cpp-python 0.3.36 vendors. Knows
tensor names and shapes, no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from converters.errors import RecipeError
from converters.ggml import TYPE_BY_NAME, TensorType

F32: Final = TYPE_BY_NAME["F32"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A quantization: its name, its `general.file_type`, and the type of every matrix.

    `fallback` is for matrices whose rows are no whole number of `default`'s blocks.
    """

    name: str
    file_type: int
    default: TensorType
    fallback: TensorType = TYPE_BY_NAME["F16"]


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("F32", 0, TYPE_BY_NAME["F32"]),
        Recipe("F16", 1, TYPE_BY_NAME["F16"]),
        Recipe("BF16", 32, TYPE_BY_NAME["BF16"]),
        Recipe("Q8_0", 7, TYPE_BY_NAME["Q8_0"]),
    )
}

# Never quantized, whatever the recipe: norms, everything of one dimension, and what routes to experts.
_KEPT_SUFFIXES: Final = ("_norm.weight", ".ffn_gate_inp.weight")


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, in any case; RecipeError lists what there is."""
    recipe = RECIPES.get(name.strip().upper())
    if recipe is None:
        hint = f"known are {', '.join(RECIPES)}"
        raise RecipeError(f"there is no quantization `{name}`", hint=hint)
    return recipe


def choose_type(recipe: Recipe, tensor: str, shape: Sequence[int]) -> TensorType:
    """The type of a GGUF tensor; `shape` as torch counts, row length last."""
    if len(shape) <= 1 or tensor.endswith(_KEPT_SUFFIXES):
        return F32
    if shape[-1] % recipe.default.block:
        return recipe.fallback
    return recipe.default
