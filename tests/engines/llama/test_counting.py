"""Counting tokens, whatever else the engine is doing."""

from __future__ import annotations

import threading

import pytest

from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.errors import QwenError
from tests.engines.asking import ASK, ENDLESS, GREEDY, ended
from tests.engines.conftest import OpenScripted


def test_tokens_are_counted_from_any_thread_while_a_reply_runs(scripted: OpenScripted):
    engine = scripted(ENDLESS)
    counts: list[int] = []
    request = GenerateRequest(GREEDY, ASK, max_tokens=300)
    stream = engine.generate(request)
    next(iter(stream))
    threads = [
        threading.Thread(target=lambda: counts.append(engine.count_tokens("<think>" + "x" * 1000)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    events = list(stream)
    for thread in threads:
        thread.join()
    assert counts == [1001] * 8
    assert ended(events).stats.output_tokens > 0


def test_a_prompt_is_counted_without_being_evaluated(scripted: OpenScripted):
    engine = scripted(ENDLESS, context=64)
    long, short = (
        GenerateRequest(GREEDY, (Message("user", text),), max_tokens=1) for text in ("x" * 100, "x")
    )
    raw = GenerateRequest(GREEDY, raw="ticktick", max_tokens=1)
    assert [engine.count_prompt(request) for request in (long, short, raw)] == [119, 20, 8]
    for request in (raw, short):
        assert ended(list(engine.generate(request))).stats.prompt_tokens == engine.count_prompt(request)


def test_a_closed_engine_counts_nothing(scripted: OpenScripted):
    engine = scripted({"\n": "a"})
    engine.close()
    with pytest.raises(QwenError, match="closed"):
        engine.count_tokens("a")
