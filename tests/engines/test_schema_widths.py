"""Schemas whose ways begin alike: nothing refers to itself, and each level multiplies what llama.cpp has to follow."""

from __future__ import annotations

from typing import Any

import pytest

from qwen3cli.engines.grammar import answer_grammar
from qwen3cli.engines.llama.constraint import Tokens
from tests.engines.matching import Matcher


def levels(ways: int, deep: int) -> dict[str, Any]:
    """Arrays of arrays, each in so many kinds that differ at their end only."""
    defs: dict[str, Any] = {
        f"d{n}": {
            "anyOf": [
                {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}, "maxItems": kind + 1}
                for kind in range(ways)
            ]
        }
        for n in range(deep)
    }
    return {"$defs": {**defs, f"d{deep}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def union(kinds: int, deep: int) -> dict[str, Any]:
    """Objects that tell their kind first, each with such objects in it."""
    inner = union(kinds, deep - 1) if deep else {"type": "null"}
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "kind": {"const": f"k{deep}-{n}"},
                    "inner": inner,
                    f"x{n}": {"type": "integer"},
                },
                "required": ["kind"],
            }
            for n in range(kinds)
        ]
    }


MANY: Any = {"type": "object", "properties": dict.fromkeys((f"p{n}" for n in range(1000)), True)}


@pytest.mark.parametrize("schema", [levels(10, 10), levels(3, 9), levels(25, 3)])
def test_too_many_are_refused(schema: Any):
    assert "it has too many ways that begin alike" in answer_grammar((), {}, schema).notices[""]


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (levels(4, 5), "[[[[[null]]]]]"),
        (levels(10, 3), "[[[null], [null]]]"),
        (union(12, 2), '{"kind": "k2-1", "inner": {"kind": "k1-11", "x11": 1}, "x1": 2}'),
        (MANY, '{"p5": [1], "p999": {}}'),
        ({"enum": [chr(0x4E00 + n) for n in range(5000)]}, '"\u4e01"'),
        ({"type": "string", "pattern": "^[a-z]*[a-z0-9]*[a-z-]*x{0,300}$"}, '"abc9xx"'),
    ],
)
def test_others_are_not(schema: Any, text: str, tokens: Tokens):
    matcher = Matcher(tokens, schema)
    assert matcher.grammar.notices == {}
    assert matcher.takes(text)
