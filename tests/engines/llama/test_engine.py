"""LlamaEngine on scripted models: what is said, what is counted, what is drawn."""

from __future__ import annotations

from qwen3cli.chat.events import Text, Thinking
from qwen3cli.chat.messages import Message
from qwen3cli.chat.sampling import Sampling
from qwen3cli.chat.thinking import ThinkingMode
from tests.engines.asking import ANSWERS, ASK, FREE, THINKS, ask, ended, finish, said
from tests.engines.conftest import OpenScripted


def test_a_reply_is_thinking_then_answer(scripted: OpenScripted):
    events = ask(scripted(THINKS | ANSWERS))
    assert said(events, Thinking) == "hmm well\nso"
    assert said(events) == "Hello world"
    assert finish(events) == "stop"
    kinds = [type(event).__name__ for event in events]
    assert kinds == sorted(kinds, key=["Prefill", "Thinking", "Text", "TurnEnded"].index)


def test_the_hard_switch_leaves_the_thinking_out(scripted: OpenScripted):
    engine = scripted(THINKS | ANSWERS)
    assert engine.thinking_mode is ThinkingMode.HYBRID
    events = ask(engine, thinking=False)
    assert said(events, Thinking) == ""
    assert said(events) == "Hello world"


def test_the_figures_of_a_generation(scripted: OpenScripted):
    engine = scripted(THINKS | ANSWERS)
    stats = ended(ask(engine)).stats
    assert stats.prompt_tokens == stats.evaluated_tokens == len("[user_hi]_[assistant_")
    assert stats.cached_tokens == 0
    assert stats.thinking_tokens == 3
    assert stats.output_tokens == 3 + 5
    assert stats.context_used == stats.prompt_tokens + stats.output_tokens
    assert stats.context_size == engine.context_size == 2048
    assert stats.load_s > 0
    assert 0 < stats.prompt_s <= stats.ttft_s
    assert ended(ask(engine)).stats.load_s == 0


def test_the_prompt_is_reused_up_to_where_it_changes(scripted: OpenScripted):
    engine = scripted(THINKS | ANSWERS)
    ask(engine)
    again = ended(ask(engine)).stats
    assert (again.cached_tokens, again.evaluated_tokens) == (again.prompt_tokens - 1, 1)
    history = (*ASK, Message("assistant", "Hello world", "hmm"), Message("user", "ho"))
    longer = ended(ask(engine, messages=history)).stats
    assert longer.cached_tokens == again.prompt_tokens, "the assistant's header was already there"
    assert longer.cached_tokens + longer.evaluated_tokens == longer.prompt_tokens
    other = ended(ask(engine, messages=(Message("user", "HI"),))).stats
    assert other.cached_tokens == len("<user\n")


def test_reuse_changes_nothing_that_is_said(scripted: OpenScripted):
    engine = scripted(
        {"\n": ("one", "two", "three"), **dict.fromkeys(("one", "two", "three"), ("one", "two", "three"))}
    )
    seeded = Sampling(1, 1, 0, 0, 0, seed=11)
    fresh = said(ask(engine, seeded, max_tokens=40))
    assert said(ask(engine, seeded, max_tokens=40)) == fresh


def test_a_seed_reproduces_and_its_absence_does_not(scripted: OpenScripted):
    words = tuple(f"w{n} " for n in range(32))
    engine = scripted({"\n": words, **dict.fromkeys(words, words)})
    seeded = [said(ask(engine, Sampling(1, 1, 0, 0, 0, seed=seed), max_tokens=20)) for seed in (5, 5, 6)]
    assert seeded[0] == seeded[1] != seeded[2]
    assert len({said(ask(engine, FREE, max_tokens=20)) for _ in range(4)}) == 4


def test_top_k_one_and_temperature_zero_are_greedy(scripted: OpenScripted):
    words = tuple(f"w{n} " for n in range(8))
    engine = scripted({"\n": words, **dict.fromkeys(words, words)})
    greedy = said(ask(engine, max_tokens=12))
    assert greedy == said(ask(engine, Sampling(1, 1, 1, 0, 0), max_tokens=12))


def test_the_presence_penalty_reaches_over_the_whole_reply(scripted: OpenScripted):
    words = tuple(f"w{n} " for n in range(100))
    engine = scripted({"\n": words, **dict.fromkeys(words, words)})
    penalised = said(ask(engine, Sampling(0, 1, 0, 0, presence_penalty=2), max_tokens=100)).split()
    assert len(set(penalised)) == 100, "greedy with equal logits: only the penalty makes it move on"
    assert len(set(said(ask(engine, max_tokens=10)).split())) == 1


def test_characters_that_are_split_over_tokens(scripted: OpenScripted):
    flow = [chr(byte) for byte in "中é".encode()] + ["."]
    script = dict(zip(["\n", *flow], [*flow, "<|im_end|>"], strict=True))
    events = ask(scripted(script))
    assert [event.text for event in events if isinstance(event, Text)] == ["中", "é", "."]


def test_a_broken_character_shows_as_one(scripted: OpenScripted):
    assert said(ask(scripted({"\n": "\xe4", "\xe4": "\xb8", "\xb8": "<|im_end|>"}))) == "\ufffd"
    assert said(ask(scripted({"\n": "\xe4", "\xe4": "!"}))) == "\ufffd!"


def test_pieces_of_any_length(scripted: OpenScripted):
    long = "=" * 300
    assert said(ask(scripted({"\n": long}))) == long
