from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from qwen3cli.tools.checker import broken, complaints
from qwen3cli.tools.drafts import BadSchema, draft_of
from qwen3cli.tools.schemas import compact
from tests.tools.random_schemas import URIS, Schemas, arguments


def accepts(schema: dict[str, Any], instance: Any) -> bool:
    return complaints(schema, instance) == []


@pytest.mark.parametrize("draft", list(URIS))
def test_a_compacted_schema_accepts_what_the_original_accepts(draft: int) -> None:
    accepted = rejected = 0
    for seed in range(150):
        rng = random.Random(seed)
        schema = Schemas(rng, draft).root()
        assert broken(schema) is None, (seed, schema)
        before = json.dumps(schema)
        small = compact(schema)
        assert json.dumps(schema) == before
        assert broken(small) is None, (seed, small)
        for _ in range(25):
            instance = arguments(rng)
            expected = accepts(schema, instance)
            assert accepts(small, instance) == expected, (seed, schema, small, instance)
            accepted, rejected = accepted + expected, rejected + (not expected)
    # Neither answer is so rare that its errors could hide.
    assert min(accepted, rejected) > 400, (accepted, rejected)


OBJECT: dict[str, Any] = {"type": "object"}
NOTHING: dict[str, Any] = {}
SMALL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (NOTHING, OBJECT),
    (
        {
            "type": "object",
            "title": "T",
            "$schema": URIS[7],
            "properties": {"title": {"title": "T", "type": "string"}},
        },
        {"type": "object", "properties": {"title": {"type": "string"}}},
    ),
    # Used once, or short: in its place. Long and used twice: shared.
    (
        {
            **OBJECT,
            "properties": {"a": {"$ref": "#/$defs/A", "description": "An A."}},
            "$defs": {"A": {"type": "string", "title": "A"}, "B": NOTHING},
        },
        {**OBJECT, "properties": {"a": {"type": "string", "description": "An A."}}},
    ),
    (
        {
            **OBJECT,
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"enum": ["a" * 100]}},
        },
        {
            **OBJECT,
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"enum": ["a" * 100]}},
        },
    ),
    # A tree stays one.
    (
        {
            "$ref": "#/definitions/a~1b%20c",
            "definitions": {"a/b c": {"properties": {"next": {"$ref": "#/definitions/a~1b%20c"}}}},
        },
        {
            **OBJECT,
            "$ref": "#/$defs/a_1b_c",
            "$defs": {"a_1b_c": {"properties": {"next": {"$ref": "#/$defs/a_1b_c"}}}},
        },
    ),
    # What pydantic writes for an optional value.
    (
        {
            **OBJECT,
            "properties": {
                "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "A"},
                "b": {"allOf": [{"$ref": "#/$defs/B"}], "description": "B."},
            },
            "$defs": {"B": {"enum": [1, 2]}},
        },
        {
            **OBJECT,
            "properties": {"a": {"type": ["string", "null"]}, "b": {"enum": [1, 2], "description": "B."}},
        },
    ),
    (
        {
            "$schema": URIS[4],
            **OBJECT,
            "properties": {
                "n": {"minimum": 1, "exclusiveMinimum": True},
                "t": {"items": [NOTHING], "additionalItems": False},
            },
        },
        {
            **OBJECT,
            "properties": {"n": {"exclusiveMinimum": 1}, "t": {"prefixItems": [NOTHING], "items": False}},
        },
    ),
    ({**OBJECT, "additionalProperties": NOTHING, "required": []}, OBJECT),
    ({**OBJECT, "additionalProperties": False}, {**OBJECT, "additionalProperties": False}),
]
EDITIONS: list[tuple[dict[str, Any], int]] = [
    (NOTHING, 2020),
    ({"$schema": URIS[7]}, 7),
    ({"$schema": URIS[4][:-1]}, 4),
    ({"$schema": "https://example.org/own"}, 2020),
    ({"properties": {"a": {"items": [NOTHING]}}}, 7),
    ({"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}, 4),
]


@pytest.mark.parametrize(("schema", "small"), SMALL)
def test_what_documents_goes_and_what_constrains_stays(schema: dict[str, Any], small: dict[str, Any]) -> None:
    assert compact(schema) == small


TELLING: list[tuple[dict[str, Any], Any]] = [
    # Each has a value that is taken otherwise as soon as the schema is shortened too boldly.
    ({"allOf": [{"additionalProperties": True}], "unevaluatedProperties": False}, {"x": 1}),
    ({"properties": {"x": {"oneOf": [{"type": "number"}, {"type": "integer"}]}}}, {"x": 1}),
    ({"$schema": URIS[7], "properties": {"x": {"prefixItems": [{"type": "string"}]}}}, {"x": [1]}),
    ({"properties": {"x": {"additionalItems": False, "prefixItems": [True]}}}, {"x": [1, 2]}),
    ({"properties": {"x": {"dependencies": {"a": ["b"]}}}}, {"x": {"a": 1}}),
    ({"$schema": URIS[6], "if": True, "then": False}, {}),
]


@pytest.mark.parametrize(("schema", "instance"), TELLING)
def test_shortening_stops_where_it_would_tell(schema: dict[str, Any], instance: Any) -> None:
    assert accepts(compact(schema), instance) == accepts(schema, instance)


def test_what_refers_beyond_pointers_is_left_as_it_is() -> None:
    schema = {
        "type": "object",
        "title": "T",
        "properties": {"a": {"$ref": "#here", "title": "A"}},
        "$defs": {"A": {"$anchor": "here", "type": "string", "description": "Long. " * 100}},
    }
    small = compact(schema)
    assert "title" not in json.dumps(small)
    assert len(json.dumps(small)) < 400
    assert not accepts(small, {"a": 1}) and accepts(small, {"a": "x"})


def test_definitions_that_double_do_not_explode() -> None:
    names = [f"d{n}" for n in range(60)]
    definitions: dict[str, Any] = {
        name: {"anyOf": [{"$ref": f"#/$defs/{after}"}, {"$ref": f"#/$defs/{after}"}]}
        for name, after in pairwise(names)
    }
    schema: dict[str, Any] = {
        **OBJECT,
        "properties": {"a": {"$ref": "#/$defs/d0"}},
        "$defs": {**definitions, "d59": NOTHING},
    }
    assert len(json.dumps(compact(schema))) < 2 * len(json.dumps(schema))


def deep(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "is not one of an object"),
        (deep(5000), "is nested too deep"),
        ({"enum": list(range(30_000))}, "is too large"),
        ({"properties": {"a": {"$ref": "#/$defs/No"}}}, "refers to `#/\\$defs/No`, which is not there"),
        ({"properties": {"a": {"$ref": "#/type"}}, "type": "object"}, "no schema"),
        (
            {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(600)}, "$ref": "#/$defs/d0"},
            "definitions",
        ),
    ],
)
def test_what_cannot_be_worked_with_is_said(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        compact(schema)


def test_long_chains_of_definitions_are_refused_not_crashed_on() -> None:
    chain: dict[str, Any] = {f"d{n}": deep(60) | {"not": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(300)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**chain, "d300": NOTHING}}
    try:
        compact(schema)
    except BadSchema as error:
        assert "too" in str(error)


@pytest.mark.parametrize(("schema", "draft"), EDITIONS)
def test_the_edition_is_told_from_the_schema(schema: dict[str, Any], draft: int) -> None:
    assert draft_of(schema) == draft
