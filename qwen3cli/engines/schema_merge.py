"""Two JSON Schemas as one that asks for what both ask for.

Knows nothing of grammars. Only the outermost layer is worked on; what lies inside stays as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from qwen3cli.engines.schema_items import Unsupported
from qwen3cli.engines.schema_same import identity

Schema = dict[str, Any]
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_HIGHEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_LOWEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_UNSAYABLE = {
    "not": "anyOf",
    **dict.fromkeys(("if", "propertyNames", "contains", "multipleOf", "unevaluatedItems"), "allOf"),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), "allOf"),
}
"""Words that no grammar says, and what keeps two of them: they are looked for, and never looked into."""
_IMPLIED = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def as_schema(value: Any) -> Schema:
    """A subschema as an object: true is one without demands, false one that nothing meets."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if isinstance(value, bool):
        return {} if value else {"enum": []}
    raise Unsupported("a part of the schema is no schema")


def types_of(schema: Schema) -> tuple[str, ...]:
    """The types a flat schema allows; where it names none, those that its demands are about."""
    named = schema.get("type")
    if named is None:
        return (
            tuple(kind for kind, words in _IMPLIED.items() if any(word in schema for word in words)) or TYPES
        )
    types = cast("list[Any]", named) if isinstance(named, list) else [named]
    if not all(isinstance(kind, str) and kind in TYPES for kind in types):
        raise Unsupported(f"it has an unknown type: {json.dumps(named)}")
    return tuple(cast("list[str]", types))


def is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a type."""
    if kind == "null":
        return value is None
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, {"object": dict, "array": list, "string": str, "number": (int, float)}[kind])


def values_of(schema: Schema) -> list[Any] | None:
    """The only values a flat schema allows, when it lists them."""
    if "const" in schema:
        listed = schema.get("enum", [schema["const"]])
        return [value for value in listed if identity(value) == identity(schema["const"])]
    return schema.get("enum")


def shared_types(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """The types that are in both, where an integer is a number, too."""
    common = [kind for kind in first if kind in second]
    if ("integer" in first and "number" in second) or ("number" in first and "integer" in second):
        common.append("integer")
    return list(dict.fromkeys(common))


def merge(a: Schema, b: Schema) -> Schema | None:
    """The schema that asks for what both ask for; None when no type is left."""
    if not a or not b or _equal(a, b):
        return b or a
    a, b = _newer(a), _newer(b)
    merged: Schema = {**a, **b}
    if "type" in a or "type" in b:
        merged["type"] = (
            shared_types(types_of(a), types_of(b)) if "type" in a and "type" in b else merged["type"]
        )
        if not merged["type"]:
            return None
    _merge_bounds(a, b, merged)
    first, second = values_of(a), values_of(b)
    if first is not None and second is not None:
        merged.pop("const", None)
        both = set(map(identity, second))
        merged["enum"] = [value for value in first if identity(value) in both]
    if "pattern" in a and "pattern" in b and a["pattern"] != b["pattern"]:
        raise Unsupported("a string is to have two patterns")
    _merge_objects(a, b, merged)
    _merge_arrays(a, b, merged)
    return merged


def _newer(schema: Schema) -> Schema:
    """The schema with its bounds as they are since draft 6, where `exclusiveMinimum` is a number of its own."""
    newer = dict(schema)
    for word, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(newer.get(exclusive), bool) and newer.pop(exclusive) and word in newer:
            newer[exclusive] = newer.pop(word)
    return newer


def _equal(a: Any, b: Any) -> bool:
    # For Python 1 and true are equal.
    return a == b and identity(a) == identity(b)


def _merge_bounds(a: Schema, b: Schema, merged: Schema) -> None:
    for keys, pick in ((_HIGHEST, max), (_LOWEST, min)):
        for key in keys:
            if _is_number(a.get(key)) and _is_number(b.get(key)):
                merged[key] = pick(a[key], b[key])
    for word, way in _UNSAYABLE.items():
        if word in a and word in b and not _equal(a[word], b[word]):
            merged[word] = {way: [a[word], b[word]]}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _both(a: Any, b: Any) -> Any:
    if a is False or b is False:
        return False
    if b is True or b == {} or _equal(a, b):
        return a
    return b if a is True or a == {} else {"allOf": [a, b]}


def _merge_objects(a: Schema, b: Schema, merged: Schema) -> None:
    mine, theirs = as_schema(a.get("properties", {})), as_schema(b.get("properties", {}))
    if mine or theirs:
        merged["properties"] = {
            name: _both(mine.get(name, _others(a)), theirs.get(name, _others(b)))
            for name in {**mine, **theirs}
        }
    if "required" in a and "required" in b:
        merged["required"] = list(dict.fromkeys([*a["required"], *b["required"]]))
    if "additionalProperties" in a and "additionalProperties" in b:
        merged["additionalProperties"] = _both(a["additionalProperties"], b["additionalProperties"])
    if (
        "patternProperties" in a
        and "patternProperties" in b
        and a["patternProperties"] != b["patternProperties"]
    ):
        raise Unsupported("an object has two lots of `patternProperties`")


def _others(schema: Schema) -> Any:
    return True if schema.get("patternProperties") else schema.get("additionalProperties", True)


def _merge_arrays(a: Schema, b: Schema, merged: Schema) -> None:
    if "uniqueItems" in a and "uniqueItems" in b:
        merged["uniqueItems"] = a["uniqueItems"] is True or b["uniqueItems"] is True
    if not any(key in part for part in (a, b) for key in ("items", "prefixItems")):
        return
    (mine, rest), (theirs, other) = tuple_of(a), tuple_of(b)
    longest = max(len(mine), len(theirs))
    first, second = mine + [rest] * (longest - len(mine)), theirs + [other] * (longest - len(theirs))
    merged["prefixItems"] = [_both(x, y) for x, y in zip(first, second, strict=True)]
    merged["items"] = _both(rest, other)


def tuple_of(schema: Schema) -> tuple[list[Any], Any]:
    """The schemas of an array's first items, and that of the others; older drafts write the first as `items`."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return cast("list[Any]", items), schema.get("additionalItems", True)
    first = schema.get("prefixItems", [])
    if not isinstance(first, list):
        raise Unsupported("its `prefixItems` is no list")
    return list(cast("list[Any]", first)), items
