"""Replies held to a grammar: when it begins and ends, what it leaves alone, and that nothing invalid gets through."""

from __future__ import annotations

import json
from typing import ClassVar

import jsonschema
import pytest

from qwen3cli.chat.events import Event, Notice, Text, Thinking, ToolCalled
from qwen3cli.chat.messages import ToolCall, ToolSpec
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import Sampling
from tests.engines.asking import ASK, FREE, ask, finish, said
from tests.engines.conftest import OpenScripted
from tests.engines.random_schemas import schema

LOOK = ToolSpec(
    "look", "looks", {"type": "object", "properties": {"far": {"type": "boolean"}}, "required": ["far"]}
)
BODY = '\n{"name": "look", "arguments": {"far": true}}\n'
LOOKED = ToolCalled(ToolCall("look", {"far": True}))
YES = {"type": "object", "properties": {"yes": {"const": 1}}, "required": ["yes"]}
SAMPLE = 60


def calls(events: list[Event]) -> list[ToolCall]:
    return [event.call for event in events if isinstance(event, ToolCalled)]


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("seed", range(SAMPLE))
def test_calls_follow_random_schemas_whatever_the_weights_want(seed: int, random_engine: Engine):
    wanted = schema(seed)
    tool = ToolSpec("look", "", wanted)
    sampling = Sampling(1, 1, 0, 0, presence_penalty=1.5 * (seed % 2), seed=seed)
    events = ask(
        random_engine, sampling, tools=(tool,), tool_choice="required", thinking=False, max_tokens=16000
    )
    call = calls(events)[0]
    assert call.name == "look"
    jsonschema.Draft202012Validator(wanted).validate(dict(call.arguments))
    json.dumps(dict(call.arguments), ensure_ascii=False).encode()


@pytest.mark.parametrize("seed", range(SAMPLE, SAMPLE + 20))
def test_answers_follow_random_schemas_and_end_with_them(seed: int, random_engine: Engine):
    wanted = schema(seed)
    events = ask(
        random_engine, Sampling(1, 1, 0, 0, 0, seed), format=wanted, thinking=False, max_tokens=16000
    )
    assert finish(events) == "stop"
    jsonschema.Draft202012Validator(wanted).validate(json.loads(said(events)))


