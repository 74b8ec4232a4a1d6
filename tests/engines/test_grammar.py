"""Schemas as grammars, tried character by character against llama.cpp's own matching."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.chat.messages import ToolSpec
from qwen3cli.engines.grammar import answer_grammar, call_grammar
from qwen3cli.engines.llama.constraint import Constraint, Tokens
from qwen3cli.engines.llama.library import expect
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.schema_items import Chars, Literal, Repeat, Unsupported
from qwen3cli.engines.schema_listed import MOST_STEPS, Listed
from qwen3cli.engines.schema_rules import Rules
from tests.engines.random_model import write_random
from tests.engines.schema_cases import CASES


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    """A vocabulary that has every byte."""
    path: Path = write_random(tmp_path_factory.mktemp("grammar") / "random.gguf")
    params = C.llama_model_default_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(str(path).encode(), params)
    vocabulary = C.llama_vocab_p(expect(model and C.llama_model_get_vocab(model), "read the vocabulary"))
    yield Tokens(Vocabulary(vocabulary, "qwen2"))
    assert model
    C.llama_model_free(model)


class Matcher:
    """Whether texts follow a schema, by its grammar."""

    def __init__(self, tokens: Tokens, schema: Any, *, thought: bool = False) -> None:
        self._tokens = tokens
        self.grammar = answer_grammar((), {}, schema, thought=thought)

    def takes(self, text: str) -> bool:
        constraint = Constraint(self._tokens, self.grammar.text)
        try:
            for byte in text.encode():
                token = self._tokens.byte(byte)
                if token is None or not constraint.allows(token):
                    # A byte that only goes on with a character has no token that begins with it.
                    token = self._tokens.vocabulary.pieces.index(bytes([byte]))
                    if not constraint.allows(token):
                        return False
                constraint.accept(token)
            return constraint.allows(self._tokens.vocabulary.eos)
        finally:
            constraint.free()


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
        ({"type": "string", "pattern": "^\\bword"}, "`pattern`"),
        ({"type": "string", "pattern": "^a*b*$", "maxLength": 3}, "`maxLength`"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "`oneOf`"),
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
        ({"type": "string", "maxLength": 10**6}, "something is to be counted up to more than 20,000"),
        ({"enum": ["x" * 50_000, "y" * 50_000]}, "it is too large"),
        ({"type": "date"}, 'it has an unknown type: "date"'),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "`#` refers to itself"),
        (
            {"allOf": [{"anyOf": [{"minimum": n} for n in range(20)]} for _ in range(3)]},
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

    def test_what_llama_cpp_would_search_too_long_is_refused(self):
        rules = Rules()
        ref = rules.add([[Literal("a")]])
        for number in range(40):
            ref = rules.add([[ref, Literal(f"x{number}")], [ref, Literal(f"y{number}")]])
        with pytest.raises(Unsupported, match="too many choices"):
            rules.write(ref, {})
