"""Which tensor gets which type, per quantization: rules as data, a line for each exception.

Source: src/llama-quant.cpp (`llama_tensor_get_type_impl`) of the llama.cpp that llama-cpp-python 0.3.36 vendors.
How the rules are applied, with overrides and layer counts, is choose.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from converters import rules as when
from converters.errors import RecipeError
from converters.ggml import FILE_TYPES, TYPE_BY_NAME, TensorType
from converters.rules import DOWN, GATE, OUT, UP, Condition, K, Q, Rule, Rules, V


@dataclass(frozen=True, slots=True)
class Recipe:
    """A quantization: its `general.file_type`, the type of most matrices, and the exceptions by role.

    `output` is for output.weight, and for the embeddings of a model that has none; `embedding` for embeddings
    beside an output.weight. `counted` says that ffn_down's layers are counted, not read from their names: it
    makes a difference only when overrides take some of them out of the count.
    """

    name: str
    default: TensorType
    output: TensorType
    embedding: TensorType
    rules: Rules = field(default_factory=dict[str, tuple[Rule, ...]])
    counted: bool = False

    @property
    def file_type(self) -> int:
        """llama.h's number for it."""
        return _FILE_TYPE_IDS[self.name]

    @property
    def quantized(self) -> bool:
        """Whether it quantizes at all; the float types have no exceptions."""
        return self.default.block > 1


_FILE_TYPE_IDS: Final = {name: number for number, name in FILE_TYPES.items()}


_Rows = tuple[tuple[str, Condition], ...]
_Roles = Mapping[str, _Rows]
_EIGHT_8: Final[_Rows] = (("Q8_0", when.eight),)
_EIGHT_4: Final[_Rows] = (("Q4_K", when.eight),)
_EIGHT_5: Final[_Rows] = (("Q5_K", when.eight),)


def _recipe(
    name: str,
    default: str,
    roles: _Roles,
    *,
    output: str = "Q6_K",
    embedding: str | None = None,
    counted: bool = False,
) -> Recipe:
    return Recipe(
        name,
        TYPE_BY_NAME[default],
        TYPE_BY_NAME[output],
        TYPE_BY_NAME[embedding or default],
        {
            role: tuple(Rule(TYPE_BY_NAME[kind], holds) for kind, holds in rows)
            for role, rows in roles.items()
        },
        counted,
    )


def _float(name: str) -> Recipe:
    return _recipe(name, name, {}, output=name)


def _usual(name: str, default: str, roles: _Roles = MappingProxyType({}), *, output: str = "Q6_K") -> Recipe:
    """A recipe with the rules for eight experts that are common to most."""
    shared = {V: (*_EIGHT_8, *roles.get(V, ())), K: (*_EIGHT_8, *roles.get(K, ()))}
    return _recipe(name, default, {**roles, **shared}, output=output)


