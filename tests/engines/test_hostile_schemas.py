"""Schemas that would take for ever, or all memory, or say less than they seem to."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from qwen3cli.chat.events import Notice
from qwen3cli.chat.messages import ToolSpec
from qwen3cli.engines.grammar import answer_grammar, call_grammar
from qwen3cli.engines.llama.constraint import Tokens
from qwen3cli.engines.schema_items import Unsupported
from qwen3cli.engines.schema_listed import MOST_STEPS, Listed
from tests.engines.asking import ask, said
from tests.engines.conftest import OpenScripted
from tests.engines.matching import Matcher


class TestLoops:
    """Schemas that refer to themselves in ways that begin alike: llama.cpp would follow twice as many every time."""

    @staticmethod
    def node(op: str, *more: str) -> Any:
        part = {"$ref": "#/$defs/e"}
        sides = {"left": part, "op": {"const": op}, **dict.fromkeys(more, part)}
        return {"type": "object", "properties": sides, "required": ["left", "op"]}

    @pytest.mark.parametrize(
        ("nodes", "close"),
        [
            ([node("+"), node("*")], ', "op": "*"}'),
            ([node("+", "right"), node("*", "right"), node("*", "third")], ', "op": "*", "third": 2}'),
            ([{**node("+"), "required": ["op"]}, node("*")], ', "op": "*"}'),
            ([node("+"), {**node("*"), "additionalProperties": True}], ', "op": "*", "z": {"y": []}}'),
        ],
    )
    def test_what_ways_begin_with_is_shared(self, nodes: list[Any], close: str, tokens: Tokens):
        schema = {"$defs": {"e": {"anyOf": [{"type": "integer"}, *nodes]}}, "$ref": "#/$defs/e"}
        matcher = Matcher(tokens, schema)
        assert matcher.grammar.notices == {}
        assert matcher.takes('{"left": ' * 40 + "1" + close * 40)
        assert matcher.takes('{"left": {"left": 1, "op": "*"}, "op": "+"}')
        assert not matcher.takes('{"left": 1, "op": "-"}')
        assert not matcher.takes('{"left": {"left": 1}, "op": "+"}')

    @pytest.mark.parametrize(
        "ways",
        [
            [
                {"type": "array", "items": {"$ref": "#"}},
                {"type": "array", "items": {"$ref": "#"}, "maxItems": 5},
            ],
            [{"type": "object", "additionalProperties": {"$ref": "#"}}, node("+")],
        ],
    )
    def test_what_cannot_be_shared_is_refused(self, ways: list[Any]):
        schema = {"anyOf": [{"type": "null"}, *ways], "$defs": {"e": {"$ref": "#"}}}
        assert "refers to itself in two ways that begin alike" in answer_grammar((), {}, schema).notices[""]

    @pytest.mark.parametrize(
        ("pattern", "fine"),
        [
            ("^(([a-z]{1,20}-?){1,20}\\.?){1,20}$", False),
            ("^(([a-z]+){20}-?){60}$", False),
            ("^([0-9a-f]{1,4}:){1,7}[0-9a-f]{1,4}$", True),
            ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}(-[0-9a-f]{30}){900}$", True),
            ("^([a-z]{1,9}-){1,100}$", True),
        ],
    )
    def test_repetitions_within_repetitions_have_bounds(self, pattern: str, fine: bool):
        assert (answer_grammar((), {}, {"type": "string", "pattern": pattern}).notices == {}) is fine


class TestListedValues:
    """What else a schema says of the values it lists is looked at without anybody's regular expressions."""

    @pytest.fixture(autouse=True)
    def no_jsonschema(self, monkeypatch: pytest.MonkeyPatch):
        # It would run the patterns of a server with Python's `re`, which some of them hang for ever.
        monkeypatch.setitem(sys.modules, "jsonschema", None)

    @pytest.mark.parametrize(
        ("pattern", "good", "bad"),
        [
            ("^(a+)+$", "aaaa", "a" * 40 + "!"),
            ("^((a|aa)+)+b?$", "aab", "a" * 60 + "c"),
            ("b{2,3}c", "abbbc", "abcbd"),
            ("^x|y$", "ay", "ayx"),
            ("^(ab?){2}$", "aba", "abaa"),
        ],
    )
    def test_patterns(self, pattern: str, good: str, bad: str, tokens: Tokens):
        matcher = Matcher(tokens, {"enum": [good, bad], "pattern": pattern})
        assert matcher.grammar.notices == {}
        assert (matcher.takes(f'"{good}"'), matcher.takes(f'"{bad}"')) == (True, False)

    @pytest.mark.parametrize(
        ("rest", "good", "bad"),
        [
            ({"type": "integer"}, 1.0, 1.5),
            ({"minLength": 2, "maxLength": 3}, "ab", "abcd"),
            ({"exclusiveMinimum": 3, "maximum": 5}, 5, 3),
            ({"items": {"type": "null"}, "minItems": 1}, [None], [1]),
            ({"maxItems": 1, "uniqueItems": True}, [1], [1, 2]),
            ({"uniqueItems": True}, [1, 2], [1, 1.0]),
            ({"prefixItems": [{"const": 1}], "items": False}, [1], [1, 2]),
            ({"required": ["a"], "additionalProperties": False, "properties": {"a": {}}}, {"a": 1}, {"b": 1}),
            ({"properties": {"a": {"enum": [2]}}}, {"a": 2}, {"a": 3}),
        ],
    )  # fmt: skip
    def test_what_else_is_said(self, rest: Any, good: Any, bad: Any, tokens: Tokens):
        matcher = Matcher(tokens, {"enum": [good, bad], **rest})
        assert matcher.grammar.notices == {}
        assert (matcher.takes(json.dumps(good)), matcher.takes(json.dumps(bad))) == (True, False)

    @pytest.mark.parametrize(
        ("schema", "left"),
        [
            ({"enum": ["a"], "pattern": "^\\p{L}+$"}, "pattern"),
            ({"enum": ["a" * 3000 + "!"], "pattern": "(a{50}){50}$"}, "pattern"),
            ({"enum": ["\u00e9"], "pattern": "^\\w$"}, "pattern"),
            ({"enum": [[1]], "items": {"$ref": "#/gone"}}, "enum"),
            ({"enum": [1], "not": {"const": 2}}, "not"),
            ({"enum": [[n] * 50 for n in range(200)], "items": {"enum": [*range(5000)]}}, "enum"),
            (
                {"enum": ["a" * 20_000], "pattern": f"^[{''.join(map(chr, range(0x4E00, 0x5E00, 2)))}a]*$"},
                "pattern",
            ),
        ],
    )
    def test_what_cannot_be_told_is_named(self, schema: Any, left: str, tokens: Tokens):
        matcher = Matcher(tokens, schema)
        assert f"`{left}` is left out" in matcher.grammar.notices[""]
        assert matcher.takes(json.dumps(schema["enum"][0], ensure_ascii=False))

    def test_the_steps_are_counted_over_all_values(self):
        listed = Listed()
        with pytest.raises(Unsupported, match="too much"):
            for number in range(10_000):
                listed.meets("a" * 50 + str(number), {"pattern": "(a+)+$"})
        assert listed.steps <= MOST_STEPS + 100


