"""Drawing from a handful of tokens gives what drawing from all of them gives."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.likely import Likely, view
from qwen3cli.engines.llama.sampler import Sampler

SIZE = 5_000
Logits = NDArray[np.float32]


class Known:
    """Logits that are known, in the place of a context."""

    pointer, output = 1, -1

    def __init__(self, logits: Logits) -> None:
        self.logits = logits


class All(Likely):
    """Tells nothing."""

    def __init__(self) -> None:
        super().__init__(1, 0)

    def ids(self, logits: Logits) -> None:
        return None


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    def logits(_sampler: Sampler, context: Context) -> Logits:
        return cast(Any, context).logits

    monkeypatch.setattr(Sampler, "_logits", logits)


def drawn(sampling: Sampling, rows: list[Logits], *, all_of_them: bool) -> list[int]:
    sampler = Sampler(sampling, SIZE, 256)
    if all_of_them:
        cast(Any, sampler)._likely = All()
    tokens = [sampler.draw(cast(Any, Known(row))) for row in rows]
    sampler.free()
    return tokens


def rows_of(kind: str) -> list[Logits]:
    random = np.random.default_rng(7)
    rows = [random.standard_normal(SIZE, np.float32) * np.float32(width) for width in (0.01, 1, 4, 40) * 30]
    if kind == "peaked":
        for row in rows:
            # A few tokens come again and again, where a penalty counts.
            row[:30] += 20 * random.random(30, np.float32)
    elif kind == "tied":
        rows = [np.round(row) for row in rows]
    elif kind == "flat":
        rows = [row * 0 + 3 for row in rows]
    elif kind == "forbidden":
        for row in rows:
            row[random.permutation(SIZE)[: SIZE - 10]] = -np.inf
    return rows


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("kind", ["wide", "peaked", "tied", "flat", "forbidden"])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.6, 0.95, 20, 0, 1.5, seed=1),
        Sampling(1.5, 1.0, 40, 0.02, 2.0, seed=2),
        Sampling(0.7, 0.8, 20, 0, 0, seed=3),
        Sampling(0, 1, 0, 0, 1.5),
        Sampling(0, 1, 0, 0, 0),
    ],
)
def test_the_same_tokens_are_drawn(sampling: Sampling, kind: str) -> None:
    rows = rows_of(kind)
    if kind == "flat" or (kind in ("tied", "forbidden") and sampling.temperature):
        # Which of equal ones is taken is chance; what can be taken is not.
        for row in rows:
            ids = Likely(20, sampling.presence_penalty).ids(row)
            lowest = np.sort(row)[-20]
            assert ids is None or set(np.flatnonzero(row >= max(lowest, -1e30))) <= set(ids.tolist())
        return
    assert drawn(sampling, rows, all_of_them=False) == drawn(sampling, rows, all_of_them=True)


def test_what_a_penalty_may_bring_up_is_in() -> None:
    logits = np.zeros(SIZE, np.float32)
    logits[:25] = np.linspace(10, 9, 25)
    logits[25:60] = np.linspace(1.99, 0.1, 35)
    chosen = Likely(20, 2.0).ids(logits)
    # Nine of those above may fall by 2; then what is above 7 is still among the likeliest.
    assert chosen is not None and set(range(25)) <= set(chosen.tolist())
    # With 20 candidates that all may fall below others, the others are in.
    logits[20:60] = np.linspace(8.5, 7.6, 40)
    likely = Likely(20, 2.0)
    cast(Any, likely)._margin = 1.2
    chosen = likely.ids(logits)
    assert chosen is not None and set(range(60)) <= set(chosen.tolist())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_looked_at_whole(value: float) -> None:
    logits = np.zeros(SIZE, np.float32)
    logits[3] = value
    assert Likely(20, 0).ids(logits) is None


def test_the_margin_follows_the_model() -> None:
    random = np.random.default_rng(1)
    likely = Likely(20, 1.5)
    sizes = [
        len(cast(Any, likely.ids(random.standard_normal(150_000, np.float32) * np.float32(2))))
        for _ in range(40)
    ]
    assert 20 <= sizes[-1] < 2_500 < sizes[0]


def test_logits_are_seen_where_they_lie() -> None:
    data = (ctypes.c_float * 4)(1, 2, 3, 4)
    seen = view(ctypes.cast(data, ctypes.POINTER(ctypes.c_float)), 4)
    data[2] = 9
    assert seen.tolist() == [1, 2, 9, 4]
