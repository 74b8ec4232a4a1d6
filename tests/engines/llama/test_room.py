"""Room at the end of the context, with real engines: what is read again, and what a stop leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Stats, ToolReturned, TurnEnded, Working
from qwen3cli.chat.messages import Message, ToolResult, ToolSpec
from qwen3cli.chat.ports import ChatSettings, Engine, GenerateRequest, WhenFull
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.turn import run_turn
from qwen3cli.engines import open_engine
from qwen3cli.errors import ContextFull
from qwen3cli.machine import Placement
from tests.chat.fakes import FakeTools
from tests.engines.asking import ANSWERS, ENDLESS, ended
from tests.engines.conftest import OpenScripted, facts_of
from tests.engines.llama.test_ahead import WEATHER

SIZE = 1024
LONG = "Hello there, my friend. " * 6


@pytest.fixture
def demo(demo_gguf: Path) -> Iterator[Engine]:
    engine = open_engine(facts_of(demo_gguf), Placement(SIZE, threads=1))
    yield engine
    engine.close()


def generations(engine: Engine) -> list[Stats]:
    """What each generation of the engine takes from now on."""
    generate, heard = engine.generate, list[Stats]()

    def recorded(request: GenerateRequest) -> Iterator[Event]:
        for event in generate(request):
            if isinstance(event, TurnEnded):
                heard.append(event.stats)
            yield event

    cast(Any, engine).generate = recorded
    return heard


def say(
    engine: Engine, conversation: Conversation, text: str, when_full: WhenFull, tools: FakeTools | None = None
) -> list[Event]:
    """A turn, after what a desk does while the person types."""
    specs = tools.tools() if tools is not None else ()
    engine.expect(conversation.messages, specs, thinking=False)
    cast(Any, engine)._worker.run(lambda: None)
    sampling = SamplingChoice(temperature=0)
    settings = ChatSettings(thinking=False, sampling=sampling, when_full=when_full, max_tokens=60)
    return list(run_turn(engine, conversation, text, settings, quantized=False, tools=tools))


def until_full(
    engine: Engine, conversation: Conversation, when_full: WhenFull, tools: FakeTools | None = None
) -> list[Event]:
    """Turns until older ones make way; the events of that one."""
    for _ in range(30):
        events = say(engine, conversation, LONG, when_full, tools)
        if any(isinstance(event, Notice) for event in events):
            return events
    raise AssertionError("it never became full")


@pytest.mark.parametrize("when_full", ["drop", "summarise"])
def test_what_comes_before_the_turns_is_not_read_again(demo: Engine, when_full: WhenFull) -> None:
    tools, conversation = FakeTools(), Conversation("Be brief. " * 9)
    demo.expect(conversation.messages, tools.tools(), thinking=False)
    head, heard = demo.expected_tokens(60) or 0, generations(demo)
    until_full(demo, conversation, when_full, tools)
    assert (conversation.summary is not None) == (when_full == "summarise")
    assert conversation.condensed[0] >= 2
    # System prompt and tools were there, and stay.
    assert 100 < head <= heard[-1].cached_tokens < heard[-1].prompt_tokens
    # The next turn begins with what has been got ready of the new beginning.
    stats = ended(say(demo, conversation, "What is 2 + 3?", when_full, tools)).stats
    new = "What is 2 + 3?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert stats.evaluated_tokens == len(cast(Any, demo)._weights.vocabulary.tokenize(new))


def test_a_summary_is_written_where_the_conversation_has_been(demo: Engine) -> None:
    heard, conversation = generations(demo), Conversation("Be brief.")
    events = until_full(demo, conversation, "summarise")
    summary, answer = heard[-2:]
    wish = conversation.seen[0].content
    new = f"{wish}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert summary.evaluated_tokens == len(cast(Any, demo)._weights.vocabulary.tokenize(new))
    assert ended(events).stats.evaluated_tokens == summary.evaluated_tokens + answer.evaluated_tokens
    assert ended(events).stats.context_used == answer.context_used
    assert conversation.summary
    assert [message.role for message in conversation.seen[:3]] == ["user", "assistant", "user"]


class Weather(FakeTools):
    """Tells of the weather at length."""

    def tools(self) -> list[ToolSpec]:
        return [WEATHER]


def test_older_turns_make_way_in_the_middle_of_a_tool_loop(demo: Engine) -> None:
    tools, conversation = (
        Weather(lambda call, _: ToolResult(call.name, "sunny, 21 degrees. " * 50)),
        Conversation(),
    )
    for number in range(4):
        conversation.append(Message("user", f"{number} {LONG}"), Message("assistant", "Hello!"))
    events = say(demo, conversation, "What will the weather be in Paris?", "drop", tools)
    kinds = [type(event) for event in events if isinstance(event, (ToolReturned, Notice, TurnEnded))]
    assert kinds == [ToolReturned, Notice, TurnEnded]
    assert [message.role for message in conversation.turns[8:]] == ["user", "assistant", "tool", "assistant"]
    assert conversation.turns[8:] == conversation.seen[-4:]
    assert conversation.condensed[0] >= 2


def test_a_summary_that_is_stopped_changes_nothing_and_the_engine_goes_on(scripted: OpenScripted) -> None:
    engine, conversation = scripted(ENDLESS | {"\n\n": "tick"}, context=2048), Conversation()
    for _ in range(3):
        conversation.append(Message("user", "x" * 300), Message("assistant", "y" * 300))
    before = conversation.messages
    settings = ChatSettings(thinking=False, when_full="summarise", sampling=SamplingChoice(temperature=0))
    events: list[Event] = []
    for event in run_turn(engine, conversation, "z" * 40, settings, quantized=False):
        events.append(event)
        if isinstance(event, Working):
            engine.cancel()
    engine.allow()
    assert isinstance(events[-1], TurnEnded) and events[-1].finish == "interrupted"
    assert (conversation.messages, conversation.condensed) == (before, (0, ()))
    assert any(isinstance(event, Working) for event in events)
    dropping = ChatSettings(thinking=False, when_full="drop", max_tokens=2)
    assert ended(list(run_turn(engine, conversation, "z" * 40, dropping, quantized=False))).finish == "length"


def test_a_system_prompt_that_is_too_long_is_refused_before_anything_is_evaluated(
    scripted: OpenScripted,
) -> None:
    engine, conversation = scripted(ANSWERS, context=512), Conversation("x" * 600)
    with pytest.raises(ContextFull, match=r"the system prompt takes 6\d\d tokens and the context holds 512"):
        list(run_turn(engine, conversation, "hi", ChatSettings(), quantized=False))
    assert cast(Any, engine)._context.tokens == []
