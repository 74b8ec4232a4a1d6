"""Where the tags are no tokens they are characters: real files without these tokens."""

from __future__ import annotations

import pytest

from qwen3cli.chat.events import Notice, Thinking, ToolCalled
from qwen3cli.chat.messages import ToolSpec
from qwen3cli.engines.llama import gate
from qwen3cli.engines.llama.constraint import Constraint, Tokens
from qwen3cli.engines.reply import TAGS
from tests.engines.asking import ask, finish, said
from tests.engines.conftest import OpenScripted

LOOK = ToolSpec(
    "look", "looks", {"type": "object", "properties": {"far": {"type": "boolean"}}, "required": ["far"]}
)
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '\\n' }}"
OPENED = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\\n' }}"


@pytest.mark.parametrize("end", ["l>", 'l>\n{"name": "'])
def test_a_call(end: str, scripted: OpenScripted):
    script = {"\n": "<tool_cal", "<tool_cal": end, end: '{"name": "' if end == "l>" else "look"}
    events = ask(
        scripted(script, template=TEMPLATE, missing=TAGS), tools=(LOOK,), thinking=False, max_tokens=200
    )
    called = [event.call for event in events if isinstance(event, ToolCalled)]
    assert isinstance(called[0].arguments["far"], bool)


def test_a_call_that_begins_in_one_piece_with_its_tag_and_in_another_way(
    scripted: OpenScripted, monkeypatch: pytest.MonkeyPatch
):
    begun: list[str] = []

    def counted(tokens: Tokens, grammar: str) -> Constraint:
        begun.append(grammar)
        return Constraint(tokens, grammar)

    monkeypatch.setattr(gate, "Constraint", counted)
    script = {"\n": "<tool_cal", "<tool_cal": "l>[no", "l>[no": "where", "where": "</tool_call>"}
    engine = scripted({**script, "</tool_call>": "<tool_cal"}, template=TEMPLATE, missing=TAGS)
    events = ask(engine, tools=(LOOK,), thinking=False, max_tokens=8)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert (
        len([notice for notice in notices if "not held to a grammar: it began in one piece" in notice]) == 2
    )
    assert said(events) == "<tool_call>[nowhere</tool_call>" * 2
    assert len(begun) == 2


def test_a_demanded_call_and_then_the_end(scripted: OpenScripted):
    engine = scripted({"\n": "No."}, template=TEMPLATE, missing=TAGS)
    events = ask(engine, tools=(LOOK,), tool_choice="required", thinking=False, max_tokens=300)
    called = [event.call for event in events if isinstance(event, ToolCalled)]
    assert (called[0].name, finish(events)) == ("look", "tool_calls")


def test_a_demanded_answer_and_then_the_end(scripted: OpenScripted):
    engine = scripted({"\n": "No."}, template=TEMPLATE, missing=TAGS)
    events = ask(engine, format={"const": 12}, thinking=False)
    assert (said(events), finish(events)) == ("12", "stop")


@pytest.mark.parametrize("missing", [(), ("<think>", "</think>"), TAGS])
def test_a_thinking_that_the_prompt_opened_and_the_model_ends_in(
    missing: tuple[str, ...], scripted: OpenScripted
):
    engine = scripted({"\n": "hm"}, template=OPENED, missing=missing)
    events = ask(engine, format={"const": 12})
    assert (said(events, Thinking), said(events), finish(events)) == ("hm", "12", "stop")
    events = ask(engine, tools=(LOOK,), tool_choice="required", max_tokens=300)
    assert [event.call.name for event in events if isinstance(event, ToolCalled)][:1] == ["look"]
