"""What each turn of a conversation evaluates: a thinking model with tools on offer, ours beside llama-server.

Ours holds the conversation: one engine, `run_turn`, and between two turns the time in which a person reads, in which it
evaluates ahead. llama-server, which has no such time, is asked the same questions with the same history. Its own
replies would be others, so each is replaced by ours: the prompt that it has just evaluated is given again with our
reply behind it, nothing to be generated, which leaves its cache as if it had said that itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import llama_cpp.llama_cpp as C

from benchmarks.dialogue import Dialogue, Toolbox, as_json, as_written, tool_as_json
from benchmarks.models import random_qwen3
from benchmarks.part import Section, Setting, say
from benchmarks.replay import replaced, saying
from benchmarks.report import Aim, table
from benchmarks.server import Server, serving
from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import TurnEnded
from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import ChatSettings, Engine, ToolHost
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.turn import run_turn
from qwen3cli.engines import open_engine
from qwen3cli.machine import Placement
from qwen3cli.models.conversion import demo_facts
from qwen3cli.models.facts import read_facts

EVALUATED_AIM: Final = 1.0
"""Tokens that all turns evaluate, as a multiple of llama-server's."""
_WEATHER: Final = ToolSpec(
    "get_weather",
    "Get the current weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_DEMO_QUESTIONS: Final = (
    *("Hello!", "What is 12 + 7?", "What will the weather be in Paris?", "Who are you?", "What is 3 + 5?"),
    *("How do I get a real model?", "What is the weather in Oslo?", "Thanks!", "你好", "What is 9 + 8?"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn's prompts, all requests of it together: tokens, how many had to be evaluated, and how long that took.

    `ahead` is how many were evaluated while nobody waited, after the turn.
    """

    prompt: int
    evaluated: int
    seconds: float
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation to hold: with a model that can speak for itself, or with replies that are given to it."""

    name: str
    model: Path
    context: int
    tools: ToolHost
    questions: Sequence[str]
    replies: Sequence[str] | None = None


def measure(setting: Setting) -> Section:
    """The demo model's own conversation, and one of real size."""
    parts: list[str] = []
    aims: list[Aim] = []
    for talk in _talks(setting.folder):
        messages, ours = hold(talk, setting.threads)
        with serving(talk.model, talk.context, setting.threads, setting.folder / "log") as server:
            theirs = retell(server, messages, talk.tools.tools())
        parts.append(turns_table(talk.name, ours, theirs))
        aims.append(evaluated_aim(talk.name, ours, theirs))
        say(f"{talk.name}: {_total(ours):,} and {_total(theirs):,} tokens evaluated")
    return Section("Turns of a conversation", "\n".join(parts), tuple(aims))


def _talks(folder: Path) -> list[Talk]:
    dialogue = Dialogue()
    demo = Talk(
        "the demo model, its own replies",
        demo_facts(folder).path,
        4096,
        Toolbox([_WEATHER], "12 degrees, rain"),
        _DEMO_QUESTIONS,
    )
    large = Talk(
        "Qwen3-0.6B's shape, vocabulary and template, given replies",
        random_qwen3(),
        16384,
        Toolbox(dialogue.tools, dialogue.result),
        dialogue.questions,
        [as_written(reply) for reply in dialogue.replies],
    )
    return [demo, large]


def hold(talk: Talk, threads: int) -> tuple[tuple[Message, ...], list[Turn]]:
    """Our side: what was said in the end, and what each turn took."""
    engine = open_engine(read_facts(talk.model), Placement(talk.context, threads))
    conversation = Conversation()
    try:
        with nullcontext() if talk.replies is None else saying(talk.replies):
            turns = [_turn(engine, conversation, question, talk.tools) for question in talk.questions]
    finally:
        engine.close()
    said = [as_written(one) for one in conversation.messages if one.role == "assistant"]
    if talk.replies is not None and said != list(talk.replies):
        raise RuntimeError("the engine did not say what it was given to say")
    return conversation.messages, turns


def _turn(engine: Engine, conversation: Conversation, question: str, tools: ToolHost) -> Turn:
    settings = ChatSettings(sampling=SamplingChoice(temperature=0))
    *_, ended = run_turn(engine, conversation, question, settings, quantized=False, tools=tools)
    assert isinstance(ended, TurnEnded)
    with _counted() as ahead:
        engine.expect(conversation.messages, tools.tools(), thinking=True)
        # Whoever reads an answer takes longer than this.
        cast(Any, engine)._worker.run(lambda: None)
    return Turn(ended.stats.prompt_tokens, ended.stats.evaluated_tokens, ended.stats.prompt_s, sum(ahead))


@contextmanager
def _counted() -> Generator[list[int], None, None]:
    """How many tokens each evaluation had."""
    sizes: list[int] = []
    decode: Callable[..., int] = C.llama_decode

    def counted(context: Any, batch: Any) -> int:
        sizes.append(batch.n_tokens)
        return decode(context, batch)

    with replaced(C, "llama_decode", counted):
        yield sizes


def retell(server: Server, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Turn]:
    """Their side: the same conversation, request by request."""
    turns: list[Turn] = []
    offered = [tool_as_json(tool) for tool in tools]
    for number, message in enumerate(messages):
        if message.role == "user":
            turns.append(Turn(0, 0, 0.0))
        elif message.role == "assistant":
            question = {"messages": [as_json(one) for one in messages[:number]], "tools": offered}
            timings = server.ask("/v1/chat/completions", {**question, "max_tokens": 1})["timings"]
            turns[-1] = _plus(turns[-1], timings)
            prompt = server.ask("/apply-template", question)["prompt"] + as_written(message)
            server.ask("/completion", {"prompt": prompt, "n_predict": 0})
    return turns


def _plus(turn: Turn, timings: dict[str, Any]) -> Turn:
    evaluated, cached = timings["prompt_n"], timings["cache_n"]
    seconds = turn.seconds + timings["prompt_ms"] / 1000
    return Turn(turn.prompt + evaluated + cached, turn.evaluated + evaluated, seconds)


def _total(turns: Sequence[Turn]) -> int:
    return sum(turn.evaluated for turn in turns)


def evaluated_aim(name: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> Aim:
    """All turns but the first, which begins with nothing."""
    ratio = _total(ours[1:]) / _total(theirs[1:])
    return Aim(f"tokens evaluated after the first turn, ours / llama-server: {name}", ratio, EVALUATED_AIM)


def turns_table(name: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> str:
    """Tokens and seconds, turn by turn."""
    rows = [
        [f"turn {number}", *_cells(mine, their)]
        for number, (mine, their) in enumerate(zip(ours, theirs, strict=True), 1)
    ]
    rows.append(["all turns", *_cells(_sum(ours), _sum(theirs))])
    head = [
        *(name, "prompts: llama-server", "ours", "evaluated: llama-server", "ours"),
        *("ours / llama-server", "ours, ahead", "seconds: llama-server", "ours"),
    ]
    return table(head, rows)


def _cells(ours: Turn, theirs: Turn) -> list[str]:
    counts = (theirs.prompt, ours.prompt, theirs.evaluated, ours.evaluated)
    ratio = ours.evaluated / theirs.evaluated
    seconds = (theirs.seconds, ours.seconds)
    return [
        *(f"{one:,}" for one in counts),
        f"{ratio:.2f}",
        f"{ours.ahead:,}",
        *(f"{one:.2f}" for one in seconds),
    ]


def _sum(turns: Sequence[Turn]) -> Turn:
    seconds = sum(turn.seconds for turn in turns)
    ahead = sum(turn.ahead for turn in turns)
    return Turn(sum(turn.prompt for turn in turns), _total(turns), seconds, ahead)
