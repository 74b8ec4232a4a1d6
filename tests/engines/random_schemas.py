"""Random JSON Schemas out of every keyword that a grammar can say; the same seed gives the same schema."""

from __future__ import annotations

from random import Random
from typing import Any

NAMES = (
    "a",
    "ab",
    "abc",
    "name",
    "größe",
    "中文",
    'say "hi"',
    "back\\slash",
    "tab\there",
    "x-y",
    "",
    "</tool_call>",
    "😀",
)
PATTERNS = (
    "^[a-z]+$", "^[a-z][a-z0-9_]*$", "^\\d{3}-\\d{4}$", "^(foo|bar|ba?z)$", "^x", "^a$|^b", "^[^\"\\\\]{2,5}$",
    "^\\w+@\\w+\\.com$", "^(?:[A-F0-9]{2}:){2}[A-F0-9]{2}$", "^.{3}$", "^[\\u4e00-\\u9fff]{1,4}$",
    "^\\s?\\S\\D\\W$",
    "^[^\\d]{2}$", "^\"\\\\$", "^(a|é|😀)+$", "^[\\]\\-a]+?$",
)  # fmt: skip
SIMPLE = ("string", "integer", "number", "boolean", "null", "enum", "const", "pattern", "format")
NESTED = ("object", "array", "tuple", "anyOf", "oneOf", "allOf", "types", "ref", "map", "any_value")


def schema(seed: int) -> dict[str, Any]:
    """A schema with definitions, one of which refers to itself."""
    random = Random(seed)
    made = _Maker(random)
    root = made.object(0)
    root["$defs"] = {
        "leaf": made.simple(),
        "tree": {
            "type": "object",
            "properties": {
                "v": {"$ref": "#/$defs/leaf"},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]},
            },
            "required": random.choice([["v"], ["v", "next"]]),
            "additionalProperties": False,
        },
    }
    return root


class _Maker:
    def __init__(self, random: Random) -> None:
        self._random = random

    def any(self, depth: int) -> dict[str, Any]:
        if depth >= 3 or self._random.random() < 0.5:
            return self.simple()
        return getattr(self, self._random.choice(NESTED))(depth + 1)

    def simple(self) -> dict[str, Any]:
        return getattr(self, "_" + self._random.choice(SIMPLE))()

    def object(self, depth: int) -> dict[str, Any]:
        names = self._random.sample(NAMES, self._random.randint(0, 4))
        made: dict[str, Any] = {"type": "object", "properties": {name: self.any(depth) for name in names}}
        made["required"] = [name for name in names if self._random.random() < 0.5]
        more = self._random.choice([None, False, True, self.simple()])
        if more is not None:
            made["additionalProperties"] = more
        if self._random.random() < 0.2:
            made["minProperties"] = 1
        if more in (None, False) and not names:
            made.pop("minProperties", None)
        return made

    def map(self, depth: int) -> dict[str, Any]:
        if self._random.random() < 0.5:
            return {"type": "object", "additionalProperties": self.any(depth), "maxProperties": 3}
        return {
            "type": "object",
            "patternProperties": {"^[a-z]{1,3}$": self.any(depth)},
            "additionalProperties": False,
        }

    def array(self, depth: int) -> dict[str, Any]:
        low = self._random.choice([0, 0, 1, 3])
        made = {"type": "array", "items": self.any(depth), "minItems": low}
        return {**made, "maxItems": low + self._random.randint(0, 3)} if self._random.random() < 0.7 else made

    def tuple(self, depth: int) -> dict[str, Any]:
        first = [self.any(depth) for _ in range(self._random.randint(1, 3))]
        made: dict[str, Any] = {"type": "array", "prefixItems": first, "minItems": self._random.randint(0, 4)}
        if self._random.random() < 0.5:
            made["items"] = (
                self._random.choice([False, self.simple()])
                if made["minItems"] <= len(first)
                else self.simple()
            )
        return made

    def anyOf(self, depth: int) -> dict[str, Any]:
        return {"anyOf": [self.any(depth) for _ in range(self._random.randint(1, 3))]}

    def oneOf(self, depth: int) -> dict[str, Any]:
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, "it": self.any(depth)},
                    "required": ["kind", "it"],
                }
                for kind in self._random.sample(["x", "y", "z", 1, True, None], self._random.randint(1, 3))
            ]
        }

    def allOf(self, depth: int) -> dict[str, Any]:
        return {
            "allOf": [
                {"type": "object", "properties": {"p": {"type": "integer", "minimum": 3}}, "required": ["p"]},
                {"properties": {"p": {"maximum": self._random.randint(3, 40)}, "q": self.any(depth)}},
            ],
            "type": "object",
        }

    def types(self, _depth: int) -> dict[str, Any]:
        return {
            "type": self._random.sample(["string", "null", "integer", "boolean", "number"], 2),
            "minLength": 1,
            "minimum": 0,
        }

    def ref(self, _depth: int) -> dict[str, Any]:
        return {"$ref": self._random.choice(["#/$defs/leaf", "#/$defs/tree"])}

    def _string(self) -> dict[str, Any]:
        low = self._random.choice([0, 0, 1, 5, 300])
        made: dict[str, Any] = {"type": "string", "minLength": low}
        return (
            {**made, "maxLength": low + self._random.choice([0, 3, 30, 600])}
            if self._random.random() < 0.8
            else made
        )

    def _integer(self) -> dict[str, Any]:
        return {"type": "integer", **self._bounds(self._random.choice([1, 20, 3000, 10**17]), whole=True)}

    def _number(self) -> dict[str, Any]:
        return {
            "type": "number",
            **self._bounds(self._random.choice([0.001, 1, 20, 1e9]), whole=self._random.random() < 0.3),
        }

    def _bounds(self, size: float, *, whole: bool) -> dict[str, Any]:
        low = self._random.uniform(-size, size)
        high = low + self._random.uniform(2 if whole else 0.01, 2 * size + 2)
        ends: list[Any] = [round(low), round(high)] if whole else [round(low, 4), round(high, 4)]
        made: dict[str, Any] = {}
        if self._random.random() < 0.7:
            made[self._random.choice(["minimum", "exclusiveMinimum"])] = ends[0]
        if self._random.random() < 0.7:
            made[self._random.choice(["maximum", "exclusiveMaximum"])] = ends[1]
        return made

    def _boolean(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def _null(self) -> dict[str, Any]:
        return {"type": "null"}

    def _enum(self) -> dict[str, Any]:
        values = [
            "red",
            "redder",
            "",
            "中",
            'q"',
            1,
            1.5,
            -3,
            None,
            True,
            [1, "a"],
            {"k": [None]},
            "\x01\x7f",
            "\n",
        ]
        return {"enum": self._random.sample(values, self._random.randint(1, 5))}

    def _const(self) -> dict[str, Any]:
        return {"const": self._random.choice(["only", 7, {"deep": {"er": [1, 2]}}, [], False])}

    def _pattern(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "string", "pattern": self._random.choice(PATTERNS)}
        if made["pattern"] in ("^[a-z]+$", "^[a-z][a-z0-9_]*$"):
            made |= {"minLength": 2, "maxLength": self._random.randint(2, 60)}
        return made

    def _format(self) -> dict[str, Any]:
        return {"type": "string", "format": self._random.choice(["date", "time", "date-time", "uuid"])}

    def any_value(self, _depth: int) -> dict[str, Any]:
        return {}
