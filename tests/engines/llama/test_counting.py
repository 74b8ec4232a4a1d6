"""Counting tokens, whatever else the engine is doing."""

from __future__ import annotations

import threading

import pytest

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


def test_a_closed_engine_counts_nothing(scripted: OpenScripted):
    engine = scripted({"\n": "a"})
    engine.close()
    with pytest.raises(QwenError, match="closed"):
        engine.count_tokens("a")
