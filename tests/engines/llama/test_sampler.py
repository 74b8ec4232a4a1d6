"""Drawing from a handful of tokens gives what drawing from all of them gives."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.likely import Said, likely, view
from qwen3cli.engines.llama.sampler import Sampler

SIZE = 5_000
Logits = NDArray[np.float32]


class Known:
    """Logits that are known, in the place of a context."""

    pointer, output = 1, -1

    def __init__(self, logits: Logits) -> None:
        self.logits = logits


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    def logits(_sampler: Sampler, context: Context) -> Logits:
        return cast(Any, context).logits

    monkeypatch.setattr(Sampler, "_logits", logits)


def drawn(sampling: Sampling, rows: list[Logits]) -> list[int]:
    sampler = Sampler(sampling, SIZE, 256)
    tokens = [sampler.draw(cast(Any, Known(row))) for row in rows]
    sampler.free()
    return tokens


def all_of_them(*_: object) -> None:
    return None


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
        Sampling(0.6, 0.95, 20, 0, -1.5, seed=4),
        Sampling(0, 1, 0, 0, 1.5),
        Sampling(0, 1, 0, 0, -1.5),
        Sampling(0, 1, 0, 0, 0),
    ],
)
def test_the_same_tokens_are_drawn(sampling: Sampling, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(kind)
    if kind == "flat" or (kind in ("tied", "forbidden") and sampling.temperature):
        # Which of equal ones is taken is chance; what can be taken is not.
        for row in rows:
            ids = likely(row, 20)
            lowest = max(np.sort(row)[-20], -1e30)
            assert ids is None or set(np.flatnonzero(row >= lowest)) <= set(ids.tolist())
        return
    few = drawn(sampling, rows)
    monkeypatch.setattr("qwen3cli.engines.llama.sampler.likely", all_of_them)
    assert few == drawn(sampling, rows)


def test_what_a_penalty_brings_up_is_in() -> None:
    logits = np.zeros(SIZE, np.float32)
    logits[:20] = np.linspace(10, 9, 20)
    logits[20:40] = np.linspace(8.5, 7.6, 20)
    before = np.array(logits)
    few = likely(logits, 20)
    assert few is not None and set(range(20)) <= set(few.tolist())
    # Ten of them fall by 2, below ten of the others.
    said = np.arange(0, 20, 2, dtype=np.int32)
    others = likely(logits, 20, said, 2.0)
    assert others is not None and {*range(1, 20, 2), *range(20, 30)} <= set(others.tolist())
    assert max(len(few), len(others)) < SIZE // 10
    assert (logits == before).all()


def test_what_was_said_is_known_once() -> None:
    said = Said(5)
    for token in (3, 1, 3, 4, 1):
        said.add(token)
    assert said.ids.tolist() == [3, 1, 4]


def test_of_a_large_vocabulary_few_are_left() -> None:
    logits = np.random.default_rng(1).standard_normal(151_936, np.float32)
    ids = likely(logits, 20)
    assert ids is not None and 20 <= len(ids) < 40
    assert set(np.argsort(logits)[-20:].tolist()) <= set(ids.tolist())


def test_where_all_may_be_wanted_all_are_looked_at() -> None:
    logits = np.zeros(SIZE, np.float32)
    assert likely(logits, SIZE // 64 + 1) is None
    logits[:] = -np.inf
    assert likely(logits, 20) is None


def test_logits_are_seen_where_they_lie() -> None:
    data = (ctypes.c_float * 4)(1, 2, 3, 4)
    seen = view(ctypes.cast(data, ctypes.POINTER(ctypes.c_float)), 4)
    data[2] = 9
    assert seen.tolist() == [1, 2, 9, 4]
