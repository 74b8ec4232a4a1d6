"""Tool calls within a turn: side by side, in order, stopped when a person or their failing says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Text, ToolCalled, ToolReturned, TurnEnded, Working
from qwen3cli.chat.messages import Message, ToolCall, ToolResult
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.turn import run_turn
from qwen3cli.errors import Interrupted, QwenError
from tests.chat.fakes import FakeCall, FakeTools, ScriptedEngine, ended

CALLS = [ToolCall("now", {"at": number}) for number in range(3)]


def turn(
    tools: FakeTools, *rounds: list[Event], settings: ChatSettings | None = None, filler: int = 0
) -> tuple[list[Event], Conversation, ScriptedEngine]:
    conversation, engine = Conversation(), ScriptedEngine(*rounds)
    engine.filler = filler
    events = list(
        run_turn(engine, conversation, "x", settings or ChatSettings(), quantized=False, tools=tools)
    )
    return [event for event in events if not isinstance(event, Working)], conversation, engine


def calls(*which: ToolCall) -> list[Event]:
    return [*map(ToolCalled, which), ended(context_used=1000, context_size=4000)]


def test_calls_of_one_reply_run_side_by_side_and_their_results_are_in_order() -> None:
    together = threading.Barrier(3, timeout=20)
    last = threading.Event()

    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        together.wait()  # Nobody gets past this alone.
        if call.arguments["at"] == 2:
            last.set()
        else:
            last.wait(20)
        return ToolResult(call.name, str(call.arguments["at"]))

    tools = FakeTools(answer)
    events, conversation, engine = turn(tools, calls(*CALLS), [Text("done"), ended()])
    assert [event.result.content for event in events if isinstance(event, ToolReturned)] == ["0", "1", "2"]
    assert [m.content for m in conversation.turns if m.role == "tool"] == ["0", "1", "2"]
    assert engine.requests[1].messages[-1] == Message("tool", "2")
    # Each has its share of what is left of the context.
    assert tools.rooms == [1000] * 3


def test_what_a_tool_says_meanwhile_is_shown() -> None:
    def answer(call: ToolCall, watch: Callable[[str], None]) -> ToolResult:
        watch("half")
        return ToolResult(call.name, "whole")

    events = list(
        run_turn(
            ScriptedEngine(calls(CALLS[0]), [ended()]),
            Conversation(),
            "x",
            ChatSettings(),
            quantized=False,
            tools=FakeTools(answer),
        )
    )
    assert Working("now: half") in events


def test_a_failure_goes_back_to_the_model() -> None:
    tools = FakeTools(refuse="no such place")
    events, conversation, _ = turn(tools, calls(CALLS[0]), [Text("sorry"), ended()])
    assert ToolReturned(ToolResult("now", "no such place", is_error=True)) in events
    assert [m.content for m in conversation.turns] == ["x", "", "no such place", "sorry"]


def test_a_call_that_has_just_failed_is_not_run_again() -> None:
    tools = FakeTools(lambda call, _: ToolResult(call.name, "bad", is_error=True))
    events, _, _ = turn(tools, calls(CALLS[0]), calls(CALLS[0]), [Text("sorry"), ended()])
    assert tools.calls == [CALLS[0]]
    assert Notice("`now` has just failed with these arguments: it is not called again") in events
    assert events[-1] == TurnEnded("stop", events[-1].stats)  # type: ignore[union-attr]


def test_a_model_that_repeats_it_all_the_same_is_stopped() -> None:
    tools = FakeTools(lambda call, _: ToolResult(call.name, "bad", is_error=True))
    events, conversation, _ = turn(tools, calls(CALLS[0]), calls(CALLS[0]), calls(CALLS[0]))
    assert tools.calls == [CALLS[0]]
    assert events[-2] == Notice("the model repeats tool calls that have failed; stopped")
    # Every call has its result: the conversation can go on.
    assert [m.role for m in conversation.turns] == ["user", *["assistant", "tool"] * 3]


def test_a_call_that_failed_may_come_again_after_another_one() -> None:
    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        return ToolResult(call.name, "x", is_error=call == CALLS[0])

    tools = FakeTools(answer)
    turn(tools, calls(CALLS[0]), calls(CALLS[1]), calls(CALLS[0]), [ended()])
    assert tools.calls == [CALLS[0], CALLS[1], CALLS[0]]


def failing(*which: ToolCall) -> FakeTools:
    return FakeTools(lambda call, _: ToolResult(call.name, "x", is_error=call in which))


def test_calls_that_fail_by_turns_are_not_run_again() -> None:
    tools = failing(*CALLS)
    events, conversation, _ = turn(tools, *(calls(CALLS[number % 2]) for number in range(5)))
    assert tools.calls == CALLS[:2]
    assert events[-2] == Notice("the model repeats tool calls that have failed; stopped")
    assert len(conversation.turns) == 11


def test_the_order_of_arguments_makes_no_other_call_and_their_types_do() -> None:
    one, same = (
        ToolCall("now", {"a": 1, "b": {"c": 2, "d": 3}}),
        ToolCall("now", {"b": {"d": 3, "c": 2}, "a": 1}),
    )
    other = ToolCall("now", {"a": True, "b": {"c": 2, "d": 3}})
    tools = failing(one)
    turn(tools, calls(one), calls(same), calls(other), [ended()])
    assert [repr(call.arguments["a"]) for call in tools.calls] == ["1", "True"]
    assert other == one, "which is why they are not simply compared"


def test_a_turn_goes_on_while_the_model_tries_something_else_too() -> None:
    tools = failing(CALLS[0])
    both = calls(*CALLS[:2])
    turn(tools, both, both, both, both, [ended()])
    # Refused after it has failed beside a success, and free again after one that came later.
    assert tools.calls.count(CALLS[0]) == 2
    assert tools.calls.count(CALLS[1]) == 4


def test_an_interrupted_call_ends_the_turn_and_has_a_result() -> None:
    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        if call == CALLS[1]:
            raise Interrupted
        return ToolResult(call.name, "done")

    events, conversation, _ = turn(FakeTools(answer), calls(*CALLS[:2]))
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish == "interrupted"
    assert [m.content for m in conversation.turns if m.role == "tool"] == [
        "done",
        "The user stopped this call.",
    ]


@pytest.mark.parametrize("way", [Interrupted, SystemExit])
def test_nothing_runs_when_the_person_leaves_at_the_question(way: type[BaseException]) -> None:
    ran: list[ToolCall] = []

    class Leaving(FakeTools):
        def prepare(self, call: ToolCall) -> FakeCall | ToolResult:
            if call == CALLS[1]:
                raise way
            return super().prepare(call)

    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        ran.append(call)
        return ToolResult(call.name, "done")

    tools = Leaving(answer)
    if way is SystemExit:
        with pytest.raises(SystemExit):
            turn(tools, calls(*CALLS))
        assert (ran, tools.dropped) == ([], [CALLS[0]])
        return
    events, conversation, _ = turn(tools, calls(*CALLS))
    assert (ran, tools.dropped) == ([], [CALLS[0]])
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish == "interrupted"
    assert len([m for m in conversation.turns if m.role == "tool"]) == 3


@pytest.mark.parametrize(
    ("end", "finish", "told"),
    [
        (ended("context"), "context", "no room"),
        (ended("stop", context_used=3700, context_size=4000), "context", "no room"),
        (ended("interrupted", context_used=100, context_size=4000), "interrupted", "The user stopped"),
    ],
)
def test_calls_of_a_reply_that_was_stopped_or_has_no_room_are_not_run_and_have_results(
    end: TurnEnded, finish: str, told: str
) -> None:
    tools = FakeTools()
    events, conversation, _ = turn(tools, [*map(ToolCalled, CALLS), end], filler=3800)
    assert tools.calls == []
    assert events[-1] == TurnEnded(finish, end.stats)  # type: ignore[arg-type]
    assert [m.role for m in conversation.turns] == ["user", "assistant", "tool", "tool", "tool"]
    assert all(told in m.content for m in conversation.turns[2:])
    assert len([event for event in events if isinstance(event, ToolReturned) and event.result.is_error]) == 3


@pytest.mark.parametrize("fails", [True, False])
def test_calls_have_results_when_the_reply_breaks_off(fails: bool) -> None:
    tools, conversation = FakeTools(), Conversation()
    broken: list[Event | QwenError] = [QwenError("broken")] if fails else [Text("more")]
    engine = ScriptedEngine([ToolCalled(CALLS[0]), *broken])
    events = run_turn(engine, conversation, "x", ChatSettings(), quantized=False, tools=tools)
    with pytest.raises(QwenError) if fails else nullcontext():
        for event in events:
            if isinstance(event, Text):
                break
        events.close()  # type: ignore[attr-defined]
    assert tools.calls == []
    assert [m.role for m in conversation.turns] == ["user", "assistant", "tool"]


def test_tools_are_demanded_once() -> None:
    settings = ChatSettings(tool_choice="required")
    _, _, engine = turn(FakeTools(), calls(CALLS[0]), [Text("x"), ended()], settings=settings)
    assert [request.tool_choice for request in engine.requests] == ["required", "auto"]
    assert all(request.tools for request in engine.requests)
    _, _, engine = turn(FakeTools(), [Text("x"), ended()], settings=ChatSettings(tool_choice="none"))
    assert engine.requests[0].tools == ()


def test_a_search_is_not_the_call_that_was_demanded() -> None:
    class Searching(FakeTools):
        def prepare(self, call: ToolCall) -> FakeCall | ToolResult:
            return ToolResult(call.name, "found `now`") if call == CALLS[0] else super().prepare(call)

    _, _, engine = turn(
        Searching(),
        calls(CALLS[0]),
        calls(CALLS[1]),
        [Text("x"), ended()],
        settings=ChatSettings(tool_choice="required"),
    )
    assert [request.tool_choice for request in engine.requests] == ["required", "required", "auto"]


def test_whoever_walks_away_stops_the_tools() -> None:
    running, tools = threading.Event(), FakeTools()

    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        running.set()
        tools.cancelled.wait(20)
        raise Interrupted

    tools.answer = answer
    events = run_turn(
        ScriptedEngine(calls(CALLS[0])), Conversation(), "x", ChatSettings(), quantized=False, tools=tools
    )
    for event in events:
        if isinstance(event, Working) and running.is_set():
            break
    events.close()  # type: ignore[attr-defined]
    assert tools.cancelled.is_set()


def test_news_are_notices() -> None:
    tools = FakeTools()
    tools.told = ["the server `x` has died"]
    events, _, _ = turn(tools, [Text("x"), ended()])
    assert events[0] == Notice("the server `x` has died")
