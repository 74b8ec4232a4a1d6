"""Who fetches which bytes."""

from __future__ import annotations

import random

import pytest

from qwen3cli.models.partial import CHUNK
from qwen3cli.models.spans import Span, Spans

SIZE = 1000 * CHUNK + 5


def advance(spans: Spans, span: Span, chunks: int = 1) -> bool:
    more = True
    for _ in range(chunks):
        span.position = min((span.position // CHUNK + 1) * CHUNK, SIZE)
        more = spans.fetched(span)
    return more


def test_spans_begin_at_the_front_and_grow_shorter() -> None:
    spans = Spans(SIZE, [False] * 1001, 4)
    lengths = list[int]()
    end = 0
    while (span := spans.take()) is not None:
        assert span.position == end
        end = span.end
        lengths.append(-(-(span.end - span.position) // CHUNK))
        advance(spans, span, lengths[-1])
    assert end == SIZE
    assert lengths[0] == 64
    assert lengths == sorted(lengths, reverse=True)
    assert set(lengths[-3:-1]) == {4}
    assert spans.done() == SIZE


def test_what_is_there_is_left_out() -> None:
    spans = Spans(SIZE, [n % 10 < 3 for n in range(1001)], 4)
    first, second = spans.take(), spans.take(2)
    assert first and second
    assert (first.position, first.end) == (3 * CHUNK, 10 * CHUNK)
    assert (second.position, second.end) == (13 * CHUNK, 15 * CHUNK)
    assert spans.done() == 300 * CHUNK + 5


def test_one_connection_asks_once() -> None:
    spans = Spans(SIZE, [False] * 1001, 1)
    span = spans.take()
    assert span
    assert (span.position, span.end) == (0, SIZE)
    assert spans.take() is None


@pytest.mark.parametrize("slow_s", [0.0, 1000.0])
def test_a_slow_span_is_shared(slow_s: float) -> None:
    spans = Spans(SIZE, [False] * 1001, 1, slow_s)
    slow = spans.take()
    assert slow
    slow.position = CHUNK // 2
    half = spans.take()
    if slow_s:
        assert half is None
        return
    assert half
    assert slow.end == half.position == 501 * CHUNK
    assert half.end == SIZE
    # The chunk under way and the next one stay with who has them.
    assert not advance(spans, slow, 501)
    assert not advance(spans, half, 500)
    assert spans.done() == SIZE


def test_what_is_given_back_or_lost_is_dealt_out_again() -> None:
    spans = Spans(SIZE, [False] * 1001, 4)
    span = spans.take()
    assert span
    advance(spans, span, 2)
    span.position += 100
    assert spans.done() == 2 * CHUNK + 100
    spans.give_back(span)
    assert spans.done() == 2 * CHUNK
    spans.lose(0)
    first, second = spans.take(), spans.take()
    assert first and second
    assert (first.position, first.end, second.position) == (0, CHUNK, 2 * CHUNK)


def test_every_byte_is_fetched_by_exactly_one() -> None:
    dice = random.Random(7)
    spans = Spans(SIZE, [dice.random() < 0.3 for _ in range(1001)], 4, 0.0)
    missing, fetched, active = SIZE - spans.done(), 0, list[Span]()
    while spans.done() < SIZE:
        span = spans.take() if len(active) < 4 else None
        if span:
            active.append(span)
        one = dice.choice(active)
        if dice.random() < 0.02:
            spans.give_back(one)
            active.remove(one)
            continue
        begin = one.position
        more = advance(spans, one)
        fetched += one.position - begin
        if not more:
            active.remove(one)
    assert active == []
    assert fetched == missing
    assert spans.take() is None
