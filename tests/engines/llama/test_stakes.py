"""A small model drafts where that pays, and hardly where it does not; time is what is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.ports import Engine
from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.context import MOST_DRAFTED
from qwen3cli.engines.llama.pace import Costs
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.engines.llama.scout import Scout
from qwen3cli.engines.llama.stakes import Stakes
from tests.engines.drafted import Clock, Converted, Open, Silent, clocked, contexts_of, drafter_of
from tests.engines.random_model import write_random

PROMPT = [(7 * n) % 250 for n in range(300)]
WRITING = Sampling(temperature=0.7, top_p=1.0, top_k=20, min_p=0, presence_penalty=0, seed=1)


def seconds_to_write(engine: Engine, clock: Clock, count: int) -> float:
    """Seconds of the first `count` tokens after the prompt, of a text without an end."""
    drafter, (context, _) = drafter_of(engine), contexts_of(engine)
    sampler = Sampler(WRITING, cast(Any, engine)._weights.vocabulary.size, context.size)
    for _ in context.evaluate(PROMPT[context.keep_prefix(PROMPT) :]):
        pass
    drafter.begin()
    started = clock.now
    for left in range(count, 0, -1):
        drafter.append(sampler.draw(context), left - 1)
    sampler.free()
    return clock.now - started


def test_good_drafts_are_made_and_long(
    demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(demo("f32"), demo("q4_0"))
    clock = clocked(engine, 0.1, monkeypatch)
    cast(Any, drafter_of(engine))._lookup = Silent()
    # A long prompt is not read for the sake of a word: some of it is, to see how long that takes.
    seconds_to_write(engine, clock, 7)
    assert clock.evaluated < 70
    # What it has to read, and finding out how good it is, counts.
    assert seconds_to_write(engine, clock, 300) < 0.35 * 300
    drafter = drafter_of(engine)
    assert drafter.accepted > 200
    # It read the prompt and what was written, each token once, but for those that did not come.
    assert 500 < clock.evaluated < 610 + 2 * (drafter.drafted - drafter.accepted)


def test_bad_drafts_are_hardly_made(tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(write_random(tmp_path / "a.gguf", 0), write_random(tmp_path / "b.gguf", 1))
    clock = clocked(engine, 0.1, monkeypatch)
    cast(Any, drafter_of(engine))._lookup = Silent()
    # At first the prompt is read, once, and what comes of it is seen.
    assert seconds_to_write(engine, clock, 300) < 1.03 * 300
    assert clock.evaluated < 600
    before = clock.evaluated
    assert sum(seconds_to_write(engine, clock, 300) for _ in range(4)) < 1.01 * 1200
    assert clock.evaluated - before < 0.5 * 1200
    assert drafter_of(engine).drafted < 10


def test_a_draft_that_is_sure_and_wrong_is_found_out(
    demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(demo("f32"), demo("f32"))
    clock = clocked(engine, 0.1, monkeypatch)
    cast(Any, drafter_of(engine))._lookup = Silent()
    really = cast(Any, Scout)._ask

    def mistaken(one: Scout, tokens: Sequence[int]) -> tuple[int, float]:
        return really(one, tokens)[0] ^ 1, 0.99

    monkeypatch.setattr(Scout, "_ask", mistaken)
    assert seconds_to_write(engine, clock, 300) < 1.06 * 300
    assert sum(seconds_to_write(engine, clock, 300) for _ in range(4)) < 1.01 * 1200
    assert drafter_of(engine).accepted == 0


def test_one_that_is_as_slow_as_the_large_one_is_not_even_shown_the_prompt(
    demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(demo("f32"), demo("f32"))
    clock = clocked(engine, 1.0, monkeypatch)
    cast(Any, drafter_of(engine))._lookup = Silent()
    assert seconds_to_write(engine, clock, 300) < 1.03 * 300
    # Some tokens, to see how long it takes.
    assert 0 < clock.evaluated < 70


def test_what_was_slow_once_gets_another_chance(
    demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(demo("f32"), demo("q4_0"))
    clock = clocked(engine, 1.0, monkeypatch)
    cast(Any, drafter_of(engine))._lookup = Silent()
    seconds_to_write(engine, clock, 300)
    assert drafter_of(engine).drafted == 0
    # Another program had the machine.
    clock.price = 0.1
    assert seconds_to_write(engine, clock, 600) > 0.9 * 600
    seconds_to_write(engine, clock, 600)
    assert seconds_to_write(engine, clock, 300) < 0.3 * 300


@pytest.mark.parametrize(("step", "length"), [(0.02, 15), (0.2, 9), (0.5, 3), (0.8, 0)])
def test_a_draft_is_as_long_as_its_chances_pay(step: float, length: int) -> None:
    large, small = Costs(), Costs()
    for size in (1, 1, 16, 16):
        large.note(size, 1 + 0.1 * (size - 1))
    for _ in range(2):
        small.note(1, step)
    stakes = Stakes(large, small, 0.01)
    stakes.computed(1, 1.0, None)
    bet = stakes.bet(MOST_DRAFTED)
    while stakes.pays and bet.takes(5, 0.99, ends=False) and bet.goes_on():
        pass
    assert bet.taken == length
    # One that is not sure, that ends the text, or is no number at all pays nowhere.
    for sureness, ends in ((0.01, False), (0.99, True), (float("nan"), False)):
        assert not stakes.bet(MOST_DRAFTED).takes(5, sureness, ends=ends)


def test_what_is_quoted_is_looked_up(demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(demo("f32"), demo("q4_0"))
    clock = clocked(engine, 0.3, monkeypatch)
    drafter, (context, _) = drafter_of(engine), contexts_of(engine)
    for _ in context.evaluate(text := [(n * n) % 251 for n in range(240)]):
        pass
    drafter.begin()
    for token in text:
        drafter.append(token, len(text))
    assert drafter.accepted > 180
    assert clock.evaluated < 100


def test_what_a_token_takes_alone_is_measured_now_and_then() -> None:
    costs = Costs()
    for _ in range(20):
        costs.note(1, 1.0)
    alone = 0
    for _ in range(250):
        # The machine has become twice as fast.
        if costs.wants_single():
            costs.note(1, 0.5)
            alone += 1
        else:
            costs.note(4, 0.6)
    assert costs.seconds(1) == 0.5
    assert costs.of(4) == pytest.approx(1.2)
    assert alone == 3
    # Who computes them alone anyway is not asked to.
    for _ in range(300):
        costs.note(1, 0.5)
        assert not costs.wants_single()
