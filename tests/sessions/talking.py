"""Conversations for tests of journals: messages of every kind, and changes of every kind, by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.sessions.snapshot import Lasting, Snapshot

TEXTS = (
    "What is 2 + 3?",
    "床前明月光，疑是地上霜。",
    '{"kind": "clear"}\n{"kind": "rewind", "to": 0}\n',
    "\x1b[2J\x07\x9b31m\u202e\u2028\r\n\0",
    "a lone \ud800 surrogate, and 🚀",
    "",
)
SETTINGS = (
    Lasting(),
    Lasting(ChatSettings(thinking=False, max_tokens=7, stop=("\n", "END"), when_full="drop")),
    Lasting(
        ChatSettings(think_budget=0, sampling=SamplingChoice(0.5, 1, 0, 0.0, -1.5, 42)), True, 8192, "q8_0"
    ),
)


def turn(chance: random.Random) -> tuple[Message, ...]:
    """A question, and an answer with or without calls before it."""
    question = Message("user", chance.choice(TEXTS))
    answer = Message("assistant", chance.choice(TEXTS), chance.choice(TEXTS))
    if chance.random() < 0.6:
        return question, answer
    calls = (
        ToolCall("get_weather", {"city": chance.choice(TEXTS), "days": [1, True, 2.5, None]}),
        ToolCall("none", {}),
    )
    results = (Message("tool", chance.choice(TEXTS)), Message("tool", "Error: no"))
    return question, Message("assistant", "", "Let me look.", calls), *results, answer


def conversation(seed: int, length: int) -> Iterator[Snapshot]:
    """What a conversation comes to, after so many changes each."""
    chance, now, said = random.Random(seed), Snapshot("demo"), Conversation()
    for _ in range(length):
        what = chance.random()
        if what < 0.6:
            said.append(*turn(chance))
        elif what < 0.7:
            said.rewind(chance.choice([n for n, one in enumerate(said.turns) if one.role == "user"] or [0]))
        elif what < 0.75:
            said.clear()
        elif what < 0.8:
            count = chance.randint(0, len(said.seen))
            said.condense(count, chance.choice([(), turn(chance)[:2]]))
        elif what < 0.83:
            # A turn for which room was made, and which failed.
            said.append(turn(chance)[0])
            said.condense(len(said.seen), turn(chance)[:2])
            said.rewind(len(said.turns) - 1)
        elif what < 0.87:
            said.system = chance.choice([None, *TEXTS[:5]])
        elif what < 0.95:
            now = replace(now, settings=chance.choice(SETTINGS))
        else:
            now = replace(now, model=chance.choice(["demo", "/some where/模型.gguf", "8b"]))
        now = replace(now, system=said.system, messages=said.turns, condensed=said.condensed)
        yield now