def _tiny(name: str, default: str, roles: _Roles, *, embedding: str) -> Recipe:
    """A recipe of about two bits: other rules for eight experts, and an output in Q5_K."""
    shared = {K: _EIGHT_4, OUT: (*_EIGHT_5, *roles.get(OUT, ()))}
    return _recipe(name, default, {**roles, **shared}, output="Q5_K", embedding=embedding, counted=True)


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        _float("F32"),
        _float("F16"),
        _float("BF16"),
        _usual("Q8_0", "Q8_0", output="Q8_0"),
        _usual("Q6_K", "Q6_K"),
        _usual("Q5_K_M", "Q5_K", {V: (("Q6_K", when.more_bits),), DOWN: (("Q6_K", when.more_bits),)}),
        _usual("Q5_K_S", "Q5_K"),
        _usual("Q5_0", "Q5_0", {DOWN: (("Q5_1", when.first_eighth_imatrix),)}),
        _usual("Q5_1", "Q5_1"),
        _usual(
            "Q4_K_M",
            "Q4_K",
            {V: (("Q6_K", when.more_bits),), DOWN: (("Q6_K", when.more_bits),), OUT: _EIGHT_5},
        ),
        _usual(
            "Q4_K_S",
            "Q4_K",
            {V: (("Q5_K", when.first_four),), DOWN: (("Q5_K", when.first_eighth),), OUT: _EIGHT_5},
        ),
        _usual("Q4_0", "Q4_0", {DOWN: (("Q4_1", when.first_eighth_imatrix),)}),
        _usual("Q4_1", "Q4_1"),
        _usual(
            "Q3_K_L",
            "Q3_K",
            {
                V: (("Q5_K", when.everywhere),),
                DOWN: (("Q5_K", when.everywhere),),
                OUT: (("Q3_K", when.eight), ("Q5_K", when.everywhere)),
            },
        ),
        _usual(
            "Q3_K_M",
            "Q3_K",
            {
                V: (("Q5_K", when.first_two), ("Q4_K", when.everywhere)),
                DOWN: (("Q5_K", when.first_sixteenth), ("Q4_K", when.everywhere)),
                OUT: (*_EIGHT_5, ("Q4_K", when.everywhere)),
            },
        ),
        _usual("Q3_K_S", "Q3_K", {OUT: _EIGHT_5}),
        _usual(
            "Q2_K",
            "Q2_K",
            {
                V: (("Q4_K", when.grouped), ("Q3_K", when.everywhere)),
                DOWN: (("Q3_K", when.everywhere),),
                OUT: (*_EIGHT_5, ("Q3_K", when.everywhere)),
            },
        ),
        _usual("Q2_K_S", "Q2_K", {V: (("Q4_K", when.grouped),), DOWN: (("Q4_K", when.first_eighth),)}),
        *(
            _usual(
                name,
                name,
                {V: (("Q5_K", when.grouped),), DOWN: (("Q5_K", when.first_eighth_plain),), OUT: _EIGHT_5},
            )
            for name in ("IQ4_XS", "IQ4_NL")
        ),
        _usual(
            "IQ3_M",
            "IQ3_S",
            {
                V: (("Q4_K", when.everywhere),),
                DOWN: (("Q4_K", when.first_eighth), ("Q4_K", when.eight_more_bits)),
                OUT: (*_EIGHT_5, ("Q4_K", when.everywhere)),
            },
        ),
        _usual("IQ3_S", "IQ3_S", {V: (("Q4_K", when.grouped),), OUT: _EIGHT_5}),
        _usual(
            "IQ3_XS",
            "IQ3_S",
            {
                V: (("Q4_K", when.grouped),),
                Q: (("IQ3_XXS", when.everywhere),),
                K: (("IQ3_XXS", when.everywhere),),
                GATE: (("IQ3_XXS", when.middle),),
                UP: (("IQ3_XXS", when.middle),),
                OUT: _EIGHT_5,
            },
        ),
        _recipe(
            "IQ3_XXS",
            "IQ3_XXS",
            {
                V: (*_EIGHT_8, ("Q4_K", when.grouped), ("IQ3_XXS", when.imatrix), ("IQ3_S", when.everywhere)),
                Q: (("IQ2_S", when.everywhere),),
                K: (*_EIGHT_8, ("IQ2_S", when.everywhere)),
                DOWN: (("IQ3_XXS", when.imatrix), ("Q4_K", when.first_eighth), ("Q3_K", when.everywhere)),
                OUT: (*_EIGHT_5, ("IQ3_S", when.everywhere)),
            },
            output="Q5_K",
            embedding="IQ3_S",
        ),
        *(
            _tiny(
                name,
                default,
                {
                    V: (("Q4_K", when.grouped_or_experts), ("IQ3_S", when.everywhere)),
                    DOWN: (("IQ3_S", when.first_eighth),),
                    OUT: (("IQ3_S", when.everywhere),),
                },
                embedding="IQ3_S",
            )
            for name, default in (("IQ2_M", "IQ2_S"), ("IQ2_S", "IQ2_XS"))
        ),
        *(
            _tiny(
                name,
                name,
                {
                    V: (("Q4_K", when.grouped_or_experts), ("Q2_K", when.everywhere)),
                    DOWN: (("Q2_K", when.first_eighth),),
                },
                embedding="Q2_K",
            )
            for name in ("IQ2_XS", "IQ2_XXS")
        ),
    )
}

ALIASES: Final = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
"""Names that llama-quantize takes for the usual mixture."""

# Rows that are no whole number of blocks take a type of smaller blocks, and F16 where even that does not fit.
FALLBACKS: Final = {
    **dict.fromkeys(("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K"), "Q4_0"),
    **{"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"},
}

# Without an importance matrix these are garbage. Embeddings and output are exempt, but for the types that ggml ends
# the process for.
NEVER_ALONE: Final = ("IQ2_XXS", "IQ2_XS")
NEED_IMATRIX: Final = ("IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S")
NEED_IMATRIX_IN: Final = {"Q2_K_S": ("Q2_K",)}

TENSOR_TYPES: Final = {
    **{name: TYPE_BY_NAME[name] for name in ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_0", "Q5_1")},
    **{name: TYPE_BY_NAME[name] for name in ("Q4_K", "Q4_0", "Q4_1", "Q3_K", "Q2_K", "IQ4_XS", "IQ4_NL")},
    **{name: TYPE_BY_NAME[name] for name in ("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS")},
}
"""What a single tensor can be made, by an override too."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, in any case; RecipeError lists what there is."""
    wanted = name.strip().upper()
    recipe = RECIPES.get(ALIASES.get(wanted, wanted))
    if recipe is None:
        hint = f"known are {', '.join(RECIPES)}"
        raise RecipeError(f"there is no quantization `{name}`", hint=hint)
    return recipe


def find_type(name: str) -> TensorType:
    """The tensor type of that name, in any case; RecipeError lists what there is."""
    kind = TENSOR_TYPES.get(name.strip().upper())
    if kind is None:
        raise RecipeError(f"there is no tensor type `{name}`", hint=f"known are {', '.join(TENSOR_TYPES)}")
    return kind
