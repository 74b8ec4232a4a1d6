"""What is said is the same with a small model's drafts; what stops the one stops the other, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.chat.events import Stats
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine
from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.ahead import Ahead
from qwen3cli.engines.llama.context import MOST_DRAFTED, Context
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.scout import Scout
from qwen3cli.errors import UsageError
from qwen3cli.machine import MICRO_BATCH, Drafts, Placement
from tests.engines.asking import GREEDY, ask, ended, said
from tests.engines.conftest import facts_of
from tests.engines.drafted import Converted, Open, contexts_of, drafter_of, make_eager, scout_of
from tests.engines.llama.test_ahead import idle
from tests.engines.llama.test_drafting import conversation
from tests.engines.random_model import small_vocabulary, write_random, write_recurrent


def answer(engine: Engine, number: int, sampling: Sampling) -> tuple[str, Stats]:
    events = ask(engine, sampling, messages=conversation(number), thinking=number % 3 > 0, max_tokens=40)
    return said(events), ended(events).stats


HOT = Sampling(temperature=2.0, top_p=1.0, top_k=20, min_p=0, presence_penalty=1.5)


@pytest.mark.parametrize("kind", ["f32", "q4_0"])
@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "sampled"])
def test_answers_are_the_same_with_and_without(
    demo: Converted, opened: Open, kind: str, sampling: Sampling
) -> None:
    plain = open_engine(facts_of(demo("f32")), Placement(2048, threads=1), drafts=Drafts(lookup=False))
    engine, drafted, accepted = opened(demo("f32"), demo(kind)), 0, 0
    make_eager(engine)
    for number in range(30):
        seeded = replace(sampling, seed=number) if sampling.temperature else sampling
        alone, stats = answer(plain, number, seeded)
        assert (stats.drafted_tokens, stats.accepted_tokens) == (0, 0)
        text, stats = answer(engine, number, seeded)
        assert text == alone
        drafted, accepted = drafted + stats.drafted_tokens, accepted + stats.accepted_tokens
        large, small = contexts_of(engine)
        # It has read what came, whatever it had thought would.
        assert common_prefix(large.tokens, small.tokens) >= len(large.tokens) - MOST_DRAFTED - 1
    plain.close()
    assert accepted > max(300, 0.85 * drafted)
    # What the demo says itself comes; what is drawn from twice as flat chances does not always.
    assert (drafted == accepted) == (sampling == GREEDY)


def position(context: Context) -> int:
    assert context.pointer is not None
    memory = C.llama_get_memory(context.pointer)
    assert memory is not None
    return C.llama_memory_seq_pos_max(memory, 0) + 1


@pytest.mark.parametrize("at", [1, 2, 7])
def test_a_stop_in_the_middle_of_a_draft_leaves_both_as_they_are_said_to_be(
    demo: Converted, opened: Open, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    engine = opened(demo("f32"), demo("f32"))
    make_eager(engine)
    whole = answer(engine, 1, GREEDY)[0]
    asked, really = count(1), cast(Any, Scout)._ask

    def ask_and_stop(one: Scout, tokens: Sequence[int]) -> tuple[int, float]:
        if next(asked) == at:
            engine.cancel()
        return really(one, tokens)

    monkeypatch.setattr(Scout, "_ask", ask_and_stop)
    events = ask(engine, GREEDY, messages=conversation(1), max_tokens=40)
    assert ended(events).finish == "interrupted"
    for context in contexts_of(engine):
        assert position(context) == len(context.tokens) > 0
    engine.allow()
    assert answer(engine, 1, GREEDY)[0] == whole


def test_it_reads_ahead_too(demo: Converted, opened: Open) -> None:
    engine = opened(demo("f32"), demo("f32"))
    large, small = contexts_of(engine)
    messages = list(conversation(5))[:-1]
    for turn in (messages, messages[:2], [*messages, *conversation(7)[:2]]):
        engine.expect(turn)
        idle(engine)
        assert large.tokens == small.tokens
        assert len(small.tokens) > 20
    make_eager(engine)
    before = scout_of(engine).evaluated
    events = ask(engine, GREEDY, messages=(*turn, Message("user", "What is 4 + 4?")), max_tokens=40)
    new = ended(events).stats.evaluated_tokens
    # What it had read is not read again.
    assert scout_of(engine).evaluated - before < new + 2 * ended(events).stats.output_tokens


def test_nobody_waits_for_what_it_reads_ahead(demo: Converted, opened: Open) -> None:
    engine = opened(demo("f32"), demo("f32"), context=16384)
    large, small = contexts_of(engine)
    tokens = [n % 250 for n in range(5000)]
    for _ in large.evaluate(tokens):
        pass
    reading = Ahead(large, lambda: tokens, then=drafter_of(engine).ahead)
    thread = threading.Thread(target=reading.run)
    thread.start()
    while len(small.tokens) < MICRO_BATCH:
        time.sleep(0.001)
    # The prompt begins with that: it would be waited for if it were of use.
    reading.make_way([*tokens, 7])
    thread.join()
    assert large.tokens == tokens
    assert MICRO_BATCH <= len(small.tokens) < len(tokens)
    assert small.halt.raised
    small.halt.resume()
    assert position(small) == len(small.tokens)


def test_what_cannot_draft_is_refused(demo: Converted, opened: Open, tmp_path: Path) -> None:
    recurrent = write_recurrent(tmp_path / "recurrent.gguf")
    random = write_random(tmp_path / "random.gguf")
    texts = small_vocabulary()
    other = write_random(tmp_path / "other.gguf", vocabulary=[*texts[:270], "Ġzzz", *texts[271:]])
    for large, small, reason in (
        (recurrent, random, "`random` cannot draft for `recurrent`: that has a recurrent memory"),
        (random, recurrent, "`recurrent` cannot draft for `random`: it has a recurrent memory"),
        (demo("f32"), random, r"`random` cannot draft for `demo-f32`: .* they have [\d,]+ and \d+ tokens"),
        (random, other, r"vocabularies differ, token 270 is `.*` and `Ġzzz`"),
    ):
        with pytest.raises(UsageError, match=reason):
            opened(large, small)
