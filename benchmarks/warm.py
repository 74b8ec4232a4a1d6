"""The first token of a new process whose tools another one has read already, beside that other one.

Both are processes of their own; the cache of the first one's prompt lies on the disk when the second one starts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import roads
from benchmarks.part import Section, Setting, say
from benchmarks.report import Aim, table

RATIO_AIM: Final = 0.1
TOKENS: Final = 4000
"""About so many in the tool section."""


@dataclass(frozen=True, slots=True)
class First:
    """Seconds from the question to the first token, those of the whole process, and what was evaluated."""

    seconds: float
    process: float
    prompt: int
    evaluated: int


def measure(setting: Setting) -> Section:
    """All models whose template knows tools."""
    rows: list[list[str]] = []
    aims: list[Aim] = []
    for model in setting.models:
        pairs = _in_turn(model, setting)
        ratios = tuple(warm.seconds / cold.seconds for cold, warm in pairs)
        rows.append(_row(model.stem, pairs, ratios))
        aims.append(
            Aim(f"first token, second process / first: {model.stem}", median(ratios), RATIO_AIM, ratios)
        )
    head = [
        *("", "second / first", "tokens", "evaluated: first", "second"),
        *("seconds to the first token: first", "second", "whole process: first", "second"),
    ]
    text = f"Medians of {setting.rounds} rounds, {setting.threads} threads; the model is loaded before the question.\n"
    return Section("A new process with the same tools", f"{text}\n{table(head, rows)}", tuple(aims))


def _in_turn(model: Path, setting: Setting) -> list[tuple[First, First]]:
    pairs: list[tuple[First, First]] = []
    for number in range(1, setting.rounds + 1):
        kept = setting.folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        pair = _first(model, kept, setting), _first(model, kept, setting)
        pairs.append(pair)
        times = f"{pair[0].seconds:.2f} and {pair[1].seconds:.2f} s to the first token"
        say(f"{model.stem}, {number} of {setting.rounds}: {times}")
    return pairs


def _first(model: Path, kept: Path, setting: Setting) -> First:
    command = [
        sys.executable,
        "-m",
        "benchmarks.first",
        str(model),
        str(kept),
        str(setting.threads),
        str(TOKENS),
    ]
    environ = roads.environment(setting.folder / "home")
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environ, text=True)
    return First(**json.loads(done.stdout))


def _row(name: str, pairs: list[tuple[First, First]], ratios: tuple[float, ...]) -> list[str]:
    colds, warms = zip(*pairs, strict=True)
    counts = (colds[0].prompt, colds[0].evaluated, warms[0].evaluated)
    seconds = (
        median(getattr(one, kind) for one in side)
        for kind in ("seconds", "process")
        for side in (colds, warms)
    )
    return [name, f"{median(ratios):.3f}", *(f"{n:,}" for n in counts), *(f"{s:.2f}" for s in seconds)]
