"""JSON Schemas without references and combinations: what `$ref`, `allOf`, `anyOf` and `oneOf` come to.

Knows nothing of grammars. Only the outermost layer is worked on; what lies inside stays as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote

from qwen3cli.engines.schema_items import Unsupported

Schema = dict[str, Any]
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_MAX_ALTERNATIVES = 200
_HIGHEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_LOWEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_IMPLIED = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
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


class Layers:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._overlapping = False

    def resolve(self, reference: Any) -> Schema:
        """The schema that `$ref` names within the document."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise Unsupported(f"it refers to `{reference}`, which is not in it")
        found: Any = self._document
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            try:
                found = cast("list[Any]", found)[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, ValueError, IndexError, TypeError):
                raise Unsupported(f"it refers to `{reference}`, which is not in it") from None
        return as_schema(found)

    def flat(self, schema: Schema) -> tuple[list[Schema], bool]:
        """Schemas without combinations, one of which a value has to meet; and whether `oneOf` may ask for more."""
        self._overlapping = False
        found = self._flat(schema, ())
        return found, self._overlapping

    def _flat(self, schema: Schema, inside: tuple[str, ...]) -> list[Schema]:
        found = [{key: value for key, value in schema.items() if key not in _COMBINING}]
        if "$ref" in schema:
            reference = schema["$ref"]
            target = self.resolve(reference)
            if reference in inside:
                raise Unsupported(f"`{reference}` refers to itself")
            found = _products(found, self._flat(target, (*inside, reference)))
        for part in _parts(schema, "allOf"):
            found = _products(found, self._flat(part, inside))
        for key in ("anyOf", "oneOf"):
            if key not in schema:
                continue
            ways = [self._flat(part, inside) for part in _parts(schema, key)]
            if key == "oneOf" and not _apart(ways):
                self._overlapping = True
            found = _products(found, [each for way in ways for each in way])
        return found


def _parts(schema: Schema, key: str) -> list[Schema]:
    parts = schema.get(key, [])
    if not isinstance(parts, list):
        raise Unsupported(f"its `{key}` is no list")
    return [as_schema(part) for part in cast("list[Any]", parts)]


def _products(some: Iterable[Schema], others: list[Schema]) -> list[Schema]:
    found = [merged for a in some for b in others if (merged := merge(a, b)) is not None]
    if len(found) > _MAX_ALTERNATIVES:
        raise Unsupported("it has too many alternatives")
    return found


def _apart(ways: list[list[Schema]]) -> bool:
    """Whether no value can meet two of the alternatives, as far as types, values and names can tell."""
    return all(
        _exclude(a, b) for n, way in enumerate(ways) for other in ways[n + 1 :] for a in way for b in other
    )


def _exclude(a: Schema, b: Schema) -> bool:
    first, second = values_of(a), values_of(b)
    if first is not None and second is not None:
        return not any(same(x, y) for x in first for y in second)
    kinds, others = _kinds(a), _kinds(b)
    if not _shared(kinds, others):
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


def is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a type."""
    if kind == "null":
        return value is None
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, {"object": dict, "array": list, "string": str, "number": (int, float)}[kind])


def _exclude_objects(a: Schema, b: Schema) -> bool:
    mine, theirs = cast("Schema", a.get("properties", {})), cast("Schema", b.get("properties", {}))
    both = set(a.get("required", [])) & set(b.get("required", []))
    for name in both & set(mine) & set(theirs):
        one, other = as_schema(mine[name]), as_schema(theirs[name])
        if not any(key in part for key in _COMBINING for part in (one, other)) and _exclude(one, other):
            return True
    closed = b.get("additionalProperties") is False and "patternProperties" not in b
    return closed and any(name not in theirs for name in a.get("required", []))


def _range(schema: Schema) -> tuple[float, float]:
    kinds = set(_kinds(schema))
    if kinds <= {"integer", "number"}:
        return schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    if kinds == {"string"}:
        return schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    return float("-inf"), float("inf")


def values_of(schema: Schema) -> list[Any] | None:
    """The only values a flat schema allows, when it lists them."""
    if "const" in schema:
        listed = schema.get("enum", [schema["const"]])
        return [value for value in listed if same(value, schema["const"])]
    return schema.get("enum")


def same(a: Any, b: Any) -> bool:
    """Equality as JSON Schema has it: 1 and 1.0 are one value, 1 and true are two."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        one, other = cast("Schema", a), cast("Schema", b)
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(a, list) and isinstance(b, list):
        some, others = cast("list[Any]", a), cast("list[Any]", b)
        return len(some) == len(others) and all(map(same, some, others))
    return a == b


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """The types that are in both, where an integer is a number, too."""
    common = [kind for kind in first if kind in second]
    if ("integer" in first and "number" in second) or ("number" in first and "integer" in second):
        common.append("integer")
    return list(dict.fromkeys(common))


def merge(a: Schema, b: Schema) -> Schema | None:
    """The schema that asks for what both ask for; None when no type is left."""
    if not a or not b:
        return b or a
    merged: Schema = {**a, **b}
    if "type" in a or "type" in b:
        merged["type"] = _shared(types_of(a), types_of(b)) if "type" in a and "type" in b else merged["type"]
        if not merged["type"]:
            return None
    for keys, pick in ((_HIGHEST, max), (_LOWEST, min)):
        for key in keys:
            if _is_number(a.get(key)) and _is_number(b.get(key)):
                merged[key] = pick(a[key], b[key])
    first, second = values_of(a), values_of(b)
    if first is not None and second is not None:
        merged.pop("const", None)
        merged["enum"] = [x for x in first if any(same(x, y) for y in second)]
    if "pattern" in a and "pattern" in b and a["pattern"] != b["pattern"]:
        raise Unsupported("a string is to have two patterns")
    _merge_objects(a, b, merged)
    _merge_arrays(a, b, merged)
    return merged


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _both(a: Any, b: Any) -> Any:
    if b is True or b == {} or a == b:
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
    for key in ("additionalProperties", "unevaluatedProperties"):
        if key in a and key in b:
            merged[key] = False if False in (a[key], b[key]) else _both(a[key], b[key])
    if (
        "patternProperties" in a
        and "patternProperties" in b
        and a["patternProperties"] != b["patternProperties"]
    ):
        raise Unsupported("an object has two lots of `patternProperties`")


def _others(schema: Schema) -> Any:
    return True if "patternProperties" in schema else schema.get("additionalProperties", True)


def _merge_arrays(a: Schema, b: Schema, merged: Schema) -> None:
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
