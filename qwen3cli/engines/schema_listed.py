"""Whether a value that a schema lists meets what else the schema says, as far as that can be told without risk.

Patterns are somebody else's: they are matched in their translated form, place by place, and never by backtracking.
What cannot be told is named, and the value stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from qwen3cli.engines.schema_items import Unsupported
from qwen3cli.engines.schema_merge import Schema, as_schema, is_a, tuple_of, types_of, values_of
from qwen3cli.engines.schema_regex import Class, Part, Pattern, Row, Times, parse
from qwen3cli.engines.schema_same import identity

MOST_STEPS = 200_000
_NOTES = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "nullable"),
    *("$schema", "$id", "$comment", "$defs", "definitions", "format"),
}
_COUNTS = {"String": "Length", "Array": "Items", "Object": "Properties"}
_ENDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_SHAPES = {"required", "properties", "additionalProperties", "items", "prefixItems", "additionalItems"}
_SIZES = {bound + word for word in _COUNTS.values() for bound in ("min", "max")}
_TOLD = {"type", "enum", "const", "pattern", "uniqueItems", *_ENDS, *_SHAPES, *_SIZES}


class Listed:
    """Looks at the listed values of one document; its steps are counted, whatever the values and patterns are."""

    def __init__(self) -> None:
        self.steps = 0

    def untold(self, schema: Schema) -> list[str]:
        """The words of a schema that listed values are not held to."""
        return [word for word in schema if word not in _TOLD and word not in _NOTES]

    def meets(self, value: Any, schema: Schema) -> bool:
        """Whether the value meets the words that can be told; raises `Unsupported` for a pattern that cannot be."""
        if "type" in schema and not any(is_a(value, kind) for kind in types_of(schema)):
            return False
        values = values_of(schema)
        if values is not None:
            self._step(len(values))
            if identity(value) not in set(map(identity, values)):
                return False
        if isinstance(value, str):
            return _counted(len(value), schema, "Length") and self._matches(value, schema.get("pattern"))
        if isinstance(value, list):
            return self._array(cast("list[Any]", value), schema)
        if isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), schema)
        return isinstance(value, bool) or value is None or _within(value, schema)

    def _inner(self, value: Any, schema: Any) -> bool:
        inner = as_schema(schema)
        if self.untold(inner):
            raise Unsupported("what the parts of a listed value are held to cannot be told")
        return self.meets(value, inner)

    def _array(self, value: list[Any], schema: Schema) -> bool:
        if not _counted(len(value), schema, "Items"):
            return False
        if schema.get("uniqueItems") is True and len(set(map(identity, value))) < len(value):
            return False
        first, rest = tuple_of(schema)
        schemas = first[: len(value)] + [rest] * max(len(value) - len(first), 0)
        return all(self._inner(item, part) for item, part in zip(value, schemas, strict=True))

    def _object(self, value: dict[str, Any], schema: Schema) -> bool:
        if not _counted(len(value), schema, "Properties"):
            return False
        if any(name not in value for name in schema.get("required", ())):
            return False
        known, other = as_schema(schema.get("properties", {})), schema.get("additionalProperties", True)
        return all(self._inner(item, known.get(name, other)) for name, item in value.items())

    def _matches(self, text: str, pattern: Any) -> bool:
        if pattern is None:
            return True
        if any(self._found(text, way) for way in parse(str(pattern))):
            return True
        if not text.isascii():
            # The translated form has only the ASCII part of classes like `\\w`.
            raise Unsupported("a pattern means more than its translated form")
        return False

    def _found(self, text: str, way: Pattern) -> bool:
        begins = {0} if way.from_begin else {*range(len(text) + 1)}
        ends = self._ends(way.body, text, begins)
        return len(text) in ends if way.to_end else bool(ends)

    def _step(self, count: int) -> None:
        self.steps += count
        if self.steps > MOST_STEPS:
            raise Unsupported("its listed values have too much to be matched")

    def _ends(self, part: Part, text: str, begins: set[int]) -> set[int]:
        """Where matches of a part end that begin at one of these places."""
        self._step(1 + len(begins) * (1 + len(part.ranges) // 8 if isinstance(part, Class) else 1))
        if isinstance(part, Class):
            return {at + 1 for at in begins if at < len(text) and _has(part, ord(text[at]))}
        if isinstance(part, Times):
            return self._repeated(part, text, begins)
        if isinstance(part, Row):
            for each in part.parts:
                begins = self._ends(each, text, begins)
            return begins
        return {end for each in part.parts for end in self._ends(each, text, begins)}

    def _repeated(self, part: Times, text: str, begins: set[int]) -> set[int]:
        for _ in range(part.low):
            begins = self._ends(part.part, text, begins)
            if not begins:
                return begins
        found, newest = set(begins), begins
        times = part.low
        while newest and (part.high is None or times < part.high):
            # A place that was reached in fewer turns has everything before it that a later visit would have.
            newest = self._ends(part.part, text, newest) - found
            found |= newest
            times += 1
        return found


def _has(part: Class, code: int) -> bool:
    return any(low <= code <= high for low, high in part.ranges)


def _number(schema: Mapping[str, Any], word: str) -> Any:
    value = schema.get(word)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _counted(count: int, schema: Schema, what: str) -> bool:
    low, high = _number(schema, "min" + what), _number(schema, "max" + what)
    return (low is None or count >= low) and (high is None or count <= high)


def _within(value: float, schema: Schema) -> bool:
    low, high = _number(schema, "minimum"), _number(schema, "maximum")
    above, below = _number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")
    return (
        (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (below is None or value < below)
    )
