"""What the rules of quantizations are made of: conditions on a layer and its model, and roles of tensors.

Source: src/llama-quant.cpp (`llama_tensor_get_type_impl`) of the llama.cpp that llama-cpp-python 0.3.36 vendors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from converters.ggml import TensorType

Q, K, V, OUT = "attn_q", "attn_k", "attn_v", "attn_output"
GATE, UP, DOWN = "ffn_gate", "ffn_up", "ffn_down"
ROLES: Final = (Q, K, V, OUT, GATE, UP, DOWN)


@dataclass(frozen=True, slots=True)
class Traits:
    """What rules ask about a model: `ratio` is query heads per key-value head, `experts` 0 when dense."""

    layers: int
    ratio: int
    experts: int = 0
    imatrix: bool = False


Condition = Callable[[int, Traits], bool]
"""Whether a rule holds for the layer of that number, counted from 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Tensors of one role get `kind` where `holds`; the first rule of a role that holds counts."""

    kind: TensorType
    holds: Condition


Rules = Mapping[str, tuple[Rule, ...]]


# Conditions on the layer i of n, the head ratio g, the experts and the imatrix.
def everywhere(i: int, model: Traits) -> bool:
    return True


def more_bits(i: int, model: Traits) -> bool:
    """U(i): the first and the last eighth, and every third layer between."""
    n = model.layers
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def first_eighth(i: int, model: Traits) -> bool:
    return i < model.layers // 8


def first_sixteenth(i: int, model: Traits) -> bool:
    return i < model.layers // 16


def middle(i: int, model: Traits) -> bool:
    return model.layers // 8 <= i < 7 * model.layers // 8


def first_two(i: int, model: Traits) -> bool:
    return i < 2


def first_four(i: int, model: Traits) -> bool:
    return i < 4


def grouped(i: int, model: Traits) -> bool:
    return model.ratio >= 4


def grouped_or_experts(i: int, model: Traits) -> bool:
    return model.ratio >= 4 or model.experts >= 4


def imatrix(i: int, model: Traits) -> bool:
    return model.imatrix


def first_eighth_plain(i: int, model: Traits) -> bool:
    return first_eighth(i, model) and not model.imatrix


def first_eighth_imatrix(i: int, model: Traits) -> bool:
    return first_eighth(i, model) and model.imatrix


def eight(i: int, model: Traits) -> bool:
    """Eight experts, as Mixtral has and as people cut Qwen3's 128 down to."""
    return model.experts == 8


def eight_more_bits(i: int, model: Traits) -> bool:
    return eight(i, model) and more_bits(i, model)
