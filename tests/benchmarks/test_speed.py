"""What the benchmarks of speed compute from their measurements, and the conversation that they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.decode import Depth, Pace, depth_aims
from benchmarks.dialogue import TURNS, Dialogue, Toolbox, as_json, as_written
from benchmarks.measure import Run
from benchmarks.one_shot import behind_aim
from benchmarks.report import Aim, missed
from benchmarks.turns import Talk, Turn, evaluated_aim, hold, turns_table
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.models.conversion import demo_facts


def test_an_aim_has_a_side() -> None:
    most, least = Aim("a", 1.0, 0.97), Aim("b", 0.9, 0.97, at_least=True)
    assert (most.met, least.met, Aim("c", 1.0, 0.97, at_least=True).met) == (False, False, True)
    assert missed([most, least, Aim("d", 0.9, 0.97)]).splitlines() == [
        "missed: a is 1.000, not at most 0.97",
        "missed: b is 0.900, not at least 0.97",
    ]


def test_the_pace_is_compared_within_rounds() -> None:
    speed, share = depth_aims("m", Depth(0, (Pace(10, 9.9, 0.1), Pace(20, 19, 0.5)), (9.8, 19.8)))
    assert speed.each == pytest.approx((0.98, 0.99))
    assert speed.met
    assert share.each == pytest.approx((0.01, 0.05))
    assert (share.value, share.met) == (pytest.approx(0.03), share.value <= 0.03)


def test_one_question_may_take_a_little_longer() -> None:
    def run(seconds: float) -> Run:
        return Run(seconds, 0, 0, 0)

    aim = behind_aim("m", [(run(1.1), run(1.0)), (run(3.0), run(2.0)), (run(1.1), run(1.2))])
    assert (aim.value, aim.met) == (pytest.approx(0.1), True)


def test_turns_are_compared_without_the_first() -> None:
    ours, theirs = [Turn(10, 10, 1), Turn(30, 5, 1, 12), Turn(40, 5, 1)], [Turn(10, 9, 1), Turn(30, 20, 2)]
    assert evaluated_aim("m", ours[:2], theirs).value == 0.25
    assert turns_table("m", ours[:2], theirs).splitlines()[-1].split(" | ")[1:] == [
        *("40", "40", "29", "15", "0.52", "12", "3.00", "2.00 |")
    ]


def test_the_dialogue_is_always_the_same_and_has_tools_thinking_and_calls() -> None:
    one, other = Dialogue(), Dialogue()
    assert (one.tools, one.questions, one.replies) == (other.tools, other.questions, other.replies)
    assert len(one.questions) == TURNS
    assert sum(bool(reply.tool_calls) for reply in one.replies) == TURNS // 2
    assert all(reply.thinking for reply in one.replies)


def test_a_reply_is_written_as_the_model_writes_it() -> None:
    reply = Message("assistant", "So.", "Hm.", (ToolCall("f", {"a": 1}),))
    assert as_written(reply) == (
        '<think>\nHm.\n</think>\n\nSo.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    )
    assert as_json(reply)["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


def test_the_engine_says_what_it_is_given_and_evaluates_what_is_new(tmp_path: Path) -> None:
    replies = [
        Message("assistant", "", "Look.", (ToolCall("get_weather", {"city": "Paris"}),)),
        Message("assistant", "It rains.", "So."),
        Message("assistant", "You are welcome.", "Hm."),
    ]
    dialogue = Dialogue()
    talk = Talk(
        "the demo model",
        demo_facts(tmp_path).path,
        8192,
        Toolbox(dialogue.tools[-1:], "rain"),
        ("The weather?", "Thanks!"),
        [as_written(reply) for reply in replies],
    )
    messages, turns = hold(talk, 1)
    assert [one.content for one in messages if one.role == "assistant"] == [
        "",
        "It rains.",
        "You are welcome.",
    ]
    # The second turn finds all but its own message evaluated, and that was done before it was asked.
    assert turns[1].evaluated < 20 < turns[0].evaluated
    assert turns[0].ahead > 0
