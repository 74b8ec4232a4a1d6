"""Loading a model on the thread that will own it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.engines.llama.worker import Emit, Worker
from qwen3cli.errors import Interrupted
from qwen3cli.machine import ModelFacts, Placement

_PATIENCE_S = 0.3
"""How long a stopped load is waited for: mapping a large file cannot be interrupted, only left alone."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory."""

    weights: Weights
    context: Context

    def free(self) -> None:
        """Give the memory back."""
        self.context.free()
        self.weights.free()


def load(
    worker: Worker,
    facts: ModelFacts,
    placement: Placement,
    progress: Callable[[float], None],
    stop: threading.Event,
) -> Loaded:
    """Load a model; `progress` gets 0 to 1, and a set `stop` ends it with `Interrupted`."""
    loaded: list[Loaded] = []

    def job(emit: Emit[float]) -> None:
        loaded.append(_loaded(facts, placement, emit, stop))

    for fraction in worker.stream(job, lambda waited: stop.is_set() and waited > _PATIENCE_S):
        progress(fraction)
    if not loaded:
        raise Interrupted("loading was interrupted")
    return loaded[0]


def _loaded(facts: ModelFacts, placement: Placement, emit: Emit[float], stop: threading.Event) -> Loaded:
    weights = Weights(facts.path, placement, emit, stop)
    try:
        if stop.is_set():
            raise Interrupted("loading was interrupted")
        # Reading the special tokens here, off the caller's thread, hides their 100 ms.
        _ = weights.vocabulary.markup
        return Loaded(weights, Context(weights, placement))
    except BaseException:
        weights.free()
        raise
