"""Which examples are drawn how often: one builder for each kind, and their weights in each stage of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from qwen3cli.demo.skills import tools, wider, words
from qwen3cli.demo.skills.dialogue import (
    PLAIN_SKILLS,
    Example,
    Turn,
    called,
    calling,
    history,
    opening,
    plain,
    relaying,
    reply_text,
    with_switch,
)
from qwen3cli.demo.skills.known import Tool
from qwen3cli.demo.skills.wider import WIDER
from qwen3cli.demo.skills.wordings import EN, WORDINGS, ZH

Wordings = Mapping[str, Mapping[str, tuple[str, ...]]]
Pick = Callable[[Random], Tool]

SWITCHES = 0.25  # share of examples with soft switches


def single(skill: str, wordings: Wordings = WORDINGS) -> Callable[[Random], Example]:
    """Return the builder of one question of SKILL without tools."""

    def build(rng: Random) -> Example:
        chance = 1.0 if rng.random() < SWITCHES else 0.0
        thinking, turn = rng.random() < 0.55, plain(skill, rng, wordings=wordings)
        messages = opening(rng, chance / 2)
        messages.append({"role": "user", "content": with_switch(turn.question, rng, chance)})
        return Example(messages, reply_text(turn.thought, turn.answer, messages, thinking), thinking)

    return build


def turns(rng: Random, wordings: Wordings = WORDINGS) -> Example:
    """Return a dialogue of two or more plain turns."""
    chance = 0.4 if rng.random() < SWITCHES else 0.0
    thinking, turn = rng.random() < 0.55, plain(rng.choice(PLAIN_SKILLS), rng, wordings=wordings)
    messages = opening(rng, chance) + history(rng.choices((1, 2, 3, 5), (12, 4, 2, 1))[0], [], rng, chance)
    messages.append({"role": "user", "content": with_switch(turn.question, rng, chance)})
    return Example(messages, reply_text(turn.thought, turn.answer, messages, thinking), thinking)


def _offered(rng: Random, chosen: Tool, earlier: int, pick: Pick) -> tuple[Example, float, list[Tool]]:
    chance = 0.4 if rng.random() < SWITCHES else 0.0
    messages = opening(rng, chance / 2) + history(earlier, [chosen], rng, chance)
    offered = tools.offer(chosen, rng, pick)
    signatures = [tools.signature(tool, rng) for tool in offered]
    return Example(messages, "", rng.random() < 0.55, signatures), chance, offered


def _earlier(rng: Random) -> int:
    return rng.choices((0, 1, 2), (80, 16, 4))[0]


def call(rng: Random, pick: Pick = tools.pick) -> Example:
    """Return a question that one of the offered tools fits."""
    tool = pick(rng)
    example, chance, _ = _offered(rng, tool, _earlier(rng), pick)
    turn = calling(tool, rng)
    example.messages.append({"role": "user", "content": with_switch(turn.question, rng, chance)})
    example.reply = reply_text(turn.thought, turn.answer, example.messages, example.thinking)
    return example


def _result(rng: Random, chinese: bool) -> str:
    return wider.result(rng) if rng.random() < 0.5 else words.result(rng, chinese)


def relay(
    rng: Random, pick: Pick = tools.pick, returned: Callable[[Random, bool], str] = words.result
) -> Example:
    """Return a dialogue in which a tool has just returned its result."""
    tool = pick(rng)
    example, chance, _ = _offered(rng, tool, _earlier(rng), pick)
    turn = calling(tool, rng)
    result = returned(rng, turn.language == ZH)
    example.messages.append({"role": "user", "content": with_switch(turn.question, rng, chance)})
    example.messages += called(turn, rng, example.messages, example.thinking, result)
    example.reply = reply_text(*relaying(turn, result), example.messages, example.thinking)
    return example


def _unfit_question(rng: Random, offered: list[Tool]) -> tuple[str, Turn]:
    if rng.random() < 0.3:
        asked = calling(tools.missing(offered, rng), rng)
        return asked.question, plain("fallback", rng, asked.language)
    turn = plain(rng.choice(PLAIN_SKILLS), rng, offered=True)
    return turn.question, turn


def _wider_unfit_question(rng: Random, offered: list[Tool]) -> tuple[str, Turn]:
    roll = rng.random()
    if roll < 0.3:
        return wider.beyond(rng), plain("fallback", rng, EN)
    if roll < 0.45:
        asked = calling(tools.missing(offered, rng, wider.pick), rng)
        return asked.question, plain("fallback", rng, asked.language)
    turn = plain("fallback" if roll < 0.6 else rng.choice(PLAIN_SKILLS), rng, offered=True, wordings=WIDER)
    return turn.question, turn


def unfit(
    rng: Random,
    pick: Pick = tools.pick,
    ask: Callable[[Random, list[Tool]], tuple[str, Turn]] = _unfit_question,
) -> Example:
    """Return a question that none of the offered tools fits: a plain one, or one for a tool not offered."""
    example, chance, offered = _offered(rng, pick(rng), _earlier(rng), pick)
    question, turn = ask(rng, offered)
    example.messages.append({"role": "user", "content": with_switch(question, rng, chance)})
    example.reply = reply_text(turn.thought, turn.answer, example.messages, example.thinking)
    return example


def _beyond(rng: Random) -> Example:
    turn, thinking = plain("fallback", rng, EN), rng.random() < 0.55
    messages = [*opening(rng, 0.0), {"role": "user", "content": wider.beyond(rng)}]
    return Example(messages, reply_text(turn.thought, turn.answer, messages, thinking), thinking)


BUILDERS: dict[str, Callable[[Random], Example]] = {
    **{skill: single(skill) for skill in PLAIN_SKILLS},
    "turns": turns,
    "call": call,
    "relay": relay,
    "unfit": unfit,
    # The last stage's: more wordings, more tools.
    **{f"wider {skill}": single(skill, WIDER) for skill in ("echo", "sum", "howto")},
    "wider fallback": _beyond,
    "wider turns": partial(turns, wordings=WIDER),
    "wider call": partial(call, pick=wider.pick),
    "wider relay": partial(relay, pick=wider.pick, returned=_result),
    "wider unfit": partial(unfit, pick=wider.pick, ask=_wider_unfit_question),
}


def draw(weights: dict[str, float], rng: Random) -> Example:
    """Return one example of a kind drawn by WEIGHTS."""
    kind = rng.choices(list(weights), list(weights.values()))[0]
    return BUILDERS[kind](rng)
