"""Schemas as grammars, tried character by character against llama.cpp's own matching."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen3cli.chat.messages import ToolSpec
from qwen3cli.engines.grammar import answer_grammar, call_grammar
from qwen3cli.engines.llama.constraint import Tokens
from qwen3cli.engines.schema_items import Chars, Literal, Repeat, Unsupported
from qwen3cli.engines.schema_rules import Rules
from tests.engines.matching import Matcher
from tests.engines.schema_cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_what_a_schema_takes(name: str, tokens: Tokens):
    schema, good, bad = CASES[name]
    matcher = Matcher(tokens, schema)
    assert matcher.grammar.notices == {}
    assert [text for text in good if not matcher.takes(text)] == []
    assert [text for text in bad if matcher.takes(text)] == []


def test_line_ends_lead_what_follows_a_thinking(tokens: Tokens):
    matcher = Matcher(tokens, {"const": 1}, thought=True)
    assert all(map(matcher.takes, ["1", "\n1", "\n\n1"]))
    assert not any(map(matcher.takes, ["\n\n\n1", " 1", "1\n"]))
    assert not Matcher(tokens, {"const": 1}).takes("\n1")


@pytest.mark.parametrize(
    ("schema", "left"),
    [
        ({"type": "integer", "multipleOf": 3}, "`multipleOf`"),
        ({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}, "`uniqueItems` of `a`"),
        ({"type": "string", "pattern": "^(?=a).*$"}, "`pattern`"),
        ({"type": "string", "pattern": "(a)\\1"}, "`pattern`"),
        ({"type": "string", "pattern": "^\\ud83d\\ude00$"}, "`pattern`"),
        ({"type": "string", "pattern": "(" * 21 + "a" + ")" * 21}, "`pattern`"),
        ({"oneOf": [{"enum": [1, 2]}, {"enum": [2.0]}, {"type": "null"}]}, "`oneOf`"),
        ({"oneOf": [{"type": "string", "minLength": 3}, {"type": "string", "maxLength": 3}]}, "`oneOf`"),
        ({"type": "string", "pattern": "^\\bword"}, "`pattern`"),
        ({"type": "string", "pattern": "^(\\w+\\s?)*$"}, "`pattern`"),
        ({"type": "string", "pattern": "^(.{1,30}){1,30}$"}, "`pattern`"),
        ({"type": "string", "pattern": "^a*b*$", "maxLength": 3}, "`maxLength`"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "`oneOf`"),
        ({"type": "string", "minLength": 10**5, "maxLength": 10**6}, "`minLength`, `maxLength`"),
        ({"type": "array", "items": {"maxItems": 20_001}}, "`maxItems` of `[]`"),
        ({"type": "object", "not": {"required": ["a"]}}, "`not`"),
        ({"type": "object", "additionalProperties": True, "minProperties": 2}, "`minProperties`"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_named(schema: Any, left: str):
    assert answer_grammar((), {}, schema).notices == {
        "": f"the answer cannot be held to all of the schema while the model writes: {left} is left out"
    }


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "https://example.org/x"}, "it refers to `https://example.org/x`, which is not in it"),
        ({"$ref": "#/$defs/gone"}, "it refers to `#/$defs/gone`, which is not in it"),
        ({"$ref": "#"}, "nothing satisfies it"),
        ({"enum": []}, "nothing satisfies it"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "nothing satisfies it"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "nothing satisfies it"),
        ({"enum": ["x" * 50_000, "y" * 50_000]}, "it is too large"),
        ({"type": "date"}, 'it has an unknown type: "date"'),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "`#` refers to itself"),
        (
            {"allOf": [{"anyOf": [{word: n} for n in range(20)]} for word in ("minimum", "maximum")]},
            "it has too many alternatives",
        ),
    ],
)
def test_what_cannot_be_enforced_is_any_json(schema: Any, reason: str, tokens: Tokens):
    matcher = Matcher(tokens, schema)
    assert matcher.grammar.notices == {
        "": f"the answer cannot be held to the schema while the model writes: {reason}"
    }
    assert matcher.takes('{"a": [1, null]}')


@pytest.mark.parametrize(
    "ways",
    [
        [{"enum": [1, 2]}, {"const": 3}, {"type": "null"}],
        [{"type": "string", "minLength": 3}, {"type": "string", "maxLength": 2}],
        [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 2}],
        [{"type": "object", "required": ["a"]}, {"type": "object", "properties": {"b": {}},
          "additionalProperties": False}],
        [{"type": "object", "properties": {"b": {}}, "additionalProperties": False},
         {"type": "object", "required": ["a"]}],
    ],
)  # fmt: skip
def test_alternatives_of_which_one_at_most_can_be_met(ways: Any):
    assert answer_grammar((), {}, {"oneOf": ways}).notices == {}


def test_a_schema_that_is_too_deep():
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    assert "nested more than 60 times" in answer_grammar((), {}, schema).notices[""]


def test_one_tool_with_a_bad_schema_takes_nothing_from_the_others():
    good = ToolSpec("good", "", {"type": "object", "properties": {"a": {"type": "boolean"}}})
    bad = ToolSpec("bad", "", {"type": "object", "properties": {"a": {"$ref": "elsewhere"}}})
    grammar = call_grammar((good, bad), {"</tool_call>": 7})
    assert [*grammar.notices] == ["bad"]
    assert "<[7]>" in grammar.text
    assert "elsewhere" not in json.dumps(grammar.text)


class TestLargeSchemas:
    def test_a_property_that_is_too_large_takes_nothing_from_the_others(self, tokens: Tokens):
        large = {"enum": [f"{n * 7919:012}" for n in range(9000)]}
        parts = {"a": large, "b": {"type": "null"}, "c": large}
        matcher = Matcher(tokens, {"type": "object", "properties": parts})
        assert "`c` (it is too large), `a` (it is too large) is left out" in matcher.grammar.notices[""]
        assert matcher.takes('{"a": 1, "b": null, "c": []}')
        assert not matcher.takes('{"b": 1}')

    def test_tools_that_are_too_large_together_are_held_as_far_as_there_is_room(self):
        lengths = {f"p{n}": {"type": "string", "maxLength": 400 + n} for n in range(20)}
        tools = [
            ToolSpec(f"t{n}", "", {"type": "object", "required": [f"q{n}"], "properties": lengths})
            for n in range(3)
        ]
        others = [
            ToolSpec(f"o{n}", "", {"type": "object", "properties": {f"p{m}": {"type": "string", "maxLength": m}
                                                                    for m in range(n, 400, 2)}})
            for n in range(2)
        ]  # fmt: skip
        last = ToolSpec("last", "", {"type": "object", "properties": {"zz": {"type": "null"}}})
        grammar = call_grammar((*tools, *others, last), {})
        assert [*grammar.notices] == ["o0", "o1"]
        assert all(f"name\\U00000022: \\U00000022{name}" in grammar.text for name in ("t0", "o1", "last"))
        assert "zz" in grammar.text

    def test_a_notice_names_the_first_only(self):
        parts = {f"p{n}": {"type": "integer", "multipleOf": 7 + n} for n in range(500)}
        notice = answer_grammar((), {}, {"type": "object", "properties": parts}).notices[""]
        assert notice.endswith("`multipleOf` of `p490` and 490 more is left out")


class TestRules:
    def test_left_recursion_is_refused(self):
        rules = Rules()
        ref = rules.reserve()
        rules.define(ref, [[ref, Literal("a")], [Literal("b")]])
        with pytest.raises(Unsupported, match="begins with itself"):
            rules.write(ref, {})

    def test_left_recursion_behind_what_may_be_empty_is_refused(self):
        rules = Rules()
        ref = rules.reserve()
        nothing = rules.add([[Repeat(Chars(((97, 97),)), 0, None)], []])
        rules.define(ref, [[rules.add([[nothing], [Literal("x")]]), ref], [Literal("b")]])
        with pytest.raises(Unsupported, match="begins with itself"):
            rules.write(ref, {})

    def test_repeating_what_may_be_empty_is_refused(self):
        rules = Rules()
        nothing = rules.add([[Literal("a")], []])
        with pytest.raises(Unsupported, match="may be empty"):
            rules.write(rules.add([[Repeat(nothing, 0, None), Literal("b")]]), {})

    def test_more_than_llama_cpp_counts_is_refused(self):
        with pytest.raises(Unsupported, match="more than 20,000"):
            Rules().repeat(Chars(((97, 97),)), 0, 20_001)

    def test_what_llama_cpp_would_search_too_long_is_refused(self):
        rules = Rules()
        ref = rules.add([[Literal("a")]])
        for number in range(40):
            ref = rules.add([[ref, Literal(f"x{number}")], [ref, Literal(f"y{number}")]])
        with pytest.raises(Unsupported, match="too many choices"):
            rules.write(ref, {})