class TestCalls:
    def test_a_call_that_fits_is_left_as_it_is(self, scripted: OpenScripted):
        script = {"\n": "Wait.\n", "Wait.\n": "<tool_call>", "<tool_call>": BODY, BODY: "</tool_call>"}
        events = ask(scripted(script), tools=(LOOK,))
        assert (calls(events), said(events), finish(events)) == ([LOOKED.call], "Wait.", "tool_calls")

    def test_a_call_that_goes_wrong_is_put_right(self, scripted: OpenScripted):
        parts = [
            '{"name": "',
            "loook",
            '", "arguments": ',
            '{"far": ',
            '"very"',
            "true",
            "}}",
            "</tool_call>",
        ]
        script = {
            "\n": "<tool_call>",
            "<tool_call>": parts[0],
            parts[0]: (parts[1], "look"),
            "look": parts[2],
        }
        script |= {parts[2]: parts[3], parts[3]: (parts[4], parts[5]), parts[5]: parts[6], parts[6]: parts[7]}
        for seed in range(8):
            events = ask(scripted(script), Sampling(0.3, 1, 5, 0, 1.5, seed), tools=(LOOK,))
            assert calls(events)[0].name == "look"
            assert isinstance(calls(events)[0].arguments["far"], bool)

    def test_several_calls_each_follow_it(self, scripted: OpenScripted):
        script = {"\n": "<tool_call>", "<tool_call>": BODY, BODY: "</tool_call>", "</tool_call>": "\n\n"}
        events = ask(scripted(script | {"\n\n": "<tool_call>"}), tools=(LOOK,), max_tokens=8)
        assert calls(events) == [LOOKED.call, LOOKED.call]

    def test_text_after_a_call_is_free(self, scripted: OpenScripted):
        script = {"\n": "<tool_call>", "<tool_call>": BODY, BODY: "</tool_call>", "</tool_call>": "So it is."}
        events = ask(scripted(script), tools=(LOOK,))
        assert (calls(events), said(events)) == ([LOOKED.call], "So it is.")

    def test_a_tag_in_the_thinking_begins_nothing(self, scripted: OpenScripted):
        script = {"\n": "<think>", "<think>": "<tool_call>", "<tool_call>": "oops", "oops": "</think>"}
        events = ask(scripted(script | {"</think>": "\n\n", "\n\n": "Hello"}), tools=(LOOK,))
        assert (said(events, Thinking), said(events)) == ("<tool_call>oops", "Hello")

    def test_special_tokens_are_not_the_text_they_look_like(self, scripted: OpenScripted):
        tool = ToolSpec(
            "say", "", {"type": "object", "properties": {"it": {"type": "string"}}, "required": ["it"]}
        )
        begin = '{"name": "say", "arguments": {"it": "'
        for special in ("</tool_call>", "<|im_start|>", "<think>", "<|endoftext|>"):
            script = {
                "\n": "<tool_call>",
                "<tool_call>": begin,
                begin: (special, '"}}'),
                '"}}': "</tool_call>",
            }
            for seed in range(4):
                events = ask(scripted(script), Sampling(0.3, 1, 20, 0, 0, seed), tools=(tool,))
                assert calls(events) == [ToolCall("say", {"it": ""})]

    def test_without_tools_nothing_is_constrained(self, scripted: OpenScripted):
        script = {"\n": "<tool_call>", "<tool_call>": "oops"}
        assert said(ask(scripted(script))) == "<tool_call>oops"

    def test_what_the_grammar_leaves_open_is_said_once(self, scripted: OpenScripted):
        odd = {"type": "object", "properties": {"far": {"type": "boolean", "not": {"const": False}}}}
        script = {"\n": "<tool_call>", "<tool_call>": BODY, BODY: "</tool_call>"}
        engine = scripted(script)
        tools = (ToolSpec("look", "", odd), ToolSpec("other", "", odd))
        first, second = ask(engine, tools=tools), ask(engine, tools=tools)
        assert notices(first) == [
            "the arguments of `look` cannot be held to all of the schema while the model writes:"
            " `not` of `far` is left out"
        ]
        assert notices(second) == []


class TestRequired:
    REFUSES: ClassVar = {"\n": "I would rather not.", "<tool_call>": BODY, BODY: "</tool_call>"}

    def test_a_call_comes_first_then_the_model_is_free(self, scripted: OpenScripted):
        engine = scripted(self.REFUSES | {"</tool_call>": "Done."})
        events = ask(engine, tools=(LOOK,), tool_choice="required", thinking=False)
        assert [e for e in events if isinstance(e, (Text, ToolCalled))] == [LOOKED, Text("Done.")]

    def test_thinking_comes_before_it(self, scripted: OpenScripted):
        thinks = {"\n": "<think>", "<think>": "hm", "hm": "</think>", "</think>": "\n\n", "\n\n": "No."}
        events = ask(scripted({**self.REFUSES, **thinks}), tools=(LOOK,), tool_choice="required")
        assert (said(events, Thinking), said(events), calls(events)) == ("hm", "", [LOOKED.call])

    def test_a_model_that_ends_within_its_thinking_still_calls(self, scripted: OpenScripted):
        thinks = {"\n": "<think>", "<think>": "hm"}
        events = ask(scripted({**self.REFUSES, **thinks}), tools=(LOOK,), tool_choice="required")
        assert (said(events, Thinking), calls(events)) == ("hm", [LOOKED.call])

    def test_a_thinking_that_is_ended_at_its_budget(self, scripted: OpenScripted):
        thinks = {"\n": "<think>", "<think>": "hm", "hm": "hm", "\n\n": "No."}
        events = ask(
            scripted({**self.REFUSES, **thinks}), tools=(LOOK,), tool_choice="required", think_budget=3
        )
        assert (said(events, Thinking)[:6], calls(events)) == ("hmhmhm", [LOOKED.call])

    def test_one_of_the_tools_on_offer(self, random_engine: Engine):
        tools = tuple(ToolSpec(f"tool{n}", "", {"type": "object", "properties": {}}) for n in range(12))
        events = [
            ask(random_engine, FREE, tools=tools, tool_choice="required", thinking=False, max_tokens=200)
            for _ in range(6)
        ]
        assert {calls(each)[0].name for each in events} <= {tool.name for tool in tools}


