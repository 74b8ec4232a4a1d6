"""Asking an engine, and reading what it said."""

from __future__ import annotations

from collections.abc import Iterable

from qwen3cli.chat.events import Event, Finish, Text, Thinking, TurnEnded
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import Sampling

GREEDY = Sampling(temperature=0, top_p=1, top_k=0, min_p=0, presence_penalty=0)
FREE = Sampling(temperature=1, top_p=1, top_k=0, min_p=0, presence_penalty=0)
THINKS = {
    "\n": "<think>",
    "<think>": "\nhmm",
    "\nhmm": " well",
    " well": "\nso",
    "\nso": "</think>",
    "</think>": "\n\n",
}
ANSWERS = {"\n\n": "Hello", "Hello": " world"}
ENDLESS = {"\n": "tick", "tick": " tock", " tock": "tick"}
ASK = (Message("user", "hi"),)


def ask(engine: Engine, sampling: Sampling = GREEDY, **request: object) -> list[Event]:
    request.setdefault("messages", ASK)
    return list(engine.generate(GenerateRequest(sampling, **request)))  # type: ignore[arg-type]


def said(events: Iterable[Event], kind: type[Text] | type[Thinking] = Text) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def ended(events: list[Event]) -> TurnEnded:
    last = events[-1]
    assert isinstance(last, TurnEnded)
    return last


def finish(events: list[Event]) -> Finish:
    return ended(events).finish
