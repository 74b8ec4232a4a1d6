"""One question to a new process: `qwen3 chat MODEL PROMPT` beside llama-cli, from start to end; and `qwen3 --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import roads
from benchmarks.measure import Run
from benchmarks.measure import measure as run_process
from benchmarks.part import Section, Setting, say
from benchmarks.report import Aim, table
from tests.oracle.build import tool

TOKENS: Final = 16
BEHIND_AIM: Final = 0.2
"""Seconds that ours may take longer."""
HELP_AIM: Final = 0.15
_CONTEXT: Final = 4096
_PROMPT: Final = "Write a long story about a ship."
_PROGRAM: Final = (sys.executable, "-m", "qwen3cli")


def measure(setting: Setting) -> Section:
    """All models, and the help."""
    rows: list[list[str]] = []
    aims: list[Aim] = []
    for model in setting.models:
        pairs = _in_turn(setting, _ours(model, setting.threads), _theirs(model, setting.threads), model.stem)
        rows.append(_row(model.stem, pairs))
        aims.append(behind_aim(model.stem, pairs))
    helps = [_run(setting, [*_PROGRAM, "--help"]).seconds for _ in range(setting.rounds + 1)][1:]
    aims.append(Aim("seconds of `qwen3 --help`", median(helps), HELP_AIM, tuple(helps)))
    head = ["", "seconds more than llama-cli", "llama-cli", "ours", "CPU seconds: llama-cli", "ours"]
    text = (
        f"Whole processes, {TOKENS} tokens, greedy, a context of {_CONTEXT:,}, {setting.threads} threads; medians of"
        f" {setting.rounds} rounds after one that does not count. `qwen3 --help` takes {median(helps):.3f} s.\n"
    )
    return Section("One question", f"{text}\n{table(head, rows)}", tuple(aims))


def _ours(model: Path, threads: int) -> list[str]:
    options = ["--max-tokens", str(TOKENS), "--temperature", "0", "--presence-penalty", "0"]
    options += ["--ctx", str(_CONTEXT), "--threads", str(threads), "--show-thinking"]
    return [*_PROGRAM, "chat", str(model), *options, "--", _PROMPT]


def _theirs(model: Path, threads: int) -> list[str]:
    options = ["-n", str(TOKENS), "--temp", "0", "-c", str(_CONTEXT), "-t", str(threads), "--single-turn"]
    return [str(tool("llama-cli")), "-m", str(model), *options, "--simple-io", "-p", _PROMPT]


def _in_turn(setting: Setting, ours: list[str], theirs: list[str], name: str) -> list[tuple[Run, Run]]:
    pairs: list[tuple[Run, Run]] = []
    for number in range(setting.rounds + 1):
        pair = _run(setting, ours), _run(setting, theirs)
        # The first round brings programs and model into memory, and ours tries out an unknown file once.
        pairs += [pair] if number else []
        say(
            f"{name}, one question, {number} of {setting.rounds}: {pair[0].seconds:.2f} and {pair[1].seconds:.2f} s"
        )
    return pairs


def _run(setting: Setting, command: list[str]) -> Run:
    environ = roads.environment(setting.folder / "home")
    return run_process(command, setting.folder / "log", environ)


def behind_aim(name: str, pairs: list[tuple[Run, Run]]) -> Aim:
    """How much longer ours takes, within each round."""
    behind = tuple(ours.seconds - theirs.seconds for ours, theirs in pairs)
    return Aim(f"one question, seconds more than llama-cli: {name}", median(behind), BEHIND_AIM, behind)


def _row(name: str, pairs: list[tuple[Run, Run]]) -> list[str]:
    figures = [
        median(ours.seconds - theirs.seconds for ours, theirs in pairs),
        *(median(pair[side].seconds for pair in pairs) for side in (1, 0)),
        *(median(pair[side].work for pair in pairs) for side in (1, 0)),
    ]
    return [name, *(f"{figure:.2f}" for figure in figures)]