class TestTwoDemandsOfOneKind:
    @pytest.mark.parametrize(
        ("schema", "left"),
        [
            ({"allOf": [{"type": "array", "uniqueItems": True}, {"uniqueItems": False}]}, "uniqueItems"),
            ({"allOf": [{"type": "integer", "multipleOf": 3}, {"multipleOf": 1}]}, "multipleOf"),
            ({"allOf": [{"enum": [1, 2], "not": {"const": 1}}, {"not": {"const": 3}}]}, "not"),
            (
                {"allOf": [{"type": "object", "propertyNames": {"maxLength": 1}}, {"propertyNames": True}]},
                "propertyNames",
            ),
            ({"type": "object", "required": ["a", "a"], "minProperties": 2}, "minProperties"),
        ],
    )
    def test_what_is_left_out_is_named(self, schema: Any, left: str):
        assert f"`{left}` is left out" in answer_grammar((), {}, schema).notices[""]

    def test_bounds_of_draft_4(self, tokens: Tokens):
        old = {"type": "integer", "minimum": 3, "exclusiveMinimum": True}
        matcher = Matcher(tokens, {"allOf": [old, {"minimum": 2, "exclusiveMinimum": False, "maximum": 4}]})
        assert [matcher.takes(text) for text in ("3", "4", "5")] == [False, True, False]

    def test_one_and_true_are_not_the_same(self):
        assert (
            "nothing satisfies it"
            in answer_grammar((), {}, {"allOf": [{"const": 1}, {"const": True}]}).notices[""]
        )


