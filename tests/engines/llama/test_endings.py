"""What ends a generation: limits, stop strings, a full context, the person."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from qwen3cli.chat.events import Event, Prefill, Text, Thinking
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.errors import ContextFull, QwenError
from tests.engines.asking import ANSWERS, ASK, ENDLESS, GREEDY, THINKS, ask, ended, finish, said
from tests.engines.conftest import OpenScripted


def test_max_tokens(scripted: OpenScripted):
    events = ask(scripted(ENDLESS), max_tokens=3)
    assert (said(events), finish(events)) == ("tick tocktick", "length")
    assert ended(events).stats.output_tokens == 3


@pytest.mark.parametrize(
    ("stop", "answer"),
    [("ck t", "ti"), ("tick", ""), (" tocktick", "tick"), ("zzz", None), ("ck tock", "ti")],
)
def test_stop_strings(scripted: OpenScripted, stop: str, answer: str | None):
    events = ask(scripted(ENDLESS), stop=(stop,), max_tokens=6)
    assert said(events) == (answer if answer is not None else "tick tock" * 3)
    assert finish(events) == ("stop" if answer is not None else "length")


def test_stop_strings_do_not_end_the_thinking(scripted: OpenScripted):
    events = ask(scripted(THINKS | ANSWERS), stop=("well", "world"))
    assert said(events, Thinking) == "hmm well\nso"
    assert (said(events), finish(events)) == ("Hello ", "stop")


def test_the_context_may_become_full(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=64)
    events = ask(engine)
    stats = ended(events).stats
    assert finish(events) == "context"
    assert stats.context_used == 64
    assert stats.output_tokens == 64 - stats.prompt_tokens + 1, "the last token needs no room"


def test_a_prompt_that_does_not_fit(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=64)
    with pytest.raises(ContextFull) as caught:
        next(iter(engine.generate(GenerateRequest(GREEDY, messages=(Message("user", "x" * 100),)))))
    assert caught.value.prompt_tokens == 100 + 19
    assert caught.value.context_size == 64
    assert finish(ask(engine, max_tokens=1)) == "length", "the engine goes on"


def test_cancelling_a_generation_keeps_what_was_said(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=30000)
    events: list[Event] = []
    for event in engine.generate(GenerateRequest(GREEDY, messages=ASK)):
        events.append(event)
        if said(events) == "tick tocktick":
            engine.cancel()
    assert finish(events) == "interrupted"
    assert said(events).startswith("tick tocktick")
    stats = ended(events).stats
    assert stats.context_used <= stats.prompt_tokens + stats.output_tokens < 30000
    engine.allow()
    again = ask(engine, max_tokens=2)
    assert (said(again), finish(again)) == ("tick tock", "length")
    assert ended(again).stats.cached_tokens == stats.prompt_tokens - 1


def test_cancelling_a_prefill(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=30000)
    long = (Message("user", "x" * 25000),)
    events: list[Event] = []
    for event in engine.generate(GenerateRequest(GREEDY, messages=long)):
        events.append(event)
        if isinstance(event, Prefill) and event.done:
            engine.cancel()
    stats = ended(events).stats
    assert finish(events) == "interrupted"
    assert 512 <= stats.evaluated_tokens == stats.context_used < stats.prompt_tokens
    assert said(events) == ""
    engine.allow()
    assert said(ask(engine, messages=long, max_tokens=2)) == "tick tock"


def test_a_cancel_just_before_a_generation_holds_until_it_is_taken_back(scripted: OpenScripted):
    engine = scripted(ENDLESS)
    engine.cancel()
    for _ in range(2):
        events = ask(engine, max_tokens=2)
        assert (finish(events), said(events)) == ("interrupted", "")
    engine.allow()
    assert finish(ask(engine, max_tokens=2)) == "length"


def test_dropping_the_iterator_ends_the_generation(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=30000)
    stream: Any = engine.generate(GenerateRequest(GREEDY, messages=ASK))
    while not isinstance(next(stream), Text):
        pass
    stream.close()
    evaluated: list[int] = cast(Any, engine)._context.tokens
    length = len(evaluated)
    time.sleep(0.05)
    assert len(evaluated) == length < 30000, "nothing goes on behind the caller's back"
    assert finish(ask(engine, max_tokens=2)) == "length"


def test_one_generation_at_a_time(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=30000)
    stream = engine.generate(GenerateRequest(GREEDY, messages=ASK))
    next(stream)
    with pytest.raises(QwenError, match="already"):
        ask(engine)
    stream.close()  # type: ignore[attr-defined]
