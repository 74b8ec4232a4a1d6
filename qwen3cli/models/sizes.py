"""What a model needs, from where it can be known: the header of its file, or the family's shapes and the recipes.

A member of the family needs no file: the converter's own rules say how many bytes each tensor takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from qwen3cli.errors import UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.catalog import HEAD, VOCABULARY, Member
from qwen3cli.models.facts import checked_header
from qwen3cli.models.needs import Buffers, Layer, Needs, Weights

if TYPE_CHECKING:
    from converters.ggml import TensorType
    from converters.recipes import Recipe
    from converters.wishes import Overrides

_EMBEDDING = "token_embd.weight"
_OUTPUT = "output.weight"
# Measured on files with Qwen3's vocabulary: metadata, and what each tensor adds to it.
_METADATA_BYTES = 5_931_000
_TENSOR_ENTRY_BYTES = 65


def needs_of_member(member: Member, quantization: str) -> Needs:
    """What a member of the family needs in a quantization by name, in any case; `UsageError` if there is none."""
    recipe = _recipe(quantization)
    sizes = _tensor_sizes(member, recipe)
    weights = _weights(sizes, _active(member))
    return Needs(
        quantization=recipe.name,
        file_bytes=weights.total + _METADATA_BYTES + _TENSOR_ENTRY_BYTES * len(sizes),
        weights=weights,
        buffers=buffers_of_member(member),
        context=member.context,
    )


def wants_imatrix(quantization: str, member: Member, overrides: Overrides | None = None) -> bool:
    """Whether a conversion of the member to that quantization needs an importance matrix.

    `overrides` are types that a person wants for some tensors.
    """
    from converters.choose import needs_imatrix

    recipe = _recipe(quantization)
    types = _types(member, recipe, overrides, imatrix=False)
    return any(needs_imatrix(recipe, name, kind) for name, kind in types.items())


def buffers_of_member(member: Member) -> Buffers:
    """What a member of the family needs besides its weights."""
    return Buffers.of(
        kv_bytes=2 * 2 * member.layers * member.kv_heads * HEAD,
        vocabulary=VOCABULARY,
        hidden=member.hidden,
        feed_forward=member.feed_forward,
        experts_used=member.experts[1] if member.experts else 0,
    )


def needs_of_file(facts: ModelFacts) -> Needs:
    """What a model file needs, by its header; `InvalidFile` when it is not sound."""
    headers = [checked_header(path) for path in (facts.path, *facts.further)]
    tensors = [tensor for header in headers for tensor in header.tensors]

    def number(key: str) -> int:
        return headers[0].integer(f"{facts.architecture}.{key}") or 0

    experts, used = number("expert_count"), number("expert_used_count")
    return Needs(
        quantization=facts.quantization,
        file_bytes=facts.file_bytes,
        weights=_weights(((t.name, t.nbytes) for t in tensors), used / experts if experts else 1.0),
        buffers=Buffers.of(
            kv_bytes=facts.kv_bytes_per_token,
            vocabulary=facts.vocabulary,
            hidden=facts.hidden,
            feed_forward=number("expert_feed_forward_length") or number("feed_forward_length"),
            experts_used=used,
        ),
        context=facts.context_length,
    )


def _recipe(name: str) -> Recipe:
    from converters.recipes import RecipeError, find_recipe

    try:
        return find_recipe(name)
    except RecipeError as error:
        raise UsageError(str(error), error.hint) from None


def _active(member: Member) -> float:
    return member.experts[1] / member.experts[0] if member.experts else 1.0


def _tensor_sizes(member: Member, recipe: Recipe) -> list[tuple[str, int]]:
    """Names and bytes of the tensors that a conversion writes, with an importance matrix where it must have one."""
    types = _types(member, recipe, None, imatrix=wants_imatrix(recipe.name, member))
    shapes = _tensor_shapes(member)
    return [(name, kind.row_bytes(prod(shapes[name]))) for name, kind in types.items()]


def _types(
    member: Member, recipe: Recipe, overrides: Overrides | None, *, imatrix: bool
) -> dict[str, TensorType]:
    from converters.choose import Chooser, order
    from converters.rules import Traits
    from converters.wishes import Overrides

    experts = member.experts[0] if member.experts else 0
    traits = Traits(member.layers, member.heads // member.kv_heads, experts, imatrix)
    chooser = Chooser(recipe, traits, overrides or Overrides(), tied=member.tied)
    shapes = _tensor_shapes(member)
    return {name: chooser.choose(name, shapes[name]).kind for name in order(shapes)}


@cache
def _tensor_shapes(member: Member) -> Mapping[str, tuple[int, ...]]:
    """Shapes by name, as the converter maps a checkpoint of that member."""
    # Takes 60 ms to load.
    from converters.qwen3 import Shape, attention_tensors, feed_forward_tensors, model_tensors
    from converters.qwen3_moe import expert_tensors, router

    sizes = (
        member.layers,
        member.hidden,
        member.feed_forward,
        member.heads,
        member.kv_heads,
        HEAD,
        VOCABULARY,
    )
    shape = Shape(*sizes)
    tensors = model_tensors(shape, has_head=not member.tied)
    for layer in range(member.layers):
        tensors += attention_tensors(shape, layer)
        if member.experts:
            tensors.append(router(layer, member.experts[0], member.hidden))
            tensors += expert_tensors(layer, member.experts[0], member.feed_forward, member.hidden)
        else:
            tensors += feed_forward_tensors(shape, layer)
    return {tensor.name: tensor.shape for tensor in tensors}


def _weights(sizes: Iterable[tuple[str, int]], active: float) -> Weights:
    """Sorted by where llama.cpp can put them."""
    outside: dict[str, int] = defaultdict(int)
    layers: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for name, size in sizes:
        parts = name.split(".")
        if parts[0] == "blk" and len(parts) > 2 and parts[1].isdecimal():
            layers[int(parts[1])]["_exps." in name] += size
        else:
            outside[name] += size
    embedding = outside.pop(_EMBEDDING, 0)
    return Weights(
        embedding=embedding,
        output=sum(outside.values()),
        layers=tuple(Layer(*layers[number]) for number in sorted(layers)),
        tied=_OUTPUT not in outside,
        active=active,
    )
