"""Records: a replay of what was written is what was said, and nothing else is taken for a record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.sessions.records import Replay, Unknown, changes
from qwen3cli.sessions.snapshot import LOST, Snapshot
from tests.sessions.talking import conversation

BEGIN = {"kind": "session", "version": 1}


def replayed(*records: Any) -> Snapshot:
    replay = Replay()
    for record in records:
        replay.take(json.loads(json.dumps(record)))
    assert replay.snapshot is not None
    return replay.snapshot


@pytest.mark.parametrize("seed", range(30))
def test_a_replay_is_the_conversation(seed: int) -> None:
    before, records = None, list[Any]()
    for now in conversation(seed, 40):
        records += changes(before, now)
        before = now
        again = replayed(*records)
        assert again == now
        assert again.conversation().messages == now.conversation().messages
        assert changes(before, now) == []


def test_what_is_taken_back_is_a_record_and_so_is_what_was_cleared() -> None:
    one, two = Message("user", "one"), Message("assistant", "two")
    said = Snapshot(messages=(one, two, one, two))
    assert [*changes(said, replace(said, messages=(one, two)))] == [{"kind": "rewind", "to": 2}]
    assert [*changes(said, replace(said, messages=()))] == [{"kind": "clear"}]
    assert [one["kind"] for one in changes(None, said)] == ["session", *["message"] * 4]


def test_a_call_with_another_kind_of_value_is_another_call() -> None:
    said, other = (Message("assistant", "", "", (ToolCall("f", {"x": x}),)) for x in (True, 1))
    assert said == other
    records = [
        *changes(None, Snapshot(messages=(said,))),
        *changes(Snapshot(messages=(said,)), Snapshot(messages=(other,))),
    ]
    (call,) = replayed(*records).messages[0].tool_calls
    assert call.arguments["x"] is not True


CALLS_OF_NONE: list[Any] = [
    *(None, {}, [1], [{}], [{"name": "f"}]),
    *([{"name": 1, "arguments": {}}], [{"name": "f", "arguments": []}]),
]
CONDENSED: list[Any] = [(None, "`stand_in`"), ([1], "`stand_in`"), ([{}], "`role`")]
MALFORMED: list[tuple[list[Any], str]] = [
    ([{}], "does not begin"),
    ([{"kind": "clear"}], "does not begin"),
    ([{"kind": "session"}], "`version`"),
    ([{"kind": "session", "version": "1"}], "`version`"),
    ([{"kind": "session", "version": True}], "`version`"),
    ([{"kind": "session", "version": 0}], "`version`"),
    ([BEGIN, BEGIN], "no kind"),
    ([BEGIN, {}], "no kind"),
    ([BEGIN, {"kind": None}], "no kind"),
    ([BEGIN, {"kind": ["clear"]}], "no kind"),
    ([BEGIN, {"kind": "model", "model": 8}], "`model`"),
    ([BEGIN, {"kind": "system", "text": ["x"]}], "`text`"),
    ([BEGIN, {"kind": "message", "role": "system", "content": ""}], "`role`"),
    ([BEGIN, {"kind": "message", "role": ["user"], "content": ""}], "`role`"),
    ([BEGIN, {"kind": "message", "role": "user"}], "`content`"),
    ([BEGIN, {"kind": "message", "role": "user", "content": "", "thinking": 1}], "`thinking`"),
    *(
        (
            [BEGIN, {"kind": "message", "role": "assistant", "content": "", "tool_calls": calls}],
            "`tool_calls`",
        )
        for calls in CALLS_OF_NONE
    ),
    *(([BEGIN, {"kind": "rewind", "to": to}], "`to`") for to in (-1, 1, True, "0", None, 0.0)),
    *(
        ([BEGIN, {"kind": "condense", "replaced": 0, "stand_in": stand_in}], said)
        for stand_in, said in CONDENSED
    ),
    ([BEGIN, {"kind": "condense", "replaced": 1, "stand_in": []}], "`replaced`"),
    *(
        ([BEGIN, {"kind": "settings", name: value}], f"`{name}`")
        for name, value in (
            *(("thinking", 1), ("think_budget", -1), ("temperature", "hot"), ("temperature", True)),
            *(("temperature", 1e9), ("temperature", 10**400), ("top_p", float("nan")), ("top_k", 1.5)),
            *(("seed", 1 << 40), ("max_tokens", 0), ("stop", "END"), ("stop", [""]), ("stop", [1])),
            *(
                ("when_full", "maybe"),
                ("carries_think", "yes"),
                ("context", 0),
                ("kv_type", "f17"),
                ("kv_type", ["f16"]),
            ),
        )
    ),
]


@pytest.mark.parametrize(("records", "said"), MALFORMED)
def test_what_is_no_record_is_told(records: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replayed(*records)


@pytest.mark.parametrize("record", [{"kind": "branch"}, {"kind": "message2", "role": "user"}])
def test_a_record_of_a_later_format_is_no_damage(record: Any) -> None:
    with pytest.raises(Unknown, match=f"`{record['kind']}`"):
        replayed(BEGIN, record)
    with pytest.raises(Unknown, match="is 2"):
        replayed({"kind": "session", "version": 2, "more": 1})


def test_what_stands_in_for_what_was_taken_back_goes_too() -> None:
    one, two, summary = (
        Message("user", "one"),
        Message("assistant", "two"),
        Message("assistant", "They counted."),
    )
    said = Snapshot(messages=(one, two, one, two), condensed=(2, (summary,)))
    for back, seen in ((2, (summary,)), (1, (one,))):
        taken_back = said.conversation()
        taken_back.rewind(back)
        now = replace(said, messages=taken_back.turns, condensed=taken_back.condensed)
        again = replayed(*changes(None, said), *changes(said, now))
        assert again.conversation().seen == seen


def test_what_comes_besides_means_nothing() -> None:
    message: Any = {"kind": "message", "role": "user", "content": "x", "time": 7, "more": []}
    assert replayed({**BEGIN, "by": "x"}, message).messages == (Message("user", "x"),)


QUESTION, CALLS = Message("user", "?"), (ToolCall("a", {}), ToolCall("b", {}))
ASKS, RESULT, OWED = Message("assistant", "", "", CALLS), Message("tool", "12:00"), Message("tool", LOST)


@pytest.mark.parametrize(
    ("messages", "mended"),
    [
        ((), ()),
        ((QUESTION,), ()),
        ((QUESTION, ASKS), (QUESTION, ASKS, OWED, OWED)),
        ((QUESTION, ASKS, RESULT), (QUESTION, ASKS, RESULT, OWED)),
        ((QUESTION, ASKS, RESULT, RESULT), (QUESTION, ASKS, RESULT, RESULT)),
        ((QUESTION, ASKS, RESULT, RESULT, QUESTION), (QUESTION, ASKS, RESULT, RESULT)),
        ((RESULT, RESULT, RESULT), (RESULT, RESULT, RESULT)),
    ],
)
def test_one_can_go_on_wherever_it_ended(messages: tuple[Message, ...], mended: tuple[Message, ...]) -> None:
    assert Snapshot(messages=messages).mended().messages == mended


def test_a_session_knows_what_it_is_about() -> None:
    said = Snapshot(messages=(Message("assistant", "Hi."), QUESTION, ASKS, RESULT, Message("user", "Why?")))
    assert (said.turns, said.begins) == (2, "?")
    assert (Snapshot().turns, Snapshot().begins) == (0, "")
