"""Random JSON schemas of every edition and random values for them; seeded, so that a failure can be had again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

NAMES = ["a", "b", "title", "type", "items", "$ref", "description"]
TEXTS = ["", "a", "ab", "abc", "7", "é", "title"]
TYPES = ["string", "integer", "number", "boolean", "null", "object", "array"]


class Schemas:
    """Makes schemas of one edition."""

    def __init__(self, rng: random.Random, draft: int) -> None:
        self.rng = rng
        self.draft = draft
        self.key = "$defs" if draft >= 2019 else "definitions"
        self.defining = False
        self.names = rng.sample(["One", "Two", "a/b", "Tree"], rng.randint(0, 4))

    def root(self) -> dict[str, Any]:
        """A schema of an object, with definitions."""
        schema = {**self.object(3), "type": "object", **self.notes()}
        self.defining = True
        if self.names:
            schema[self.key] = {name: self.any(2) for name in self.names}
        if self.draft != 2020 or self.rng.random() < 0.5:
            schema["$schema"] = URIS[self.draft]
        return schema

    def any(self, depth: int) -> Any:
        """Any schema."""
        makers: list[Callable[[int], Any]] = [self.text, self.number, self.values, self.types]
        if depth > 0:
            makers += [self.object, self.object, self.array, self.choice]
            if self.names:
                makers += [self.reference, self.reference]
            if self.draft >= 7:
                makers.append(self.condition)
        if self.draft >= 6 and self.rng.random() < 0.05:
            return self.rng.random() < 0.8
        return {**self.rng.choice(makers)(depth), **self.notes()}

    def notes(self) -> dict[str, Any]:
        every = {
            "title": "T",
            "description": "Words. " * self.rng.randint(1, 60),
            "default": self.rng.choice(TEXTS),
            "examples": [{"$ref": "#/nowhere"}],
            "x-order": 3,
            "$comment": "c",
        }
        return {key: value for key, value in every.items() if self.rng.random() < 0.2}

    def text(self, _: int) -> dict[str, Any]:
        every = {"minLength": 1, "maxLength": 2, "pattern": self.rng.choice(["^a", "b$", "[0-9]"])}
        return {"type": "string", **self.some(every)}

    def number(self, _: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": self.rng.choice(["integer", "number"])}
        schema |= self.some({"minimum": 1, "maximum": 4, "multipleOf": 2})
        if self.draft == 4:
            exclusive = {"exclusiveMinimum": True, "exclusiveMaximum": False}
            return {**schema, "minimum": 1, "maximum": 4, **self.some(exclusive)}
        return schema | self.some({"exclusiveMinimum": 1, "exclusiveMaximum": 4})

    def values(self, _: int) -> dict[str, Any]:
        if self.rng.random() < 0.5:
            return {"const": self.rng.choice([1, "a", None, {"a": 1}])}
        return {"enum": self.rng.sample([1, 2, "a", "b", None, True, [1]], 3)}

    def types(self, _: int) -> dict[str, Any]:
        return {"type": self.rng.sample(TYPES, self.rng.randint(1, 3))}

    def object(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        names = rng.sample(NAMES, rng.randint(0, 4))
        schema: dict[str, Any] = {"properties": {name: self.any(depth - 1) for name in names}}
        if rng.random() < 0.6:
            schema["type"] = "object"
        extra: dict[str, Any] = {
            "required": rng.sample(NAMES, rng.randint(1, 2)),
            "additionalProperties": rng.choice([True, False, self.any(depth - 1)]),
            "patternProperties": {"^t": self.any(depth - 1)},
            "minProperties": 1,
            "maxProperties": 3,
            "propertyNames": {"minLength": 2},
            "dependencies": {"a": ["b"], "b": self.any(depth - 1)},
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"b": self.any(depth - 1)},
        }
        if self.draft == 2020:
            extra["unevaluatedProperties"] = False
        return schema | self.some(extra, 0.15)

    def array(self, depth: int) -> dict[str, Any]:
        several = [self.any(depth - 1), self.any(depth - 1)]
        if self.draft == 2020:
            schema: dict[str, Any] = self.some({"items": several[0], "prefixItems": several})
        else:
            schema = self.some({"items": self.rng.choice(several), "additionalItems": self.any(depth - 1)})
            if self.rng.random() < 0.5:
                schema["items"] = several
        extra = {"minItems": 1, "maxItems": 2, "uniqueItems": True, "contains": self.any(depth - 1)}
        return {"type": "array", **schema, **self.some(extra | {"maxContains": 1}, 0.2)}

    def choice(self, depth: int) -> dict[str, Any]:
        key = self.rng.choice(["anyOf", "oneOf", "allOf", "not"])
        if key == "not":
            return {"not": self.any(depth - 1)}
        return {key: [self.any(depth - 1) for _ in range(self.rng.randint(1, 3))]}

    def condition(self, depth: int) -> dict[str, Any]:
        return {key: self.any(depth - 1) for key in ("if", "then", "else")}

    def reference(self, depth: int) -> dict[str, Any]:
        """A reference; whoever follows those in circles gets deeper into the value each time."""
        name = self.rng.choice(self.names).replace("/", "~1")
        schema: dict[str, Any] = {"$ref": f"#/{self.key}/{name}"}
        to_root = self.rng.random() < 0.2
        if to_root:
            schema["$ref"] = "#"
        if self.rng.random() < 0.3:
            schema |= self.rng.choice([self.text, self.object])(depth - 1)
        nested = self.defining or to_root or self.rng.random() < 0.3
        return {"properties": {"b": schema}} if nested else schema

    def some(self, every: dict[str, Any], chance: float = 0.4) -> dict[str, Any]:
        return {key: value for key, value in every.items() if self.rng.random() < chance}


URIS = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}


def value(rng: random.Random, depth: int = 3) -> Any:
    """Any JSON value. No float is whole: draft 4 does not take those for integers, and later ones do."""
    kind = rng.randint(0, 8 if depth else 4)
    if kind >= 7:
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if kind >= 5:
        return arguments(rng, depth)
    return rng.choice([[0, 1, 2, 3, 4, 5], [1.5, 3.5], TEXTS, [True, False], [None]][kind])


def arguments(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    """An object."""
    return {name: value(rng, depth - 1) for name in rng.sample(NAMES, rng.randint(0, 4))}