class TestFormat:
    def test_the_answer_follows_it_and_ends(self, scripted: OpenScripted):
        events = ask(scripted({"\n\n": "Sure!", "}": "More."}), format=YES, thinking=False)
        assert (said(events), finish(events)) == ('{"yes": 1}', "stop")

    def test_the_thinking_does_not(self, scripted: OpenScripted):
        script = {"\n": "<think>", "<think>": "free", "free": "</think>", "</think>": "\n\n", "\n\n": "Sure!"}
        events = ask(scripted(script), format=YES)
        assert (said(events, Thinking), said(events)) == ("free", '{"yes": 1}')

    def test_a_model_that_need_not_think_answers_at_once(self, scripted: OpenScripted):
        events = ask(scripted({"\n": "Sure!"}), format=YES)
        assert (said(events, Thinking), said(events)) == ("", '{"yes": 1}')

    def test_a_prompt_that_opened_the_thinking(self, scripted: OpenScripted):
        template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\\n' }}"
        engine = scripted(
            {"\n": "hmm", "hmm": "</think>", "</think>": "\n\n", "\n\n": "Sure!"}, template=template
        )
        events = ask(engine, format=YES)
        assert (said(events, Thinking), said(events)) == ("hmm", '{"yes": 1}')

    def test_tools_may_be_called_instead(self, scripted: OpenScripted):
        script = {"\n\n": "<tool_call>", "<tool_call>": BODY, BODY: "</tool_call>", "</tool_call>": "Done."}
        events = ask(scripted(script), format=YES, tools=(LOOK,), thinking=False)
        assert (calls(events), said(events), finish(events)) == ([LOOKED.call], "", "tool_calls")

    def test_a_required_call_comes_first_and_then_no_format(self, scripted: OpenScripted):
        script = {"\n\n": "{", "<tool_call>": BODY, BODY: "</tool_call>", "</tool_call>": "{"}
        engine = scripted(script)
        free = ask(engine, format=YES, tools=(LOOK,), thinking=False)
        assert (calls(free), said(free)) == ([], '{"yes": 1}')
        events = ask(engine, format=YES, tools=(LOOK,), tool_choice="required", thinking=False, max_tokens=60)
        assert (calls(events)[:1], said(events)) == ([LOOKED.call], "")

    def test_limits_and_stop_texts_cut_it(self, scripted: OpenScripted):
        engine = scripted({"\n\n": "Sure!"})
        short = ask(engine, format=YES, thinking=False, max_tokens=3)
        assert (said(short), finish(short)) == ('{"y', "length")
        stopped = ask(engine, format=YES, thinking=False, stop=("es",))
        assert (said(stopped), finish(stopped)) == ('{"y', "stop")

    def test_a_format_that_cannot_be_enforced_is_said(self, scripted: OpenScripted):
        events = ask(scripted({"\n\n": "null"}), format={"$ref": "elsewhere"}, thinking=False)
        assert said(events) == "null"
        assert "it refers to `elsewhere`" in notices(events)[0]

    def test_it_can_be_interrupted(self, random_engine: Engine):
        request = GenerateRequest(FREE, ASK, format={"type": "string", "minLength": 5000}, thinking=False)
        events: list[Event] = []
        for event in random_engine.generate(request):
            events.append(event)
            if len(said(events)) > 50:
                random_engine.cancel()
        assert finish(events) == "interrupted"
        random_engine.allow()
        assert said(ask(random_engine, format={"const": 1}, thinking=False)) == "1"
