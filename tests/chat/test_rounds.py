"""Tool calls within a turn: side by side, in order, stopped when a person or their failing says so."""

from __future__ import annotations

import threading
from collections.abc import Callable

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Text, ToolCalled, ToolReturned, TurnEnded, Working
from qwen3cli.chat.messages import Message, ToolCall, ToolResult
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.turn import run_turn
from qwen3cli.errors import Interrupted
from tests.chat.fakes import FakeCall, FakeTools, ScriptedEngine, ended

CALLS = [ToolCall("now", {"at": number}) for number in range(3)]


def turn(
    tools: FakeTools, *rounds: list[Event], settings: ChatSettings | None = None
) -> tuple[list[Event], Conversation, ScriptedEngine]:
    conversation, engine = Conversation(), ScriptedEngine(*rounds)
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
    assert events[-2] == Notice("the model repeats a tool call that has failed; stopped")
    # Every call has its result: the conversation can go on.
    assert [m.role for m in conversation.turns] == ["user", *["assistant", "tool"] * 3]


def test_a_call_that_failed_may_come_again_after_another_one() -> None:
    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        return ToolResult(call.name, "x", is_error=call == CALLS[0])

    tools = FakeTools(answer)
    turn(tools, calls(CALLS[0]), calls(CALLS[1]), calls(CALLS[0]), [ended()])
    assert tools.calls == [CALLS[0], CALLS[1], CALLS[0]]


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
        "The person stopped this call.",
    ]


def test_nothing_runs_when_the_person_leaves_at_the_question() -> None:
    ran: list[ToolCall] = []

    class Leaving(FakeTools):
        def prepare(self, call: ToolCall) -> FakeCall | ToolResult:
            if call == CALLS[1]:
                raise Interrupted
            return super().prepare(call)

    def answer(call: ToolCall, _: Callable[[str], None]) -> ToolResult:
        ran.append(call)
        return ToolResult(call.name, "done")

    events, conversation, _ = turn(Leaving(answer), calls(*CALLS))
    assert ran == []
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish == "interrupted"
    assert len([m for m in conversation.turns if m.role == "tool"]) == 3


def test_a_full_context_runs_no_tools() -> None:
    tools = FakeTools()
    events, _, _ = turn(tools, [ToolCalled(CALLS[0]), ended("context")])
    assert tools.calls == []
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish == "context"


def test_tools_are_demanded_once() -> None:
    settings = ChatSettings(tool_choice="required")
    _, _, engine = turn(FakeTools(), calls(CALLS[0]), [Text("x"), ended()], settings=settings)
    assert [request.tool_choice for request in engine.requests] == ["required", "auto"]
    assert all(request.tools for request in engine.requests)
    _, _, engine = turn(FakeTools(), [Text("x"), ended()], settings=ChatSettings(tool_choice="none"))
    assert engine.requests[0].tools == ()


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
