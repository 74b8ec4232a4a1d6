"""A second process finds what the first one evaluated; what it makes of it is what evaluating gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.events import Thinking
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Engine
from qwen3cli.engines import open_engine, prefixes
from qwen3cli.engines.llama import ahead, kept
from qwen3cli.engines.llama.context import Context
from qwen3cli.machine import MICRO_BATCH, Placement
from tests.engines.asking import ask, ended, said
from tests.engines.conftest import facts_of
from tests.engines.llama.test_ahead import idle, new_tokens

SYSTEM = Message("system", "Be brief. " * 200)
Open = Callable[..., Engine]


@pytest.fixture
def process(demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens engines as later processes would, with a folder in common; the demo is fast, so disks have to be faster."""
    monkeypatch.setattr(prefixes, "_READ", 1e12)
    monkeypatch.setattr(ahead, "_MOMENT_S", 60.0)

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


def talk(engine: Engine, messages: list[Message], text: str, session: str | None, *, thinking: bool) -> int:
    """Say something, and let the engine get ready for what is said next; how many tokens it evaluated."""
    messages.append(Message("user", text))
    events = ask(engine, messages=tuple(messages), thinking=thinking)
    messages.append(Message("assistant", said(events), said(events, Thinking)))
    engine.expect(messages, thinking=thinking, session=session)
    return ended(events).stats.evaluated_tokens


@pytest.mark.parametrize("thinking", [True, False])
def test_a_session_goes_on_without_evaluating_what_was_said(
    process: Open, tmp_path: Path, thinking: bool
) -> None:
    messages = [Message("system", "Be brief.")]
    for number in range(4):
        engine, text = process(), f"What is {number} + {number * 7}?"
        evaluated = talk(engine, messages, text, "tea", thinking=thinking)
        assert number == 0 or evaluated == new_tokens(engine, text, thinking=thinking)
        expected = beginning(engine, messages, thinking=thinking)
        engine.close()
        # There is one state, of exactly what the next prompt begins with.
        (state,) = prefixes.stored_in(tmp_path / "kept")
        assert (state.session, state.tokens.tolist()) == (prefixes.mark_of("tea"), expected)


def inside(engine: Engine) -> Any:
    return cast(Any, engine)


def beginning(engine: Engine, messages: list[Message], *, thinking: bool = False) -> list[int]:
    return inside(engine)._prompts.beginning(messages, (), thinking=thinking)


def test_what_is_read_for_a_while_is_kept_before_the_end(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "QUIET_S", 0.0)
    engine, messages = process(), [Message("system", "Be brief.")]
    for text in ("What is 2 + 3?", "What is 4 + 5?"):
        talk(engine, messages, text, "tea", thinking=True)
        idle(engine)
        inside(engine)._kept.finish()
        assert stored(tmp_path) == [len(inside(engine)._context.tokens)]
    # Closing has nothing left to do.
    monkeypatch.setattr(Context, "state", None)
    engine.close()


def test_who_answers_at_once_waits_for_nothing(process: Open, tmp_path: Path) -> None:
    engine, messages = process(), [Message("system", "Be brief.")]
    for text in ("What is 2 + 3?", "What is 4 + 5?"):
        talk(engine, messages, text, "tea", thinking=False)
    assert stored(tmp_path) == []
    engine.expect(messages)
    engine.close()
    assert stored(tmp_path) == []


def test_sessions_have_a_state_each_and_one_model_at_a_time(process: Open, tmp_path: Path) -> None:
    messages: dict[str, list[Message]] = {"tea": [], "coffee": []}
    for session, kv_type in (("tea", "f16"), ("coffee", "f16"), ("tea", "f32"), ("tea", "f32")):
        engine = process(kv_type=kv_type)
        talk(engine, messages[session], "What is 2 + 3?", session, thinking=False)
        engine.close()
    marks = [one.session for one in prefixes.stored_in(tmp_path / "kept")]
    assert sorted(marks) == sorted(map(prefixes.mark_of, ("tea", "coffee")))
    prefixes.forget(tmp_path / "kept", "tea")
    assert [one.session for one in prefixes.stored_in(tmp_path / "kept")] == [prefixes.mark_of("coffee")]


def test_what_was_taken_back_is_not_kept(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "QUIET_S", 0.0)
    engine, messages = process(), [Message("system", "Be brief.")]
    talk(engine, messages, "What is 2 + 3?", None, thinking=False)
    before = [*messages]
    talk(engine, messages, "What is 4 + 5?", None, thinking=False)
    idle(engine)
    engine.expect(before, thinking=False, session="tea")
    idle(engine)
    # What comes after it may be wanted again, by another answer to the same question.
    assert len(inside(engine)._context.tokens) > len(beginning(engine, before))
    assert stored(tmp_path) == []
    expected = beginning(engine, before)
    engine.close()
    (state,) = prefixes.stored_in(tmp_path / "kept")
    assert state.tokens.tolist() == expected


def test_a_program_that_ends_keeps_what_has_been_read(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_MOMENT_S", 0.0)
    engine = process(context=16384)
    long = [Message("user", "What is 2 + 3? " * 900), Message("assistant", "5")]
    engine.expect(long, session="tea")
    while len(inside(engine)._context.tokens) < MICRO_BATCH:
        pass
    expected = beginning(engine, long)
    engine.close()
    (state,) = prefixes.stored_in(tmp_path / "kept")
    assert MICRO_BATCH <= len(state.tokens) < len(expected)
    assert state.tokens.tolist() == expected[: len(state.tokens)]


def test_a_large_state_is_written_in_the_end_only_if_that_pays(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_WRITTEN", 1.0)
    engine, messages = process(), [Message("system", "Be brief.")]
    talk(engine, messages, "What is 2 + 3?", "tea", thinking=True)
    engine.close()
    assert stored(tmp_path) == []
    engine = process()
    engine.expect(messages, session="tea")
    inside(engine)._kept._took(1, 1e7)
    engine.close()
    (before,) = stored(tmp_path)
    # What is kept already saves nothing once more.
    engine = process()
    engine.expect([*messages, Message("user", "What is 2 + 3?"), Message("assistant", "5")], session="tea")
    inside(engine)._ahead._over.wait()
    context, keeper = inside(engine)._context, inside(engine)._kept
    new = len(context.tokens) - before
    keeper._evaluated, keeper._seconds = 1, 10.0
    monkeypatch.setattr(kept, "_WRITTEN", context.state_size() / (new + before / 2))
    engine.close()
    assert stored(tmp_path) == [before]


def test_a_state_that_the_memory_has_no_room_for_is_not_made(
    process: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, messages = process(), [Message("system", "Be brief.")]
    inside(engine)._kept._files._memory = lambda: 1000
    talk(engine, messages, "What is 2 + 3?", "tea", thinking=True)
    monkeypatch.setattr(Context, "state", None)
    engine.close()
    assert stored(tmp_path) == []
