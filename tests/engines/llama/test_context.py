"""The context keeps its mirror true, also when an evaluation is aborted in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.engines.llama.context import Cancelled, Context
from qwen3cli.engines.llama.halt import Halt
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.machine import MICRO_BATCH, Placement
from tests.engines.models import write_scripted


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A context on a scripted model."""
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    placement = Placement(4096, 1)
    weights = Weights(path, placement, lambda _fraction: None, threading.Event())
    context = Context(weights, placement)
    yield context
    context.free()
    weights.free()


def positions(context: Context) -> int:
    """How many positions llama.cpp's cache really holds."""
    return C.llama_memory_seq_pos_max(cast(Any, context)._memory, 0) + 1


def test_evaluating_and_keeping_a_prefix(context: Context):
    tokens = [n % 200 for n in range(2 * MICRO_BATCH + 100)]
    assert [*context.evaluate(tokens)] == [MICRO_BATCH, 2 * MICRO_BATCH, len(tokens)]
    context.append(7)
    assert context.tokens == [*tokens, 7]
    assert positions(context) == len(tokens) + 1
    assert context.keep_prefix([*tokens[:600], 201, 202]) == 600
    assert positions(context) == len(context.tokens) == 600
    assert context.keep_prefix(tokens[:600]) == 599, "one token is evaluated anew, for its logits"
    assert positions(context) == 599
    assert context.room == 4096 - 599


def test_an_abort_within_a_micro_batch_leaves_what_was_there(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    before = [*range(100)]
    for _ in context.evaluate(before):
        pass
    context.halt.cancel()
    with monkeypatch.context() as patch:
        # Only llama.cpp itself looks at the flag now, through the abort callback, when it has begun.
        patch.setattr(Halt, "raised", False)
        with pytest.raises(Cancelled):
            context.append(5)
        with pytest.raises(Cancelled):
            next(context.evaluate([*range(50)]))
    assert context.tokens == before
    assert positions(context) == len(before)
    context.halt.allow()
    context.append(5)
    assert positions(context) == len(before) + 1
