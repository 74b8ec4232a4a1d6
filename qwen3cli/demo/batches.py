"""Examples as the training reads them: rendered, tokenized, and cut into batches of rows of similar length."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from qwen3cli.demo.skills.mix import Example, draw

TOKENS_PER_STEP: Final = 6144
# Batches that are cut from one sorted pool of examples, so that a batch has rows of one length.
POOL: Final = 12


def render_with(template: str) -> Callable[[Example], str]:
    """Return the function that renders an example's prompt with the chat TEMPLATE, as transformers does."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
    compiled = environment.from_string(template)

    def render(example: Example) -> str:
        return compiled.render(
            messages=example.messages,
            tools=example.tools or None,
            add_generation_prompt=True,
            enable_thinking=example.thinking,
        )

    return render


@dataclass(frozen=True)
class Row:
    """One example as token ids; the loss counts from PROMPT on."""

    ids: list[int]
    prompt: int


class Batches:
    """Endless batches of rows of similar length, at most TOKENS_PER_STEP tokens each with their padding."""

    def __init__(self, tokenizer: Tokenizer, render: Callable[[Example], str]) -> None:
        self.tokenizer = tokenizer
        self.render = render

    def _row(self, example: Example) -> Row:
        prompt = self.tokenizer.encode(self.render(example)).ids
        reply = self.tokenizer.encode(example.reply + "<|im_end|>").ids
        return Row(prompt + reply, len(prompt))

    def _pool(self, weights: dict[str, float], rng: Random) -> list[list[Row]]:
        rows, total = list[Row](), 0
        while total < POOL * TOKENS_PER_STEP:
            rows.append(self._row(draw(weights, rng)))
            total += len(rows[-1].ids)
        rows.sort(key=lambda row: len(row.ids))
        batches: list[list[Row]] = [[]]
        for row in rows:
            if len(row.ids) * (len(batches[-1]) + 1) > TOKENS_PER_STEP and batches[-1]:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        return batches

    def stream(self, weights: dict[str, float], seed: str) -> Iterator[list[Row]]:
        """Yield batches of examples drawn by WEIGHTS; SEED names the stream."""
        number = 0
        while True:
            yield from self._pool(weights, Random(f"{seed}/{number}"))
            number += 1
