"""Applies a recipe to a model's tensors in writing order: rules, overrides, fallbacks for odd row lengths.

Source: src/llama-quant.cpp (`llama_tensor_get_type`, `tensor_type_fallback`) of llama-cpp-python 0.3.36. Knows
names and shapes, no weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from converters.errors import RecipeError
from converters.ggml import TYPE_BY_NAME, TensorType
from converters.recipes import FALLBACKS, NEED_IMATRIX, NEED_IMATRIX_IN, NEVER_ALONE, Recipe
from converters.rules import DOWN, ROLES, Traits, V
from converters.wishes import Overrides

EMBEDDING: Final = "token_embd.weight"
OUTPUT: Final = "output.weight"
_F32: Final = TYPE_BY_NAME["F32"]
_F16: Final = TYPE_BY_NAME["F16"]
_Q8_0: Final = TYPE_BY_NAME["Q8_0"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The type a tensor gets, and the one it would get if its rows divided into blocks."""

    kind: TensorType
    wanted: TensorType


class Chooser:
    """Chooses types; to be asked for every tensor once, in writing order, since layers are counted."""

    def __init__(self, recipe: Recipe, traits: Traits, overrides: Overrides, *, tied: bool) -> None:
        if overrides.tensors and not recipe.quantized:
            hint = "choose a quantization, such as q8_0, and except tensors from it"
            raise RecipeError(f"{recipe.name} does not take types for single tensors", hint=hint)
        self._recipe = recipe
        self._traits = traits
        self._overrides = overrides
        self._tied = tied
        self._counts: Counter[str] = Counter()
        self._used: set[int] = set()
        self._output_used = False

    def choose(self, name: str, shape: Sequence[int]) -> Choice:
        """The type of the GGUF tensor `name`; `shape` as torch counts, row length last."""
        if not is_quantizable(name, shape):
            return Choice(_F32, _F32)
        fixed = {EMBEDDING: self._overrides.embedding, OUTPUT: self._overrides.output}.get(name)
        if fixed is not None:
            self._output_used |= name == OUTPUT
            _check_rows(name, shape[-1], fixed)
            return Choice(fixed, fixed)
        if not self._recipe.quantized:
            return Choice(self._recipe.default, self._recipe.default)
        wanted = self._overridden(name) or self._by_rules(name, shape[-1])
        return Choice(fitting(wanted, shape[-1]), wanted)

    def check_used(self) -> None:
        """RecipeError for a wish that has changed nothing, once every tensor has its type."""
        if self._overrides.output is not None and not self._output_used:
            hint = "its output is computed with the embeddings; `--embedding-type` is for those"
            raise RecipeError("`--output-type` has no effect: the model has no output.weight", hint=hint)
        for number, (pattern, _) in enumerate(self._overrides.tensors):
            if number not in self._used:
                hint = "patterns are searched in names such as `blk.0.attn_v.weight`, and the first that fits counts"
                raise RecipeError(f"`{pattern.pattern}` decides about no tensor that is quantized", hint=hint)

    def _overridden(self, name: str) -> TensorType | None:
        for number, (pattern, kind) in enumerate(self._overrides.tensors):
            if pattern.search(name):
                self._used.add(number)
                return kind
        return None

    def _by_rules(self, name: str, columns: int) -> TensorType:
        recipe = self._recipe
        if name == OUTPUT or (self._tied and name == EMBEDDING):
            if self._overrides.output is not None:
                self._output_used = True
                return self._overrides.output
            return _Q8_0 if columns % recipe.default.block else recipe.output
        if name == EMBEDDING:
            return recipe.embedding
        role = role_of(name)
        layer = self._layer(name, role)
        rules = recipe.rules.get(role, ())
        return next((rule.kind for rule in rules if rule.holds(layer, self._traits)), recipe.default)

    def _layer(self, name: str, role: str) -> int:
        """Counted, as llama.cpp does; but by name for most tensors of a mixture of experts."""
        counted = self._counts[role]
        self._counts[role] += 1
        by_count = role == V or (role == DOWN and self._recipe.counted)
        return counted if by_count or self._traits.experts <= 1 else int(name.split(".")[1])


def is_quantizable(name: str, shape: Sequence[int]) -> bool:
    """Norms, routers and everything of one dimension stay F32 whatever the recipe."""
    matrix = prod(shape[:-1]) > 1
    return matrix and not name.endswith(("_norm.weight", ".ffn_gate_inp.weight"))


def role_of(name: str) -> str:
    """`attn_v` of `blk.7.attn_v.weight`, `ffn_up` of `blk.7.ffn_up_exps.weight`; empty for a stranger."""
    parts = name.split(".")
    role = parts[2].removesuffix("_exps") if len(parts) == 4 else ""
    return role if role in ROLES else ""


def fitting(wanted: TensorType, columns: int) -> TensorType:
    """`wanted`, or what llama.cpp takes for rows of `columns` numbers that are no whole number of its blocks."""
    if columns % wanted.block == 0:
        return wanted
    smaller = TYPE_BY_NAME[FALLBACKS.get(wanted.name, wanted.name)]
    return smaller if columns % smaller.block == 0 else _F16


def needs_imatrix(recipe: Recipe, name: str, kind: TensorType) -> bool:
    """Whether the tensor is garbage in that type without an importance matrix, or cannot be made at all."""
    if name in (EMBEDDING, OUTPUT):
        return kind.name in NEVER_ALONE
    return kind.name in (*NEED_IMATRIX, *NEED_IMATRIX_IN.get(recipe.name, ()))


def order(names: Iterable[str]) -> list[str]:
    """Names in writing order: what stands outside of the layers first, then layer by layer, each by name."""
    return sorted(names, key=lambda name: (_number(name), name))


def _number(name: str) -> int:
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blk" else -1


def _check_rows(name: str, columns: int, kind: TensorType) -> None:
    if columns % kind.block:
        message = f"`{name}` cannot be {kind.name}: its rows of {columns} are no multiple of {kind.block}"
        raise RecipeError(message, hint="choose a type with smaller blocks, such as q8_0 or f16")
