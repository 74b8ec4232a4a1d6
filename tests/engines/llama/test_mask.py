"""Which tokens a grammar lets through, and when it is given up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from qwen3cli.chat.events import Event, Notice
from qwen3cli.chat.messages import ToolSpec
from qwen3cli.chat.ports import Engine
from qwen3cli.engines.grammar import answer_grammar
from qwen3cli.engines.llama import constraint as constraints
from qwen3cli.engines.llama import gate
from qwen3cli.engines.llama.constraint import Constraint, Tokens, TooSlow
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.errors import QwenError
from tests.engines.asking import ask, finish
from tests.engines.conftest import OpenScripted

YES = {"type": "object", "properties": {"yes": {"const": 1}}, "required": ["yes"]}


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def held(engine: Any, wanted: Any) -> Constraint:
    return Constraint(Tokens(engine._weights.vocabulary), answer_grammar((), {}, wanted).text)


def test_the_mask_agrees_with_asking_for_each_token(random_engine: Engine):
    vocabulary: Vocabulary = cast("Any", random_engine)._weights.vocabulary
    logits = np.zeros(vocabulary.size, np.float32)
    random = np.random.default_rng(4)
    for wanted in ({}, {"type": "string", "maxLength": 4}, {"enum": ["中文", "日", "é", 12]}):
        constraint = held(random_engine, wanted)
        for _ in range(40):
            allowed = constraint.allowed(logits, 0).tolist()
            assert sorted(allowed) == [t for t in range(vocabulary.size) if constraint.allows(t)]
            token: int = allowed[random.integers(len(allowed))]
            if vocabulary.is_end(token):
                break
            constraint.accept(token)
        constraint.free()


def test_ways_that_double_are_given_up_before_they_are_many(random_engine: Engine):
    tokens = Tokens(cast("Any", random_engine)._weights.vocabulary)
    constraint = Constraint(tokens, 'root ::= "a" root "b" | "a" root "c" | "d"')
    a, taken = cast("int", tokens.byte(ord("a"))), 0
    with pytest.raises(TooSlow):
        while taken < 40:
            assert constraint.allows(a)
            constraint.accept(a)
            taken += 1
    constraint.free()
    assert 10 < taken < 30


def test_a_grammar_that_llama_cpp_cannot_read(random_engine: Engine):
    tokens = Tokens(random_engine._weights.vocabulary)  # type: ignore[attr-defined]
    with pytest.raises(QwenError, match="cannot use the grammar"):
        Constraint(tokens, "root ::= missing")


@pytest.mark.parametrize("looks", [3, 40])
def test_a_grammar_that_gets_slow_is_given_up(
    looks: int, scripted: OpenScripted, monkeypatch: pytest.MonkeyPatch
):
    left, late = iter(range(looks)), itertools.count(0, 10)
    monkeypatch.setattr(constraints, "clock", lambda: 0 if next(left, None) is not None else next(late))
    events = ask(scripted({"\n\n": "Sure!"}), format=YES, thinking=False)
    assert finish(events) == "stop"
    assert notices(events) == ["the reply is not held to a grammar: there are too many ways to go on at once"]


def test_the_likeliest_are_enough_where_only_they_are_looked_at(
    random_engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constraints, "_LIKELY", 20)
    vocabulary: Vocabulary = cast("Any", random_engine)._weights.vocabulary
    logits = np.random.default_rng(1).standard_normal(vocabulary.size).astype(np.float32)
    constraint = held(random_engine, {"type": "string"})
    quote = cast("int", Tokens(vocabulary).byte(ord('"')))
    constraint.accept(quote)
    every, some = constraint.allowed(logits, 0), constraint.allowed(logits, 5)
    constraint.free()
    likeliest = every[np.argsort(-logits[every])][:5].tolist()
    assert len(some) < len(every) and set(likeliest) <= set(some.tolist())


def test_what_llama_cpp_takes_for_an_end_is_no_text(scripted: OpenScripted):
    # A text of Qwen's vocabulary, and an end for llama.cpp, whose grammar lets it through where all is said.
    engine: Any = scripted({"\n": "</s>"})
    vocabulary: Vocabulary = engine._weights.vocabulary
    mistaken = vocabulary.pieces.index(b"</s>")
    assert vocabulary.counts_as_end(mistaken) and not vocabulary.is_end(mistaken)
    constraint = held(engine, {"const": 1})
    constraint.accept(cast("int", Tokens(vocabulary).byte(ord("1"))))
    assert constraint.allows(vocabulary.eos)
    assert not constraint.allows(mistaken)
    assert mistaken not in constraint.allowed(np.zeros(vocabulary.size, np.float32), 0)
    constraint.free()


def test_a_grammar_is_written_once_and_before_the_answer(
    scripted: OpenScripted, monkeypatch: pytest.MonkeyPatch
):
    written: list[str] = []
    for name in ("answer_grammar", "call_grammar"):
        made = getattr(gate, name)

        def counted(*args: Any, made: Any = made, name: str = name, **words: Any) -> Any:
            written.append(name)
            return made(*args, **words)

        monkeypatch.setattr(gate, name, counted)
    engine = scripted({"\n\n": "Hello"})
    tool = ToolSpec("look", "", {"type": "object", "properties": {}})
    for _ in range(2):
        ask(engine, tools=(tool,), thinking=False)
        ask(engine, format=YES, thinking=False)
    assert written == ["call_grammar", "answer_grammar"]
    ask(engine, format={"const": 1}, thinking=False)
    ask(engine, format=YES, tools=(tool,), tool_choice="required", thinking=False, max_tokens=3)
    assert written[2:] == ["answer_grammar", "answer_grammar"]
    thinks = scripted({"\n": "<think>", "<think>": "hm", "hm": "</think>", "</think>": "\n\n"})
    written.clear()
    append = Context.append

    def appended(context: Context, token: int, draft: Sequence[int] = ()) -> None:
        written.append("token")
        append(context, token, draft)

    monkeypatch.setattr(Context, "append", appended)
    for _ in range(3):
        ask(thinks, format=YES, thinking=True)
    assert written[:3] == ["answer_grammar", "answer_grammar", "token"]
    assert {*written[3:]} == {"token"}
