"""Decoding: the engine as a person meets it, beside llama-bench at the same depth of the same file.

Ours is the time between the first token and the last one of a whole reply: drawn with the sampling of a chat,
parsed, and handed from thread to thread, without drafts. llama-bench evaluates random tokens and draws none.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import llama_cpp.llama_cpp as C

from benchmarks.part import Section, Setting, say
from benchmarks.replay import replaced
from benchmarks.report import Aim, table
from qwen3cli.chat.events import TurnEnded
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.machine import Drafts, Placement
from qwen3cli.models.facts import read_facts
from tests.oracle.build import tool

DEPTHS: Final = (0, 1000, 4000)
TOKENS: Final = 96
RATIO_AIM: Final = 0.97
SHARE_AIM: Final = 0.03
_SEED: Final = 1
_CELLS: Final = 256
"""llama.cpp rounds the context up to a multiple of this."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds for a token: all of it, in `llama_decode`, and for drawing."""

    whole: float
    decoding: float
    drawing: float

    @property
    def share(self) -> float:
        """What is not decoding."""
        return 1 - self.decoding / self.whole


@dataclass(frozen=True, slots=True)
class Depth:
    """Both sides, round by round, behind a prompt of so many tokens; theirs in milliseconds for a token."""

    tokens: int
    ours: tuple[Pace, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Their time as a share of ours, within each round."""
        return tuple(b / a.whole for a, b in zip(self.ours, self.theirs, strict=True))


def measure(setting: Setting) -> Section:
    """All models at all depths."""
    rows: list[list[str]] = []
    aims: list[Aim] = []
    for model in setting.models:
        for depth in compare(model, setting):
            name = f"{model.stem}, {depth.tokens:,}"
            rows.append(_row(name, depth))
            aims += depth_aims(name, depth)
    head = ["", "ours / llama-bench", "ms a token: llama-bench", "ours", "decoding", "drawing", "the rest"]
    text = (
        f"Medians of {setting.rounds} rounds, {TOKENS} tokens each, {setting.threads} threads; ours with what a chat"
        " does around the evaluation. Behind each name is how many tokens were evaluated before.\n"
    )
    return Section("Decoding", f"{text}\n{table(head, rows)}", tuple(aims))


def compare(model: Path, setting: Setting) -> list[Depth]:
    """Both sides in turn at all depths."""
    facts = read_facts(model)
    context = (DEPTHS[-1] + TOKENS) // _CELLS * _CELLS + 2 * _CELLS
    engine = open_engine(facts, Placement(context, setting.threads), drafts=Drafts(lookup=False))
    try:
        return [_depth(engine, model, words, setting, quantized=facts.quantized) for words in DEPTHS]
    finally:
        engine.close()


def _depth(engine: Engine, model: Path, words: int, setting: Setting, *, quantized: bool) -> Depth:
    request = _request(engine, words, quantized=quantized)
    # This round does not count: it evaluates the prompt, which the others find evaluated.
    _, depth = pace(engine, request)
    ours: list[Pace] = []
    theirs: list[float] = []
    for number in range(1, setting.rounds + 1):
        ours.append(pace(engine, request)[0])
        theirs.append(_bench(model, depth, setting.threads))
        say(
            f"{model.stem} after {depth:,} tokens, {number} of {setting.rounds}:"
            f" {ours[-1].whole:.2f} and {theirs[-1]:.2f} ms a token"
        )
    return Depth(depth, tuple(ours), tuple(theirs))


def _request(engine: Engine, words: int, *, quantized: bool) -> GenerateRequest:
    """A question of about so many tokens, with the sampling of a chat."""
    thinking = engine.thinking_mode is not ThinkingMode.NEVER
    sampling = SamplingChoice(seed=_SEED).resolve(thinking=thinking, quantized=quantized)
    text = "Write a long story about a ship." + " tea" * max(0, words - 30)
    return GenerateRequest(sampling, (Message("user", text),), thinking=thinking, max_tokens=TOKENS)


def pace(engine: Engine, request: GenerateRequest) -> tuple[Pace, int]:
    """How a reply came, and how many tokens the prompt had; the reply is as long as it may be."""
    with (
        _timed(C, "llama_decode", C.llama_synchronize) as decoding,
        _timed(Sampler, "draw") as drawing,
        _endless(),
    ):
        ended = list(engine.generate(request))[-1]
    assert isinstance(ended, TurnEnded)
    stats = ended.stats
    # The clock of a reply starts with its first token: what came before is the prompt's.
    between = stats.output_tokens - 1
    parts = (1000 * sum(seconds[-between:]) / between for seconds in (decoding, drawing))
    return Pace(1000 * stats.output_s / between, *parts), stats.prompt_tokens


def _bench(model: Path, depth: int, threads: int) -> float:
    """llama-bench's milliseconds for a token behind so many others."""
    command = [str(tool("llama-bench")), "-m", str(model), "-t", str(threads), "-p", "0", "-n", str(TOKENS)]
    command += ["-d", str(depth), "-r", "1", "-ctk", "f16", "-ctv", "f16", "-fa", "auto", "-o", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (result,) = json.loads(done.stdout)
    return result["avg_ns"] / 1e6 / TOKENS


@contextmanager
def _timed(
    owner: Any, name: str, wait: Callable[[Any], Any] | None = None
) -> Generator[list[float], None, None]:
    """Seconds of each call of a function; `wait` waits for what a context was set to do."""
    seconds: list[float] = []
    call: Callable[..., Any] = getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = call(*arguments)
        if wait is not None:
            wait(arguments[0])
        seconds.append(time.perf_counter() - started)
        return result

    with replaced(owner, name, timed):
        yield seconds


@contextmanager
def _endless() -> Generator[None, None, None]:
    """No token ends a reply; it is looked at all the same."""
    is_end: Callable[..., bool] = C.llama_vocab_is_eog
    with replaced(C, "llama_vocab_is_eog", partial(_no, is_end)):
        yield


def _no(asked: Callable[..., bool], *arguments: Any) -> bool:
    asked(*arguments)
    return False


def depth_aims(name: str, depth: Depth) -> list[Aim]:
    """Pace and share of the time at one depth."""
    shares = tuple(one.share for one in depth.ours)
    return [
        Aim(
            f"speed, ours / llama-bench: {name}", median(depth.ratios), RATIO_AIM, depth.ratios, at_least=True
        ),
        Aim(f"share of sampling and text: {name}", median(shares), SHARE_AIM, shares),
    ]


def _row(name: str, depth: Depth) -> list[str]:
    whole, decoding, drawing = (
        median(getattr(one, kind) for one in depth.ours) for kind in ("whole", "decoding", "drawing")
    )
    figures = (median(depth.theirs), whole, decoding, drawing, whole - decoding - drawing)
    return [name, f"{median(depth.ratios):.3f}", *(f"{figure:.2f}" for figure in figures)]
