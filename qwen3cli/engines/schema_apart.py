"""Whether no value can meet two schemas, as far as types, values and names can tell."""

from __future__ import annotations

import json
from typing import cast

from qwen3cli.engines.schema_merge import (
    COMBINING,
    TYPES,
    Schema,
    as_schema,
    is_a,
    shared_types,
    types_of,
    values_of,
)
from qwen3cli.engines.schema_same import identity

_MOST = 4_000_000
"""Characters of alternatives, times how many there are, that are compared."""


def apart(ways: list[list[Schema]]) -> bool:
    """Whether no value can meet two of the alternatives, as far as types, values and names can tell."""
    flats = [schema for way in ways for schema in way]
    if len(flats) * len(json.dumps(flats)) > _MOST:
        return False
    return all(
        _exclude(a, b) for n, way in enumerate(ways) for other in ways[n + 1 :] for a in way for b in other
    )


def _exclude(a: Schema, b: Schema) -> bool:
    first, second = values_of(a), values_of(b)
    if first is not None and second is not None:
        return not set(map(identity, first)) & set(map(identity, second))
    kinds, others = _kinds(a), _kinds(b)
    if not shared_types(kinds, others):
        return True
    if set(kinds) == set(others) == {"object"}:
        return _exclude_objects(a, b) or _exclude_objects(b, a)
    low, high = _range(a), _range(b)
    return low[0] > high[1] or high[0] > low[1]


def _kinds(schema: Schema) -> tuple[str, ...]:
    """The types of the values that may meet a flat schema, whatever it is about."""
    values = values_of(schema)
    if values is not None:
        return tuple(kind for kind in TYPES if any(is_a(value, kind) for value in values))
    return types_of(schema) if "type" in schema else TYPES


def _exclude_objects(a: Schema, b: Schema) -> bool:
    mine, theirs = cast("Schema", a.get("properties", {})), cast("Schema", b.get("properties", {}))
    both = set(a.get("required", [])) & set(b.get("required", []))
    for name in both & set(mine) & set(theirs):
        one, other = as_schema(mine[name]), as_schema(theirs[name])
        if not any(key in part for key in COMBINING for part in (one, other)) and _exclude(one, other):
            return True
    closed = b.get("additionalProperties") is False and not b.get("patternProperties")
    return closed and any(name not in theirs for name in a.get("required", []))


def _range(schema: Schema) -> tuple[float, float]:
    kinds = set(_kinds(schema))
    if kinds <= {"integer", "number"}:
        return schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    if kinds == {"string"}:
        return schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    return float("-inf"), float("inf")
