from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.events import Notice, Text
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.cli.desk import ChatDesk
from qwen3cli.errors import ModelNotFound, QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.store import ModelStore
from tests.chat.fakes import ScriptedEngine, ended

FACTS = ModelFacts(
    name="mine",
    path=Path("mine.gguf"),
    architecture="qwen3",
    file_bytes=1,
    parameters=1,
    quantization="Q8_0",
    quantized=True,
    context_length=4096,
    kv_bytes_per_token=1,
)


class Closing(ScriptedEngine):
    """Remembers that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def desk_with(
    engine: ScriptedEngine, tmp_path: Path, facts: ModelFacts = FACTS, **others: object
) -> ChatDesk:
    def open_model(name: str) -> tuple[ModelFacts, ScriptedEngine]:
        if name not in others:
            raise ModelNotFound(f"there is no model `{name}`")
        return replace(FACTS, name=name), others[name]  # type: ignore[return-value]

    store = ModelStore(tmp_path)
    return ChatDesk(facts, engine, ChatSettings(), system="s", open_model=open_model, store=store)


def test_a_turn_leaves_its_context_and_its_messages(tmp_path: Path) -> None:
    desk = desk_with(ScriptedEngine([Text("hi"), ended(context_used=31)]), tmp_path)
    assert list(desk.say("hello")) == [Text("hi"), ended(context_used=31)]
    assert desk.context_used == 31
    assert [m.content for m in desk.conversation.messages] == ["s", "hello", "hi"]
    desk.clear()
    assert [m.content for m in desk.conversation.messages] == ["s"]
    assert desk.context_used == 0


def test_advice_is_given_once(tmp_path: Path) -> None:
    desk = desk_with(ScriptedEngine([ended()], [ended()]), tmp_path)
    desk.change(ChatSettings(sampling=SamplingChoice(temperature=0)))
    assert next(type(e) for e in desk.say("a")) is Notice
    assert Notice not in [type(e) for e in desk.say("b")]


def test_a_message_that_switches_thinking_off_needs_no_advice(tmp_path: Path) -> None:
    desk = desk_with(ScriptedEngine([ended()]), tmp_path)
    desk.change(ChatSettings(sampling=SamplingChoice(temperature=0)))
    assert list(desk.say("a /no_think")) == [ended()]


def test_switching_keeps_the_conversation_and_frees_the_old_model(tmp_path: Path) -> None:
    old, new = Closing([Text("hi"), ended()]), Closing()
    desk = desk_with(old, tmp_path, other=new)
    list(desk.say("hello"))
    desk.switch("other")
    assert (desk.facts.name, desk.engine) == ("other", new)
    assert (old.closed, new.closed) == (True, False)
    assert len(desk.conversation.turns) == 2


def test_a_switch_that_fails_keeps_the_old_model(tmp_path: Path) -> None:
    old, never = Closing(), Closing(mode=ThinkingMode.NEVER)
    desk = desk_with(old, tmp_path, never=never)
    desk.change(ChatSettings(thinking=True))
    with pytest.raises(ModelNotFound):
        desk.switch("nothing")
    with pytest.raises(UsageError):
        desk.switch("never")
    assert (desk.engine, old.closed, never.closed) == (old, False, True)


def test_a_refused_toggle_names_the_sibling_and_changes_nothing(tmp_path: Path) -> None:
    facts = replace(FACTS, name="Qwen3-4B-Thinking-2507-Q8_0")
    desk = desk_with(ScriptedEngine(mode=ThinkingMode.ALWAYS), tmp_path, facts)
    with pytest.raises(UsageError) as caught:
        desk.change(ChatSettings(thinking=False))
    assert "`4b`" in (caught.value.hint or "")
    assert desk.settings.thinking is None


def test_completing_text_ends_with_the_model_that_needed_it(tmp_path: Path) -> None:
    chats = Closing()
    desk = desk_with(Closing(), tmp_path, replace(FACTS, base=True), chats=chats)
    assert desk.settings.raw
    desk.switch("chats")
    assert not desk.settings.raw


def test_base_models_and_models_without_template_complete_text_and_say_so(tmp_path: Path) -> None:
    engine = ScriptedEngine([Text("…"), ended()])
    base = desk_with(engine, tmp_path, replace(FACTS, base=True))
    assert "base model" in base.opening_notices()[0]
    assert "system prompt" in base.opening_notices()[1]
    with pytest.raises(UsageError):
        base.change(ChatSettings(thinking=True))
    list(base.say("Once upon"))
    assert (engine.requests[0].raw, engine.requests[0].messages) == ("Once upon", ())
    plain = ScriptedEngine()
    plain.has_template = False
    assert "no chat template" in desk_with(plain, tmp_path).opening_notices()[0]
    assert desk_with(ScriptedEngine(), tmp_path).opening_notices() == []


def test_tools_that_are_not_used_are_said(tmp_path: Path) -> None:
    class Tools:
        def use(self, engine: ScriptedEngine) -> None:
            """There are none."""

    def desk(facts: ModelFacts) -> ChatDesk:
        def never(name: str) -> tuple[ModelFacts, ScriptedEngine]:
            raise ModelNotFound(name)

        store, tools = ModelStore(tmp_path), cast("Any", Tools())
        settings = ChatSettings()
        return ChatDesk(
            facts, ScriptedEngine(), settings, system=None, open_model=never, store=store, tools=tools
        )

    assert desk(FACTS).opening_notices() == []
    assert "tools are not used" in desk(replace(FACTS, base=True)).opening_notices()[1]


def test_the_think_command_outlasts_an_earlier_soft_switch(tmp_path: Path) -> None:
    desk = desk_with(
        ScriptedEngine([Text("a"), ended()], [Text("b"), ended()], [Text("c"), ended()]), tmp_path
    )
    list(desk.say("one /no_think"))
    desk.change(ChatSettings(thinking=True))
    assert not desk.thinks()
    desk.carry_think()
    assert desk.thinks()
    list(desk.say("two"))
    list(desk.say("three"))
    assert [m.content for m in desk.conversation.turns[2::2]] == ["two /think", "three"]
    assert desk.thinks()


def test_a_message_with_its_own_switch_carries_no_other(tmp_path: Path) -> None:
    desk = desk_with(ScriptedEngine([Text("a"), ended()], [Text("b"), ended()]), tmp_path)
    list(desk.say("one /no_think"))
    desk.change(ChatSettings(thinking=True))
    desk.carry_think()
    list(desk.say("two /no_think"))
    assert desk.conversation.turns[2].content == "two /no_think"
    assert not desk.thinks()


def test_what_is_to_be_carried_waits_for_a_turn_that_answers_and_ends_with_the_command(
    tmp_path: Path,
) -> None:
    desk = desk_with(ScriptedEngine([Text("a"), ended()], []), tmp_path)
    list(desk.say("one /no_think"))
    desk.change(ChatSettings(thinking=True))
    desk.carry_think()
    with pytest.raises(RuntimeError):
        list(desk.say("two"))
    assert desk.thinks()
    desk.change(ChatSettings(thinking=False))
    assert not desk.thinks()
    desk.change(ChatSettings(thinking=True))
    assert not desk.thinks()


def test_soft_switches_mean_nothing_to_a_model_that_always_thinks(tmp_path: Path) -> None:
    engine = ScriptedEngine([Text("a"), ended()])
    engine.thinking_mode = ThinkingMode.ALWAYS
    desk = desk_with(engine, tmp_path)
    list(desk.say("one /no_think"))
    assert desk.thinks()


def test_the_engine_gets_ready_for_the_next_message(tmp_path: Path) -> None:
    engine = ScriptedEngine([Text("hi"), ended()])
    other = ScriptedEngine()
    desk = desk_with(engine, tmp_path, other=other)
    for _ in range(3):
        desk.prepare()
    list(desk.say("hello"))
    desk.prepare()
    desk.change(replace(desk.settings, thinking=False))
    desk.prepare()
    said = [([m.content for m in messages], thinking) for messages, _, thinking in engine.expected]
    assert said == [(["s"], True), (["s", "hello", "hi"], True), (["s", "hello", "hi"], False)]
    desk.switch("other")
    desk.change(replace(desk.settings, raw=True))
    desk.prepare()
    assert other.expected == []


def test_a_turn_that_left_nothing_has_the_engine_get_ready_again(tmp_path: Path) -> None:
    engine = ScriptedEngine([QwenError("no")])
    desk = desk_with(engine, tmp_path)
    desk.prepare()
    with pytest.raises(QwenError):
        list(desk.say("hello"))
    desk.prepare()
    assert len(engine.expected) == 2
