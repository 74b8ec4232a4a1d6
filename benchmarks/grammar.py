"""What holding replies to a grammar costs; `python -m benchmarks.grammar [MODEL.gguf…]`.

Options:
  --rounds N    how often each way is measured (5)
  --threads N   how many compute (2)

Measured are the demo model, which agrees with the grammar, random weights with Qwen3's whole vocabulary, whose
choices are refused wherever JSON leaves none, and each MODEL given: a demanded call and an answer in JSON that
are mostly text, and a form that is mostly punctuation. With and without the grammar take turns in one process; only
time after the first token counts. Where both wrote the same text, the model agrees with the grammar; there the
program exits with 1 if more than 5 % of the decode time is lost. The report is Markdown on stdout.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.machine import machine
from benchmarks.replay import replaced
from qwen3cli.chat.events import Event, Text, ToolCalled, TurnEnded
from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.gate import Gate
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.machine import Drafts, Placement
from qwen3cli.models.conversion import demo_facts
from qwen3cli.models.facts import read_facts

AIM: Final = 1.05
"""Decode time with the grammar, as a multiple of the time without."""
_GREEDY: Final = Sampling(0, 1, 0, 0, 0)
_SAMPLED: Final = Sampling(0.7, 0.8, 20, 0, 0, seed=1)
_CONTEXT: Final = 2048
_LONGEST: Final = 200

_CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER: Final = ToolSpec("get_weather", "Get the current weather of a city.", _CITY)
_NOTE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 80},
        "body": {"type": "string", "minLength": 400},
        "tags": {"type": "array", "items": {"enum": ["work", "home", "urgent"]}, "maxItems": 3},
        "due": {"type": "string", "format": "date"},
        "priority": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["title", "body", "due", "priority"],
}
_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {f"question {n}": {"enum": ["yes", "no", "perhaps", n]} for n in range(20)},
    "required": [f"question {n}" for n in range(20)],
}
_SAVE: Final = ToolSpec("save_note", "Save a note.", _NOTE)
_QUESTION: Final = (Message("user", "Write a note about the history of tea, in several sentences."),)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and what it is asked."""

    name: str
    path: Path
    request: GenerateRequest


@dataclass(frozen=True, slots=True)
class Side:
    """One generation: its text and calls, milliseconds for a token, tokens drawn within the grammar and refused."""

    said: str
    each: float
    drawn: int
    refused: int


def main() -> None:
    """Measures, reports, and exits with 1 if the aim was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grammar")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    _write("| asked of | held tokens | refused | ms a token, free | ms a token, held | ratio | same text |")
    _write("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        met = [
            _report(subject, options.rounds, options.threads)
            for subject in _subjects(Path(folder), options.models)
        ]
    _write(
        f"\n{machine()}, {options.threads} threads; median of {options.rounds} rounds, free and held in turn."
    )
    sys.exit(0 if all(met) else 1)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _subjects(folder: Path, models: list[Path]) -> Iterator[Subject]:
    call = GenerateRequest(
        _GREEDY,
        (Message("user", "What will the weather be in Baf?"),),
        tools=(_WEATHER,),
        max_tokens=_LONGEST,
    )
    yield Subject("the demo: a call", demo_facts(folder).path, call)
    demanded = replace(
        call, sampling=_SAMPLED, messages=_QUESTION, tools=(_SAVE,), tool_choice="required", thinking=False
    )
    written = replace(demanded, tools=(), tool_choice="auto", format=_NOTE)
    filled = replace(written, format=_FORM)
    for path in (_random(folder), *models):
        yield Subject(f"{path.stem}: a call, demanded", path, demanded)
        yield Subject(f"{path.stem}: an answer in JSON", path, written)
        yield Subject(f"{path.stem}: a form to fill in", path, filled)


def _random(folder: Path) -> Path:
    from tests.engines.full_vocabulary import base_tokens, merges
    from tests.engines.models import SPECIALS, as_token
    from tests.engines.random_model import write_random

    vocabulary = [*map(as_token, base_tokens()), *SPECIALS]
    pairs = [f"{as_token(a)} {as_token(b)}" for a, b in merges()]
    return write_random(folder / "random weights.gguf", vocabulary=vocabulary, merges=pairs)


def _report(subject: Subject, rounds: int, threads: int) -> bool:
    """Measures one subject and writes its row; whether it meets the aim, or the aim is not meant for it."""
    # Drafts would help one side more than the other.
    placement = Placement(_CONTEXT, threads)
    engine = open_engine(read_facts(subject.path), placement, drafts=Drafts(lookup=False))
    pairs: list[tuple[Side, Side]] = []
    try:
        # The first round warms up.
        for number in range(rounds + 1):
            pair = (_free(engine, subject.request), _held(engine, subject.request))
            pairs += [pair] if number else []
    finally:
        engine.close()
    free, held = median(a.each for a, _ in pairs), median(b.each for _, b in pairs)
    ratio = median(b.each / a.each for a, b in pairs)
    drawn, refused = sum(b.drawn for _, b in pairs), sum(b.refused for _, b in pairs)
    same = sum(a.said == b.said for a, b in pairs)
    row = [subject.name, f"{drawn / rounds:.0f}", f"{refused / drawn:.1%}", f"{free:.3f}", f"{held:.3f}"]
    _write("| " + " | ".join([*row, f"{ratio:.3f}", f"{same} of {rounds}"]) + " |")
    return same < rounds or ratio <= AIM


def _free(engine: Engine, request: GenerateRequest) -> Side:
    """The same request, with the grammar kept away."""
    with replaced(Gate, "look", _nothing), replaced(Gate, "demands", False):
        return _side(list(engine.generate(request)), 0, 0)


def _nothing(_gate: Gate) -> None:
    """What a gate does that nothing passes through."""


def _held(engine: Engine, request: GenerateRequest) -> Side:
    drawn = refused = 0
    draw = Sampler.draw_within

    def counting(self: Sampler, *arguments: Any) -> int | None:
        nonlocal drawn, refused
        before = self.refused
        token = draw(self, *arguments)
        drawn, refused = drawn + 1, refused + self.refused - before
        return token

    with replaced(Sampler, "draw_within", counting):
        events = list(engine.generate(request))
    return _side(events, drawn, refused)


def _side(events: list[Event], drawn: int, refused: int) -> Side:
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    said = "".join(event.text if isinstance(event, Text) else "" for event in events)
    said += "".join(str(event.call) for event in events if isinstance(event, ToolCalled))
    each = 1000 * ended.stats.output_s / max(ended.stats.output_tokens - 1, 1)
    return Side(said, each, drawn, refused)


if __name__ == "__main__":
    main()
