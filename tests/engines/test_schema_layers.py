"""Schemas that combine more than can be combined, and those that only seem to."""

from __future__ import annotations

from typing import Any

import pytest

from qwen3cli.engines.grammar import answer_grammar
from qwen3cli.engines.llama.constraint import Tokens
from qwen3cli.engines.schema_items import Unsupported
from qwen3cli.engines.schema_layers import MOST_STEPS as MOST_COMBINED
from qwen3cli.engines.schema_layers import Layers
from tests.engines.matching import Matcher


def chain(*words: str, length: int = 40) -> dict[str, Any]:
    """Definitions of which each refers to the next one twice."""
    defs: dict[str, Any] = {
        f"d{n}": {words[n % len(words)]: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(length)
    }
    return {"$defs": {**defs, f"d{length}": {"type": "null"}}, "$ref": "#/$defs/d0"}


class TestCombinations:
    @pytest.mark.parametrize("words", [("allOf",), ("anyOf",), ("allOf", "anyOf")])
    def test_a_reference_is_followed_once(
        self, words: tuple[str, ...], tokens: Tokens, monkeypatch: pytest.MonkeyPatch
    ):
        asked: list[Any] = []
        resolve = Layers.resolve

        def counted(layers: Layers, reference: Any) -> dict[str, Any]:
            asked.append(reference)
            assert len(asked) < 1000
            return resolve(layers, reference)

        monkeypatch.setattr(Layers, "resolve", counted)
        matcher = Matcher(tokens, chain(*words))
        assert matcher.grammar.notices == {}
        assert (matcher.takes("null"), matcher.takes("1")) == (True, False)

    def test_what_a_reference_leaves_open_is_said_every_time(self):
        loose = {"oneOf": [{"type": "integer"}, {"minimum": 2}]}
        both = {name: {"allOf": [{"$ref": "#/$defs/l"}, {"maximum": n}]} for n, name in enumerate("ab")}
        schema = {"type": "object", "properties": both, "$defs": {"l": loose}}
        assert "`oneOf` of `b`, `oneOf` of `a`" in answer_grammar((), {}, schema).notices[""]

    def test_steps_are_counted(self):
        ways = [{"properties": {f"p{n}": {"minimum": n}}} for n in range(150)]
        parts = {
            f"d{n}": {"allOf": [{"anyOf": ways}, {"title": f"t{n}"}, {"maximum": n}]} for n in range(150)
        }
        schema = {
            "$defs": parts,
            "properties": {name: {"allOf": [{"$ref": f"#/$defs/{name}"}]} for name in parts},
        }
        assert "it combines too many parts" in answer_grammar((), {}, schema).notices[""]
        layers = Layers(schema)
        with pytest.raises(Unsupported):
            for part in parts.values():
                layers.flat(part)
        assert MOST_COMBINED < layers.steps < 2 * MOST_COMBINED

    def test_large_parts_are_more_steps(self):
        parts = [{"properties": {f"p{n}": {"minimum": n}}} for n in range(3000)]
        assert "it combines too many parts" in answer_grammar((), {}, {"allOf": parts}).notices[""]

    def test_more_is_not_compared_than_can_be(self):
        ways: list[Any] = [
            {"type": "object", "required": ["a"], "properties": {"a": {"const": f"{n:1000}"}}}
            for n in range(70)
        ]
        assert "`oneOf`" in answer_grammar((), {}, {"oneOf": ways}).notices[""]
        assert "`oneOf`" not in answer_grammar((), {}, {"oneOf": ways[:50]}).notices.get("", "")

    def test_what_is_too_long_is_not_read(self):
        inner: Any = {"type": "null", "description": "x" * 1_000_000}
        assert "it is too long" in answer_grammar((), {}, {"items": inner}).notices[""]

    def test_alternatives_are_counted_before_they_are_compared(self):
        ways: list[Any] = [{"type": "object", "properties": {f"p{n}": {}}} for n in range(5_000)]
        assert "it has too many alternatives" in answer_grammar((), {}, {"oneOf": ways}).notices[""]

    @pytest.mark.parametrize("word", ["anyOf", "oneOf"])
    def test_labelled_constants_are_one_list(self, word: str, tokens: Tokens):
        choices = [{"const": f"x{n}", "title": f"X {n}", "type": "string"} for n in range(3000)]
        matcher = Matcher(tokens, {word: [*choices, {"const": 7, "type": "string"}, {"enum": ["y", 3]}]})
        assert matcher.grammar.notices == {}
        assert [matcher.takes(text) for text in ('"x2999"', '"y"', "3", '"x3000"', "7")] == [True] * 3 + [
            False
        ] * 2

    def test_constants_beside_other_alternatives(self, tokens: Tokens):
        matcher = Matcher(tokens, {"anyOf": [*({"const": f"x{n}"} for n in range(300)), {"type": "null"}]})
        assert all(map(matcher.takes, ['"x299"', "null"]))

    def test_one_of_two_equal_constants_is_none(self, tokens: Tokens):
        matcher = Matcher(tokens, {"oneOf": [{"const": 1}, {"enum": [1.0, 2]}, {"const": True}]})
        assert [matcher.takes(text) for text in ("1", "1.0", "2", "true")] == [False, False, True, True]
