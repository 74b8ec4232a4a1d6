"""Thinking budgets, tool calls, raw text, templates that open the thinking."""

from __future__ import annotations

from typing import ClassVar

import pytest

from qwen3cli.chat.events import Notice, Prefill, Text, Thinking, ToolCalled, TurnEnded
from qwen3cli.chat.messages import ToolCall, ToolSpec
from qwen3cli.chat.thinking import EARLY_STOP, ThinkingMode
from qwen3cli.errors import InvalidFile, UsageError
from tests.engines.asking import ANSWERS, ENDLESS, THINKS, ask, ended, finish, said
from tests.engines.conftest import OpenScripted


class TestThinkingBudget:
    ENDLESS_THOUGHT: ClassVar = {
        "\n": "<think>",
        "<think>": "hm",
        "hm": " so",
        " so": "hm",
        "</think>": "\n\n",
    } | ANSWERS

    def test_it_ends_the_thinking_with_the_sentence_and_the_answer_follows(self, scripted: OpenScripted):
        engine = scripted(self.ENDLESS_THOUGHT)
        events = ask(engine, think_budget=10)
        sentence = EARLY_STOP[: EARLY_STOP.index("</think>")].rstrip()
        assert said(events, Thinking) == "hm so" * 5 + sentence
        assert said(events) == "Hello world"
        assert [event.message for event in events if isinstance(event, Notice)] == [
            "the thinking was ended at its budget of 10 tokens"
        ]
        stats = ended(events).stats
        # A token per byte here, but for the two line ends that lead it.
        assert stats.thinking_tokens == 10 + EARLY_STOP.index("</think>") - 1
        assert stats.context_used == stats.prompt_tokens + stats.output_tokens

    def test_a_budget_that_is_not_reached_does_nothing(self, scripted: OpenScripted):
        events = ask(scripted(THINKS | ANSWERS), think_budget=10)
        assert said(events, Thinking) == "hmm well\nso"
        assert not any(isinstance(event, Notice) for event in events)

    def test_it_waits_for_the_end_of_a_character(self, scripted: OpenScripted):
        flow = [chr(byte) for byte in "中".encode()]
        script = dict(zip(["\n", "<think>", *flow], ["<think>", *flow, flow[0]], strict=True))
        events = ask(scripted(script | {"</think>": "\n\n"} | ANSWERS), think_budget=1)
        assert said(events, Thinking).startswith("中\n\nConsidering")

    def test_a_character_that_a_tag_cuts_off(self, scripted: OpenScripted):
        script = {"\n": "<think>", "<think>": "\xe4", "\xe4": "</think>", "</think>": "\n\n"} | ANSWERS
        events = ask(scripted(script))
        assert (said(events, Thinking), said(events)) == ("\ufffd", "Hello world")

    def test_without_room_for_the_sentence_the_context_is_full(self, scripted: OpenScripted):
        events = ask(scripted(self.ENDLESS_THOUGHT, context=64), think_budget=10)
        assert finish(events) == "context"
        assert said(events, Thinking) == "hm so" * 5, "what does not fit is not said"

    def test_a_limit_of_tokens_holds_for_the_sentence_too(self, scripted: OpenScripted):
        events = ask(scripted(self.ENDLESS_THOUGHT), think_budget=10, max_tokens=20)
        assert finish(events) == "length"
        assert ended(events).stats.output_tokens == 11, "with the `<think>`"
        assert said(events, Thinking) == "hm so" * 5


class TestTools:
    TOOL = ToolSpec("look", "looks", {"type": "object"})
    CALLS: ClassVar = {"\n": "Wait.\n", "Wait.\n": "<tool_call>", "</tool_call>": "<|im_end|>"}

    def test_a_call(self, scripted: OpenScripted):
        body = '\n{"name": "look", "arguments": {"at": "</tool_call> 中"}}\n'
        events = ask(scripted(self.CALLS | {"<tool_call>": body, body: "</tool_call>"}), tools=(self.TOOL,))
        assert [e for e in events if not isinstance(e, (Prefill, TurnEnded))] == [
            Text("Wait."),
            ToolCalled(ToolCall("look", {"at": "</tool_call> 中"})),
        ]
        assert finish(events) == "tool_calls"

    def test_a_call_that_a_limit_cuts_off_is_text_and_a_notice(self, scripted: OpenScripted):
        script = self.CALLS | {"<tool_call>": '{"', '{"': "name", "name": '": "'}
        events = ask(scripted(script), tools=(self.TOOL,), max_tokens=4)
        assert said(events) == 'Wait.<tool_call>{"name'
        assert any(isinstance(event, Notice) for event in events)
        assert finish(events) == "length"

    def test_without_tools_on_offer_it_is_text(self, scripted: OpenScripted):
        events = ask(scripted(self.CALLS | {"<tool_call>": "{oops", "{oops": "</tool_call>"}))
        assert said(events) == "Wait.\n<tool_call>{oops</tool_call>"
        assert not any(isinstance(event, Notice) for event in events)


class TestRaw:
    def test_everything_is_text_and_specials_count(self, scripted: OpenScripted):
        events = ask(scripted(THINKS | ANSWERS, template=None), raw="<|im_start|>\n", max_tokens=6)
        assert said(events) == "<think>\nhmm well\nso</think>\n\n"
        assert ended(events).stats.prompt_tokens == 2

    def test_nothing_to_complete_begins_with_the_begin_token(self, scripted: OpenScripted):
        events = ask(scripted({"<|endoftext|>": "once"}, template=None), raw="")
        assert said(events) == "once"

    def test_a_model_without_template_refuses_a_conversation(self, scripted: OpenScripted):
        engine = scripted(ENDLESS, template=None)
        assert not engine.has_template
        assert engine.thinking_mode is ThinkingMode.NEVER
        with pytest.raises(UsageError, match="template"):
            ask(engine)

    def test_a_model_with_a_broken_template_still_completes_text(self, scripted: OpenScripted):
        engine = scripted({"a": "b", "b": "c"}, template="{% if %}")
        assert engine.thinking_mode is ThinkingMode.NEVER
        with pytest.raises(InvalidFile, match="template is broken in line 1"):
            ask(engine)
        assert said(ask(engine, raw="a")) == "bc"


def test_a_template_that_opens_the_thinking(scripted: OpenScripted):
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\\n' }}"
    engine = scripted({"\n": "hmm", "hmm": "</think>", "</think>": "\n\n"} | ANSWERS, template=template)
    assert engine.thinking_mode is ThinkingMode.ALWAYS
    events = ask(engine)
    assert (said(events, Thinking), said(events)) == ("hmm", "Hello world")
