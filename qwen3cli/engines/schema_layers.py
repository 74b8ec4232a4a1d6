"""JSON Schemas without references and combinations: what `$ref`, `allOf`, `anyOf` and `oneOf` come to.

Knows nothing of grammars. Only the outermost layer is worked on; what lies inside stays as it is written. A
schema of a few lines can double what it comes to with each of them, so the steps are counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from qwen3cli.engines.schema_apart import apart
from qwen3cli.engines.schema_items import Unsupported
from qwen3cli.engines.schema_merge import (
    COMBINING,
    TYPES,
    Schema,
    as_schema,
    is_a,
    merge,
    types_of,
    values_of,
)
from qwen3cli.engines.schema_same import identity

MOST_STEPS = 20_000
LABELS = {"type", "enum", "const", "title", "description", "default", "examples", "deprecated", "$comment"}
_LATER = {*COMBINING, "unevaluatedProperties"}
_MAX_ALTERNATIVES = 200


class Layers:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._known: dict[str, list[Schema]] = {}
        self._overlaps: dict[str, bool] = {}
        self._overlapping = False
        self.steps = 0

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
        self._step(1)
        found = [{key: value for key, value in schema.items() if key not in _LATER}]
        if "$ref" in schema:
            found = self._products(found, self._referred(schema["$ref"], inside))
        for part in _parts(schema, "allOf"):
            found = self._products(found, self._flat(part, inside))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                found = self._products(found, self._ways(_parts(schema, key), key, inside))
        if "unevaluatedProperties" in schema:
            # All that is combined here has had its say by now, and nothing around it has.
            return [{"additionalProperties": schema["unevaluatedProperties"], **each} for each in found]
        return found

    def _referred(self, reference: Any, inside: tuple[str, ...]) -> list[Schema]:
        target = self.resolve(reference)
        if reference in inside:
            raise Unsupported(f"`{reference}` refers to itself")
        if reference not in self._known:
            before, self._overlapping = self._overlapping, False
            found = self._flat(target, (*inside, reference))
            self._known[reference] = found
            self._overlaps[reference] = self._overlapping
            self._overlapping = before
        self._overlapping |= self._overlaps[reference]
        return self._known[reference]

    def _ways(self, parts: list[Schema], key: str, inside: tuple[str, ...]) -> list[Schema]:
        """The alternatives of `anyOf` and `oneOf`; constants, which may be thousands, become one."""
        constants = [part for part in parts if _is_constant(part)]
        if key == "oneOf" and len(constants) < len(parts):
            constants = []
        others = [part for part in parts if not constants or not _is_constant(part)]
        if len(others) > _MAX_ALTERNATIVES:
            raise Unsupported("it has too many alternatives")
        ways = [self._flat(part, inside) for part in others]
        if sum(map(len, ways)) > _MAX_ALTERNATIVES:
            raise Unsupported("it has too many alternatives")
        if key == "oneOf" and not apart(ways):
            self._overlapping = True
        listed = [_listed(constants, once=key == "oneOf")] if constants else []
        return [*listed, *(each for way in ways for each in way)]

    def _products(self, some: list[Schema], others: list[Schema]) -> list[Schema]:
        """What meets one of the first and one of the second; what comes out twice is there once."""
        largest = max(map(_size, (*some, *others)), default=0)
        self._step(len(some) * len(others) * (1 + largest // 50))
        merged = (merge(a, b) for a in some for b in others)
        found = [each for each in merged if each is not None]
        if len(found) > 1:
            found = [*{json.dumps(each): each for each in found}.values()]
        if len(found) > _MAX_ALTERNATIVES:
            raise Unsupported("it has too many alternatives")
        return found

    def _step(self, count: int) -> None:
        self.steps += count
        if self.steps > MOST_STEPS:
            raise Unsupported("it combines too many parts")


def _parts(schema: Schema, key: str) -> list[Schema]:
    parts = schema.get(key, [])
    if not isinstance(parts, list):
        raise Unsupported(f"its `{key}` is no list")
    return [as_schema(part) for part in cast("list[Any]", parts)]


def _size(schema: Schema) -> int:
    """How many things are looked at where the schema becomes part of another one."""
    return sum(len(cast("Any", part)) for part in schema.values() if isinstance(part, (dict, list)))


def _is_constant(schema: Schema) -> bool:
    """Whether a schema only lists values, with words for people beside them."""
    return ("const" in schema or isinstance(schema.get("enum"), list)) and schema.keys() <= LABELS


def _listed(parts: list[Schema], *, once: bool) -> Schema:
    """The values of several lists as one; `once`: without those that are in two of them."""
    found: dict[str, tuple[Any, int]] = {}
    for part in parts:
        kinds = types_of(part) if "type" in part else TYPES
        fit = [value for value in values_of(part) or () if any(is_a(value, kind) for kind in kinds)]
        for key, value in {identity(value): value for value in fit}.items():
            found[key] = (value, found[key][1] + 1 if key in found else 1)
    return {"enum": [value for value, count in found.values() if count == 1 or not once]}