def nested(word: str, times: int, inner: Any) -> Any:
    for _ in range(times):
        inner = {word: [inner]}
    return inner


class TestMalformed:
    @pytest.mark.parametrize(
        "schema",
        [
            {"oneOf": [{"type": "integer", "minimum": "a"}, {"type": "integer", "minimum": 3}]},
            {"type": "object", "properties": {"a": {}}, "required": 5},
            {"type": "object", "properties": {"a": {}}, "required": None},
            {"type": "object", "required": True},
            {"allOf": [{"required": 5}, {"required": ["a"]}]},
            {"allOf": [{"required": [{"a": 1}]}, {"required": ["a"]}]},
            {"enum": 5},
            {"enum": [float("nan")]},
            nested("allOf", 3000, {"type": "null"}),
            {"enum": ["a" * n for n in range(3000)]},
            {
                "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(3000)},
                "$ref": "#/$defs/d0",
            },
            {"type": "string", "pattern": "(" * 3000 + "a" + ")" * 3000},
        ],
    )
    def test_no_schema_is_a_bug(self, schema: Any):
        tool = ToolSpec("odd", "", schema)
        for notices in (answer_grammar((), {}, schema).notices, call_grammar((tool,), {}).notices):
            assert all(" while the model writes: " in notice for notice in notices.values())

    def test_a_malformed_one_is_said_plainly(self):
        notice = answer_grammar((), {}, {"type": "object", "properties": {"a": {}}, "required": 5}).notices[
            ""
        ]
        assert notice.endswith("while the model writes: it is malformed, or nested too deep")

    def test_a_broken_request_does_not_break_the_reply(self, scripted: OpenScripted):
        deep = nested("allOf", 50_000, {"type": "null"})
        events = ask(scripted({"\n\n": "null"}), format=deep, thinking=False)
        assert said(events) == "null"
        assert any(isinstance(event, Notice) and "nested too deep" in event.message for event in events)

    def test_a_property_that_cannot_be_said_is_any_value_and_the_others_are_held(self, tokens: Tokens):
        parts: Any = {
            "a": {"type": "integer"},
            "b": {"type": "object", "properties": {"up": {"$ref": "#"}}, "allOf": [{"$ref": "gone"}]},
            "c": {"properties": {"up": {"$ref": "#"}}, "required": 5},
            "d": {"type": "object", "properties": {"up": {"$ref": "#/properties/b"}}},
        }
        matcher = Matcher(tokens, {"type": "object", "properties": parts})
        notice = matcher.grammar.notices[""]
        assert "`b` (it refers to `gone`, which is not in it)" in notice
        assert "`c` (it is malformed, or nested too deep)" in notice
        assert matcher.takes('{"a": 1, "b": [2], "c": null, "d": {"up": true}}')
        assert not matcher.takes('{"a": true, "b": [2]}')
        assert not matcher.takes('{"d": 1}')
