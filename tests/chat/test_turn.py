from __future__ import annotations

from dataclasses import replace

import pytest

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Text, Thinking, ToolCalled, ToolReturned, TurnEnded
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.requests import advice
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.chat.turn import run_turn
from qwen3cli.errors import ContextFull, UsageError
from tests.chat.fakes import FakeTools, ScriptedEngine, ended

SETTINGS = ChatSettings()


def test_a_turn_leaves_question_and_answer_in_the_conversation() -> None:
    engine = ScriptedEngine([Thinking("hm"), Text("4"), Text("!"), ended(output_tokens=3)])
    conversation = Conversation("be brief")
    events = list(run_turn(engine, conversation, "2+2?", SETTINGS, quantized=False))
    assert events == [Thinking("hm"), Text("4"), Text("!"), ended(output_tokens=3)]
    assert conversation.turns == (Message("user", "2+2?"), Message("assistant", "4!", "hm"))
    assert engine.requests[0].messages == (Message("system", "be brief"), Message("user", "2+2?"))


def test_tool_results_go_back_to_the_model_until_it_answers() -> None:
    call = ToolCall("now", {})
    engine = ScriptedEngine(
        [ToolCalled(call), ended("stop", output_tokens=5, context_used=50)],
        [Text("noon"), ended(output_tokens=2, context_used=70)],
    )
    clock, conversation = FakeTools(), Conversation()
    events = list(run_turn(engine, conversation, "time?", SETTINGS, quantized=False, tools=clock))
    assert [type(e) for e in events] == [ToolCalled, ToolReturned, Text, TurnEnded]
    assert clock.calls == [call]
    assert [m.role for m in conversation.turns] == ["user", "assistant", "tool", "assistant"]
    assert engine.requests[1].messages[-1] == Message("tool", "12:00")
    assert engine.requests[0].tools[0].name == "now"
    last = events[-1]
    assert isinstance(last, TurnEnded)
    assert (last.stats.output_tokens, last.stats.context_used) == (7, 70)


def test_a_model_that_only_calls_tools_is_stopped_aloud() -> None:
    rounds = [[ToolCalled(ToolCall("now", {"at": n})), ended()] for n in range(3)]
    tools = FakeTools(patience=3)
    events = list(
        run_turn(ScriptedEngine(*rounds), Conversation(), "x", SETTINGS, quantized=False, tools=tools)
    )
    assert events[-2] == Notice("the model has called tools in 3 rounds without an answer; stopped")
    assert tools.asked == [1, 2, 3]
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish == "stop"


def test_a_turn_that_fails_before_an_answer_is_taken_back() -> None:
    conversation = Conversation()
    engine = ScriptedEngine([ContextFull(5000, 4096)])
    with pytest.raises(ContextFull, match=r"5,000 tokens .* 4,096"):
        list(run_turn(engine, conversation, "long", SETTINGS, quantized=False))
    assert conversation.turns == ()


@pytest.mark.parametrize("events", [[], [Thinking("Let me")]])
def test_a_turn_stopped_before_its_first_word_is_taken_back(events: list[Event]) -> None:
    conversation = Conversation()
    conversation.append(Message("user", "before"), Message("assistant", "answer"))
    engine = ScriptedEngine([*events, ended("interrupted")])
    list(run_turn(engine, conversation, "long", SETTINGS, quantized=False))
    assert [m.content for m in conversation.turns] == ["before", "answer"]


def test_an_empty_answer_is_one() -> None:
    conversation = Conversation()
    list(run_turn(ScriptedEngine([ended()]), conversation, "x", SETTINGS, quantized=False))
    assert [m.role for m in conversation.turns] == ["user", "assistant"]


def test_what_was_said_stays_when_the_consumer_walks_away() -> None:
    conversation = Conversation()
    turn = run_turn(
        ScriptedEngine([Text("one "), Text("two"), ended()]), conversation, "x", SETTINGS, quantized=False
    )
    assert next(turn) == Text("one ")
    turn.close()  # type: ignore[attr-defined]
    assert conversation.turns == (Message("user", "x"), Message("assistant", "one "))


@pytest.mark.parametrize(
    ("text", "settings", "temperature", "presence", "thinking"),
    [
        ("hi", SETTINGS, 0.6, 1.5, True),
        ("hi /no_think", SETTINGS, 0.7, 1.5, True),
        ("hi", ChatSettings(thinking=False), 0.7, 1.5, False),
        ("hi /think", ChatSettings(thinking=False), 0.7, 1.5, False),
        ("hi", ChatSettings(think_budget=0), 0.7, 1.5, False),
        ("hi", ChatSettings(sampling=SamplingChoice(temperature=0.1, presence_penalty=0)), 0.1, 0, True),
    ],
)
def test_presets_follow_the_mode_and_yield_to_the_user(
    text: str, settings: ChatSettings, temperature: float, presence: float, thinking: bool
) -> None:
    engine = ScriptedEngine([ended()])
    list(run_turn(engine, Conversation(), text, settings, quantized=True))
    request = engine.requests[0]
    assert (request.sampling.temperature, request.sampling.presence_penalty) == (temperature, presence)
    assert request.thinking is thinking


def test_soft_switches_are_sticky() -> None:
    engine = ScriptedEngine([Text("a"), ended()], [Text("b"), ended()])
    conversation = Conversation()
    list(run_turn(engine, conversation, "hi /no_think", SETTINGS, quantized=False))
    list(run_turn(engine, conversation, "again", SETTINGS, quantized=False))
    assert engine.requests[1].sampling.temperature == 0.7


@pytest.mark.parametrize(("mode", "wanted"), [(ThinkingMode.NEVER, True), (ThinkingMode.ALWAYS, False)])
def test_an_impossible_toggle_is_refused(mode: ThinkingMode, wanted: bool) -> None:
    engine = ScriptedEngine([ended()], mode=mode)
    with pytest.raises(UsageError):
        list(run_turn(engine, Conversation(), "x", ChatSettings(thinking=wanted), quantized=False))


def test_advice_is_given_where_settings_harm_thinking() -> None:
    greedy = replace(SETTINGS, sampling=SamplingChoice(temperature=0))
    assert len(advice(greedy, thinking=True)) == 1
    assert advice(greedy, thinking=False) == []
    assert len(advice(replace(SETTINGS, think_budget=100), thinking=True)) == 1
    assert advice(replace(SETTINGS, think_budget=4000), thinking=True) == []
