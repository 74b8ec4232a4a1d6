"""Drafts change nothing of what is said, only when it is computed; and they are left alone where they do not pay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as C
import numpy as np
import pytest

from converters import Wishes
from qwen3cli.chat.events import Stats
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine
from qwen3cli.chat.sampling import Sampling
from qwen3cli.demo import CHECKPOINT
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.context import MOST_DRAFTED, Context
from qwen3cli.engines.llama.lookup import NOTHING, Draft, Lookup
from qwen3cli.engines.llama.pace import Acceptance, Costs, Pace
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.machine import Placement
from qwen3cli.models.conversion import convert_checkpoint
from tests.engines.asking import GREEDY, ask, ended, said
from tests.engines.conftest import facts_of
from tests.engines.llama.test_ahead import logits, vocabulary_of
from tests.engines.random_model import write_recurrent

HOT = 5.0
LIVELY = Sampling(temperature=0.8, top_p=0.95, top_k=20, min_p=0, presence_penalty=1.5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The demo model in F32, which computes nearly the same in batches of any size."""
    path = tmp_path_factory.mktemp("demo") / "demo-f32.gguf"
    convert_checkpoint(CHECKPOINT, path, "f32", Wishes("demo"))
    engine = open_engine(facts_of(path), Placement(2048, threads=1))
    yield engine
    engine.close()


class Always(Pace):
    """Drafts whatever there is."""

    def length(self, agreement: int, most: int) -> int:
        return most


class Guessing(Lookup):
    """Proposes anything."""

    def propose(self, most: int) -> Draft:
        return Draft([5, 6, 7][:most], 8)


class Never(Pace):
    """Drafts nothing."""

    def length(self, agreement: int, most: int) -> int:
        return 0


