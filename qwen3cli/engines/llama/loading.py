"""Loading a model, and one that drafts for it, on the thread that will own them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.halt import Halt
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.engines.llama.worker import Emit, Worker
from qwen3cli.errors import Interrupted, UsageError
from qwen3cli.machine import Drafts, ModelFacts, Placement

_PATIENCE_S = 0.3
"""How long a stopped load is waited for: mapping a large file cannot be interrupted, only left alone."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory, and the small one that drafts for it, if there is one."""

    weights: Weights
    context: Context
    small: Loaded | None = None

    def free(self) -> None:
        """Give the memory back."""
        if self.small is not None:
            self.small.free()
        self.context.free()
        self.weights.free()


def load(
    worker: Worker,
    facts: ModelFacts,
    placement: Placement,
    drafts: Drafts,
    progress: Callable[[float], None],
    stop: threading.Event,
) -> Loaded:
    """Load a model; `progress` gets 0 to 1, and a set `stop` ends it with `Interrupted`.

    Raises `UsageError` if the model of `drafts` cannot draft for it.
    """
    results: list[Loaded] = []

    def job(emit: Emit[float]) -> None:
        results.append(loaded(facts, placement, drafts, emit, stop))
        # Reading the special tokens here, off the caller's thread, hides their 100 ms.
        _ = results[0].weights.vocabulary.markup

    for fraction in worker.stream(job, lambda waited: stop.is_set() and waited > _PATIENCE_S):
        progress(fraction)
    if not results:
        raise Interrupted("loading was interrupted")
    return results[0]


def loaded(
    facts: ModelFacts, placement: Placement, drafts: Drafts, emit: Emit[float], stop: threading.Event
) -> Loaded:
    """The same on the thread that calls."""
    small, beside = drafts.model, drafts.placement
    if small is None or beside is None:
        return _one(facts, placement, emit, stop)
    share = facts.file_bytes / (facts.file_bytes + small.file_bytes)
    large = _one(facts, placement, lambda done: emit(done * share), stop)
    try:
        second = _one(small, beside, lambda done: emit(share + done * (1 - share)), stop, large.context.halt)
    except BaseException:
        large.free()
        raise
    both = replace(large, small=second)
    if reason := _unfit(large, second):
        both.free()
        raise UsageError(
            f"`{small.name}` cannot draft for `{facts.name}`: {reason}",
            "take a smaller model of the same family, or leave out `--draft`",
        )
    return both


def _one(
    facts: ModelFacts,
    placement: Placement,
    emit: Emit[float],
    stop: threading.Event,
    halt: Halt | None = None,
) -> Loaded:
    weights = Weights(facts.path, placement, emit, stop)
    try:
        if stop.is_set():
            raise Interrupted("loading was interrupted")
        return Loaded(weights, Context(weights, placement, halt))
    except BaseException:
        weights.free()
        raise


def _unfit(large: Loaded, small: Loaded) -> str | None:
    """Why one cannot draft for the other."""
    if not large.context.goes_back:
        return "that has a recurrent memory, which cannot take back what it has read on trust"
    if not small.context.goes_back:
        return "it has a recurrent memory, which cannot take back what did not come"
    difference = large.weights.vocabulary.difference(small.weights.vocabulary)
    return difference and f"their vocabularies differ, {difference}"
