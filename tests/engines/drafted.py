"""Engines with a small model beside a large one, for tests of its drafts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.chat.ports import Engine
from qwen3cli.engines.llama import drafting, scout
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.drafting import Drafter, Scouting
from qwen3cli.engines.llama.lookup import NOTHING, Draft, Lookup
from qwen3cli.engines.llama.scout import Scout
from qwen3cli.engines.llama.stakes import Stakes

Converted = Callable[[str], Path]
Open = Callable[..., Engine]


class Eager(Stakes):
    """Drafts whatever comes to mind, and as much as may be."""

    def _judge(self) -> None:
        self.gain = 1e9

    def asks(self, lag: int, price: float) -> bool:
        return self._large.seconds(1) > 0

    def worth(self, time: float) -> float:
        return 0.0


class Silent(Lookup):
    """Finds nothing."""

    def propose(self, most: int) -> Draft:
        return NOTHING


def drafter_of(engine: Engine) -> Drafter:
    return cast(Any, engine)._drafter


def scouting_of(engine: Engine) -> Scouting:
    scouting = cast(Any, drafter_of(engine))._scouting
    assert isinstance(scouting, Scouting)
    return scouting


def scout_of(engine: Engine) -> Scout:
    return cast(Any, scouting_of(engine))._scout


def make_eager(engine: Engine) -> None:
    drafter = cast(Any, drafter_of(engine))
    eager = Eager(drafter._pace.costs, scout_of(engine).costs, 1.0)
    eager.gain = 1e9
    drafter._lookup = Silent()
    cast(Any, scouting_of(engine))._stakes = eager


def contexts_of(engine: Engine) -> tuple[Context, Context]:
    return cast(Any, engine)._context, cast(Any, scout_of(engine))._context


class Clock:
    """Time that passes only when something is computed: a second for a token of the large model, and less for more."""

    def __init__(self, engine: Engine, small: float) -> None:
        self.now = 0.0
        self.evaluated = 0
        self._small = contexts_of(engine)[1]
        self.price = small

    def perf_counter(self) -> float:
        return self.now

    def pass_by(self, context: Context, count: int) -> None:
        cost = 1 + 0.05 * (count - 1)
        self.now += cost * (self.price if context is self._small else 1)
        self.evaluated += count if context is self._small else 0


def clocked(engine: Engine, small: float, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the engine goes by from now on; a token of the small model takes `small` seconds."""
    clock, really = Clock(engine, small), cast(Any, Context)._decode

    def decode(context: Context, batch: C.llama_batch) -> None:
        clock.pass_by(context, batch.n_tokens)
        really(context, batch)

    monkeypatch.setattr(Context, "_decode", decode)
    for module in (drafting, scout):
        monkeypatch.setattr(module, "time", clock)
    return clock