def conversation(number: int) -> tuple[Message, ...]:
    """A question that was answered already, so that there is something to draft from."""
    sums = [(number % 10, number // 10), (number // 10, 3)]
    said = [
        message
        for a, b in sums
        for message in (
            Message("user", f"What is {a} + {b}?"),
            Message("assistant", f"{a} + {b} = {a + b}"),
        )
    ]
    return (*said, Message("user", f"What is {sums[number % 2][0]} + {sums[number % 2][1]}?"))


def answer(engine: Engine, pace: Pace, number: int, sampling: Sampling) -> tuple[str, Stats]:
    cast(Any, engine)._drafter._pace = pace
    events = ask(engine, sampling, messages=conversation(number), thinking=number % 3 > 0, max_tokens=40)
    return said(events), ended(events).stats


@pytest.mark.parametrize("sampling", [GREEDY, LIVELY], ids=["greedy", "sampled"])
def test_a_hundred_answers_are_the_same_with_and_without(engine: Engine, sampling: Sampling) -> None:
    drafted = accepted = 0
    for number in range(100):
        seeded = Sampling(**{**vars(sampling), "seed": number}) if sampling.temperature else sampling
        plain, alone = answer(engine, Never(), number, seeded)
        with_drafts, stats = answer(engine, Always(), number, seeded)
        assert with_drafts == plain
        assert alone.drafted_tokens == 0
        assert stats.output_tokens == alone.output_tokens
        drafted, accepted = drafted + stats.drafted_tokens, accepted + stats.accepted_tokens
    assert drafted > accepted > 500


def draws(
    context: Context, start: Sequence[int], draft: Sequence[int], count: int, *, wrongly: bool
) -> Counter[tuple[int, int]]:
    """The two tokens drawn after `start`, with the draft that holds one of each; `wrongly` takes what is likely."""
    found: Counter[tuple[int, int]] = Counter()
    for seed in range(count):
        sampler = Sampler(Sampling(HOT, 1.0, 4, 0.0, 0.0, seed=seed), _size(context), context.size)
        kept = context.keep_prefix(start)
        for _ in context.evaluate(start[kept:-1]):
            pass
        context.append(start[-1], draft)
        first = sampler.draw(context)
        if wrongly and seed % 4 == 0:
            first = draft[0]
        if not context.take_drafted(first):
            context.append(first)
        found[first, sampler.draw(context)] += 1
        sampler.free()
    return found


def test_what_is_drawn_has_the_same_distribution(engine: Engine) -> None:
    context: Context = cast(Any, engine)._context
    start = [5, 9, 200, 31, 77, 12]
    pairs, chances = expected(context, start)
    draft = [pairs[1][0], pairs[1][1]]
    assert statistic(draws(context, start, draft, 2000, wrongly=False), pairs, chances) < 40
    # A rule that takes drafts oftener than the model would is found out.
    assert statistic(draws(context, start, draft, 2000, wrongly=True), pairs, chances) > 100


def _size(context: Context) -> int:
    return C.llama_vocab_n_tokens(vocabulary_of(context))


def expected(context: Context, start: Sequence[int]) -> tuple[list[tuple[int, int]], list[float]]:
    """All pairs of tokens that a top_k of 4 can draw, and their probabilities."""

    def top(tokens: Sequence[int]) -> list[tuple[int, float]]:
        given = logits(context, tokens)
        best = np.argsort(-given)[:4]
        chances = np.exp(given[best] / HOT) / np.exp(given[best] / HOT).sum()
        return [(int(token), float(chance)) for token, chance in zip(best, chances, strict=True)]

    both = [((a, b), p * q) for a, p in top(start) for b, q in top([*start, a])]
    return [pair for pair, _ in both], [chance for _, chance in both]


def statistic(found: Counter[tuple[int, int]], pairs: list[tuple[int, int]], chances: list[float]) -> float:
    """Pearson's chi-square with 15 degrees of freedom: above 37.7 once in a thousand."""
    count = sum(found.values())
    assert set(found) <= set(pairs)
    return sum((found[pair] - count * p) ** 2 / (count * p) for pair, p in zip(pairs, chances, strict=True))


def test_a_draft_that_is_not_taken_leaves_no_trace(engine: Engine) -> None:
    context: Context = cast(Any, engine)._context
    start = [5, 9, 200, 31]
    logits(context, start)
    context.append(7, [8, 9, 10])
    assert context.take_drafted(8) and not context.take_drafted(10)
    context.append(11)
    assert context.tokens == [*start, 7, 8, 11]
    then = logits(context, [*context.tokens, 12])
    context.keep_prefix([250])
    assert np.abs(np.exp(then) - np.exp(logits(context, [*start, 7, 8, 11, 12]))).max() < 1e-4
    # What was drafted is no part of a prompt that begins alike, nor of what is evaluated next.
    context.append(13, [14, 15])
    assert context.keep_prefix([*start, 7, 8, 11, 12, 13, 14, 16]) == len(context.tokens) == 9
    assert not context.take_drafted(14)
    context.append(13, [14, 15])
    for _ in context.evaluate([17]):
        pass
    assert context.tokens[-2:] == [13, 17]


def test_a_recurrent_model_drafts_nothing_for_it_cannot_forget(tmp_path: Path) -> None:
    engine = open_engine(facts_of(write_recurrent(tmp_path / "recurrent.gguf")), Placement(512, threads=1))
    drafter = cast(Any, engine)._drafter
    drafter._pace, drafter._lookup = Always(), Guessing()
    stats = ended(ask(engine, raw="ab" * 40, max_tokens=20)).stats
    assert stats.drafted_tokens == 0
    assert 0 <= stats.prompt_tokens + stats.output_tokens - stats.context_used <= 1
    engine.close()


def test_lookup_finds_what_agrees_longest() -> None:
    lookup = Lookup()
    assert lookup.propose(5) == NOTHING
    lookup.follow([1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 1, 2, 3])
    lookup.add(4)
    assert (lookup.propose(2).tokens, lookup.propose(2).agreement) == ([5, 9], 4)
    # Two tokens agree by chance.
    lookup.follow([1, 2, 3, 8, 8, 2, 3])
    assert lookup.propose(5) == NOTHING
    # What is forgotten is proposed no more.
    lookup.follow([1, 2, 3, 8, 8, 1, 2, 3])
    assert lookup.propose(9).tokens == [8, 8, 1, 2, 3]
    lookup.follow([7, 1, 2, 3])
    assert lookup.propose(5) == NOTHING
    assert len(lookup.tokens) == 4


def test_a_loop_goes_on_beyond_the_end_of_the_text() -> None:
    lookup = Lookup()
    for text, expected in (
        ([1, 2, 2, 2, 2], [2] * 7),
        ([5, 1, 2, 3, 1, 2, 3], [1, 2, 3, 1, 2, 3, 1]),
        # What has come once is no loop.
        ([1, 2, 3, 4, 1, 2, 3], [4, 1, 2, 3]),
    ):
        lookup.follow(text)
        assert lookup.propose(7).tokens == expected
        assert lookup.propose(2).tokens == expected[:2]
    assert lookup.propose(0).tokens == []


def paced(slope: float, chance: float, steps: int = 600) -> tuple[float, int, Pace]:
    """Seconds per token and the last length, where each further one costs `slope` and is right by `chance`."""

    def cost(size: int) -> float:
        return 1 + slope * (size - 1)

    pace, random = Pace(), np.random.default_rng(1)
    seconds, tokens, length = 0.0, 0, 0
    for _ in range(steps):
        length = pace.length(8, MOST_DRAFTED)
        pace.computed(1 + length, cost(1 + length))
        right = 0
        while right < length and random.random() < chance:
            right += 1
        if length:
            pace.checked(8, length, right, computed=True)
        else:
            pace.checked(8, 1, int(random.random() < chance), computed=False)
        seconds, tokens = seconds + cost(1 + length), tokens + 1 + right
    return seconds / tokens, length, pace


@pytest.mark.parametrize(
    ("slope", "chance", "most"),
    [
        (0.02, 0.95, 0.2),  # a GPU, quoting
        (0.02, 0.5, 0.65),
        (0.5, 0.97, 0.72),  # two cores, quoting
        (0.5, 0.3, 1.02),  # ... and chatting
        (1.0, 0.97, 1.02),  # where batches gain nothing
    ],
)
def test_the_length_follows_the_machine_and_the_luck(slope: float, chance: float, most: float) -> None:
    per_token, _, _ = paced(slope, chance)
    assert per_token < most


def test_an_outlier_does_not_end_drafting() -> None:
    _, length, pace = paced(0.02, 0.95)
    assert length == MOST_DRAFTED
    pace.computed(1 + length, 1000.0)
    pace.checked(8, length, length, computed=True)
    for _ in range(2000):
        pace.computed(1, 1.0)
    assert pace.length(8, MOST_DRAFTED) >= MOST_DRAFTED - 1


def test_costs_lie_between_what_was_measured() -> None:
    costs = Costs()
    for _ in range(2):
        costs.note(1, 1.0)
    assert costs.of(1) == 1 < costs.of(4) < 4
    for size, seconds in product((1, 4, 8), (9.0, 1.0, 1.0)):
        costs.note(size, seconds * size**0.5)
    assert (costs.of(1), costs.of(4)) == (1.0, 2.0)
    assert 2 < costs.of(6) < costs.of(8) < costs.of(12)
    # A batch that took less than one of its tokens is an error of measurement, and no slope.
    cheap = Costs()
    for size, seconds in ((1, 1.0), (1, 1.0), (2, 0.5), (2, 0.5)):
        cheap.note(size, seconds)
    assert [cheap.of(size) for size in (2, 3, 4)] == [1.0, 1.0, 1.0]


def test_acceptance_is_kept_apart_by_agreement() -> None:
    acceptance = Acceptance()
    before = acceptance.of(3)
    for _ in range(50):
        acceptance.note(3, 4, 0)
        acceptance.note(20, 4, 4)
    assert acceptance.of(3) < 0.1 < before < 0.95 < acceptance.of(20)
