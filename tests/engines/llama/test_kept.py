"""A second process finds what the first one evaluated; what it makes of it is what evaluating gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine
from qwen3cli.engines import open_engine, prefixes
from qwen3cli.engines.llama.context import Context
from qwen3cli.machine import Placement
from tests.engines.asking import ask, ended, said
from tests.engines.conftest import facts_of
from tests.engines.llama.test_ahead import idle, new_tokens

SYSTEM = Message("system", "Be brief. " * 200)
Open = Callable[..., Engine]


@pytest.fixture
def process(demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens engines as later processes would, with a folder in common; the demo is fast, so disks have to be faster."""
    monkeypatch.setattr(prefixes, "_READ", 1e12)

    def open_one(context: int = 4096, kv_type: str = "f16") -> Engine:
        return open_engine(
            facts_of(demo_gguf),
            Placement(context, threads=1, kv_type=kv_type),
            keeping=prefixes.Keeping(tmp_path / "kept", 1 << 30),
        )

    return open_one


def answer(engine: Engine, *messages: Message) -> tuple[str, int, int]:
    """What it says, and how many tokens it evaluated and had already."""
    events = ask(engine, messages=messages)
    stats = ended(events).stats
    return said(events), stats.evaluated_tokens, stats.cached_tokens


def stored(tmp_path: Path) -> list[int]:
    return sorted(len(one.tokens) for one in prefixes.stored_in(tmp_path / "kept"))


def test_a_second_process_evaluates_only_what_is_new(process: Open, tmp_path: Path) -> None:
    first = process()
    text, evaluated, cached = answer(first, SYSTEM, Message("user", "What is 2 + 3?"))
    assert (cached, evaluated > 400) == (0, True)
    first.close()
    (kept,) = stored(tmp_path)
    second = process(context=2048)
    again, new, cached = answer(second, SYSTEM, Message("user", "What is 2 + 3?"))
    assert (again, cached, new) == (text, kept, evaluated - kept)
    second.close()
    # Nothing of what was asked is on the disk, and nothing is kept twice.
    assert stored(tmp_path) == [kept]
    assert new == new_tokens(process(), "What is 2 + 3?", thinking=True)


def test_what_is_evaluated_ahead_is_kept_and_found(process: Open, tmp_path: Path) -> None:
    first = process()
    first.expect([SYSTEM])
    idle(first)
    first.close()
    (kept,) = stored(tmp_path)
    second = process()
    second.expect([SYSTEM])
    idle(second)
    assert len(cast(Any, second)._context.tokens) == kept
    assert answer(second, SYSTEM, Message("user", "What is 2 + 3?"))[2] == kept
    second.close()


def test_another_cache_type_has_states_of_its_own(process: Open, tmp_path: Path) -> None:
    for kv_type in ("f16", "f32", "f16"):
        engine = process(kv_type=kv_type)
        answer(engine, SYSTEM, Message("user", "Hello!"))
        engine.close()
    assert len(stored(tmp_path)) == 2


def test_a_state_that_llama_cpp_refuses_is_evaluated_again(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = process()
    expected = answer(engine, SYSTEM, Message("user", "What is 2 + 3?"))
    engine.close()

    # Verified, and yet none: as a later llama.cpp might find one of an earlier.
    def read(*_: object) -> memoryview:
        return memoryview(bytearray(5000))

    monkeypatch.setattr(prefixes.PrefixFiles, "read", read)
    engine = process()
    assert answer(engine, SYSTEM, Message("user", "What is 2 + 3?")) == expected
    engine.close()


def test_a_conversation_is_not_kept(process: Open, tmp_path: Path) -> None:
    engine = process()
    long = Message("user", "What is 2 + 3? " * 100)
    answer(engine, long, Message("assistant", "5"), Message("user", "Why?"))
    engine.expect([long, Message("assistant", "5")])
    engine.close()
    assert stored(tmp_path) == []


def test_a_state_that_would_not_be_kept_is_not_made(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "_READ", 1.0)
    engine = process()
    made: list[Context] = []

    def make(context: Context) -> memoryview:
        made.append(context)
        return memoryview(b"")

    monkeypatch.setattr(Context, "state", make)
    answer(engine, SYSTEM, Message("user", "What is 2 + 3?"))
    engine.close()
    assert (made, stored(tmp_path)) == ([], [])


def test_no_token_of_what_is_said_is_kept(process: Open, tmp_path: Path) -> None:
    engine = process()
    # The line break before it and its own are one token.
    answer(engine, SYSTEM, Message("user", "\n\nWhat is 2 + 3?"))
    engine.expect([SYSTEM])
    idle(engine)
    tokens = cast(Any, engine)._context.tokens
    engine.close()
    (kept,) = (one.tokens.tolist() for one in prefixes.stored_in(tmp_path / "kept"))
    assert kept == tokens[: len(kept)]
