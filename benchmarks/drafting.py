"""What drafts gain, on work that is mostly copied and on plain chat: the same engine with drafts and without.

Both are greedy and take turns; where their texts part, batches of different sizes have decided a near tie. The model
is a small one that chats, and copies passably. Nothing is forced.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.models import quantized, smollm2
from benchmarks.part import Section, Setting, say
from benchmarks.report import Aim, table
from qwen3cli.chat.events import Text, TurnEnded
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.engines import open_engine
from qwen3cli.machine import Drafts, Placement
from qwen3cli.models.facts import read_facts

COPY_AIM: Final = 1.5
PLAIN_AIM: Final = 0.97
_TYPES: Final = ("Q4_0", "Q8_0")
_CONTEXT: Final = 4096
_LONGEST: Final = 400
_LETTER: Final = (
    "Dear Miriam, thank you for the parcel that came on Thursday. The blue cups arrived whole, all twelve of them, and"
    " the teapot too, although its lid had slipped out of the paper and lay under the straw. We have put them on the"
    " shelf by the kitchen window, where the morning light falls through the handles. Peter says that the glaze reminds"
    " him of the harbour at Lund, which he saw as a boy and has never forgotten. On Sunday we shall drink from them for"
    " the first time, with the neighbours and their two daughters. If the weather holds we shall sit in the garden."
)
_CODE: Final = '''def total(prices, discount=0.0, shipping=4.5):
    """Sum of the prices, less a discount, and what sending costs."""
    amount = 0.0
    for price in prices:
        if price < 0:
            raise ValueError("a price is negative")
        amount += price
    amount *= 1.0 - discount
    if amount < 50.0:
        amount += shipping
    return round(amount, 2)
'''
_JSON: Final = """[
  {"name": "teapot", "price": 24, "stock": 3, "tags": ["kitchen", "blue"]},
  {"name": "cup", "price": 6, "stock": 48, "tags": ["kitchen", "blue"]},
  {"name": "saucer", "price": 4, "stock": 51, "tags": ["kitchen", "white"]},
  {"name": "tray", "price": 18, "stock": 7, "tags": ["wood", "kitchen"]}
]"""
_COPIES: Final = {
    "quote a letter": f"Repeat this letter word for word, without anything else.\n\n{_LETTER}",
    "edit code": f"Rename the function `total` to `order_total`. Give the whole code again.\n\n```python\n{_CODE}```",
    "rewrite JSON": f"Write this JSON again, with `kitchen` replaced by `home`.\n\n```json\n{_JSON}\n```",
}
_CHATS: Final = {
    "a story": "Write a story about a ship that is lost in the fog.",
    "an explanation": "Explain to a child why leaves turn red in autumn.",
    "advice": "How should I prepare for a long walk in the mountains?",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One reply: its text, tokens a second after the first one, and what drafts there were."""

    text: str
    rate: float
    drafted: int
    accepted: int


def measure(setting: Setting) -> Section:
    """The small model that chats, in types whose batches llama.cpp computes faster than tokens one by one."""
    rows: list[list[str]] = []
    aims: list[Aim] = []
    for kind in _TYPES:
        model = quantized(smollm2(), kind)
        for tasks, name, aim in ((_COPIES, "copying", COPY_AIM), (_CHATS, "plain chat", PLAIN_AIM)):
            ratios = _task_rows(model, tasks, setting, rows)
            text = f"speed with drafts / without, {name}: {model.stem}"
            aims.append(Aim(text, median(ratios), aim, tuple(ratios), at_least=True))
    head = ["", "with drafts / without", "tokens/s: without", "with", "drafted", "accepted", "the same text"]
    text = (
        f"Medians of {setting.rounds} rounds, greedy, at most {_LONGEST} tokens, {setting.threads} threads.\n"
    )
    return Section("Drafts", f"{text}\n{table(head, rows)}", tuple(aims))


def _task_rows(model: Path, tasks: dict[str, str], setting: Setting, rows: list[list[str]]) -> list[float]:
    """A row for each task; gives the median ratio of each."""
    facts, placement = read_facts(model), Placement(_CONTEXT, setting.threads)
    ratios: list[float] = []
    with ExitStack() as opened:
        engines: list[Engine] = []
        for lookup in (False, True):
            engines.append(open_engine(facts, placement, drafts=Drafts(lookup)))
            opened.callback(engines[-1].close)
        for name, prompt in tasks.items():
            # The first round does not count.
            pairs = [[_reply(one, prompt) for one in engines] for _ in range(setting.rounds + 1)][1:]
            ratios.append(median(with_drafts.rate / without.rate for without, with_drafts in pairs))
            rows.append(_row(f"{model.stem}, {name}", pairs, ratios[-1]))
            say(f"{model.stem}, {name}: {ratios[-1]:.2f} times as fast with drafts")
    return ratios


def _reply(engine: Engine, prompt: str) -> Side:
    request = GenerateRequest(
        SamplingChoice(temperature=0, presence_penalty=0).resolve(thinking=False, quantized=True),
        (Message("user", prompt),),
        thinking=False,
        max_tokens=_LONGEST,
    )
    events = list(engine.generate(request))
    text = "".join(event.text for event in events if isinstance(event, Text))
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    stats = ended.stats
    rate = (stats.output_tokens - 1) / stats.output_s
    return Side(text, rate, stats.drafted_tokens, stats.accepted_tokens)


def _row(name: str, pairs: Sequence[Sequence[Side]], ratio: float) -> list[str]:
    without, with_drafts = (median(pair[side].rate for pair in pairs) for side in (0, 1))
    last = pairs[-1][1]
    same = "yes" if all(a.text == b.text for a, b in pairs) else "no"
    counts = (f"{last.drafted:,}", f"{last.accepted:,}")
    return [name, f"{ratio:.2f}", f"{without:.1f}", f"{with_drafts:.1f}", *counts, same]
