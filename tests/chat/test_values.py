from __future__ import annotations

import pytest

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.messages import Message
from qwen3cli.chat.sampling import NON_THINKING, THINKING, SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode, hard_switch, soft_switch
from qwen3cli.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["hello"], None),
        (["hello /think"], True),
        (["hello /no_think"], False),
        (["/no_think", "now /think please"], True),
        (["a /think b /no_think"], False),
        (["see /usr/think and /thinking and x/think"], None),
        (["你好/no_think"], False),
        (["你好 /no_think。"], False),
    ],
)
def test_the_latest_soft_switch_counts(texts: list[str], expected: bool | None) -> None:
    assert soft_switch(Message("user", text) for text in texts) is expected


def test_what_the_assistant_says_switches_nothing() -> None:
    assert soft_switch([Message("assistant", "/no_think"), Message("tool", "/no_think")]) is None
    assert soft_switch([Message("system", "/no_think")]) is False


def test_the_hard_switch_knows_the_three_kinds() -> None:
    assert hard_switch(ThinkingMode.HYBRID, None) is True
    assert hard_switch(ThinkingMode.HYBRID, False) is False
    assert hard_switch(ThinkingMode.NEVER, None) is False
    assert hard_switch(ThinkingMode.ALWAYS, True) is True
    with pytest.raises(UsageError) as caught:
        hard_switch(ThinkingMode.ALWAYS, False, sibling="4b")
    assert "4b" in (caught.value.hint or "")


def test_presets_are_those_of_the_model_cards() -> None:
    assert (THINKING.temperature, THINKING.top_p, THINKING.top_k, THINKING.min_p) == (0.6, 0.95, 20, 0)
    assert (NON_THINKING.temperature, NON_THINKING.top_p, NON_THINKING.top_k) == (0.7, 0.8, 20)


def test_a_parameter_can_be_typed_and_taken_back() -> None:
    choice = SamplingChoice().with_text("temperature", "0.3").with_text("seed", "7")
    assert choice.resolve(thinking=True, quantized=False).temperature == 0.3
    assert choice.resolve(thinking=True, quantized=False).seed == 7
    again = choice.with_text("temperature", "default")
    assert again.resolve(thinking=True, quantized=True).temperature == 0.6


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "hot"),
        ("temperature", "-1"),
        ("temperature", "nan"),
        ("top_p", "1.5"),
        ("heat", "1"),
        ("seed", "1.5"),
    ],
)
def test_nonsense_parameters_are_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError):
        SamplingChoice().with_text(name, text)


def talk(*texts: str) -> Conversation:
    conversation = Conversation("be brief")
    conversation.append(*(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)))
    return conversation


def texts(messages: tuple[Message, ...]) -> str:
    return " ".join(message.content for message in messages)


def test_what_was_said_outlasts_what_the_model_sees() -> None:
    conversation, summary = talk("a", "b", "c", "d"), (Message("user", "sum up"), Message("assistant", "ab"))
    conversation.condense(2, summary)
    assert texts(conversation.messages) == "be brief sum up ab c d"
    assert (texts(conversation.turns), conversation.condensed) == ("a b c d", (2, summary))
    assert conversation.summary == "ab"
    conversation.append(Message("user", "e"))
    conversation.condense(4)
    assert (texts(conversation.messages), texts(conversation.turns)) == ("be brief e", "a b c d e")
    assert conversation.summary is None
    conversation.clear()
    assert (conversation.condensed, texts(conversation.messages)) == ((0, ()), "be brief")


def test_part_of_what_stands_in_can_go_too() -> None:
    conversation = talk("a", "b", "c", "d")
    conversation.condense(2, [Message("user", "1"), Message("assistant", "2"), Message("user", "3")])
    conversation.condense(2, [Message("user", "0")])
    assert (texts(conversation.seen), conversation.condensed[0]) == ("0 3 c d", 2)


@pytest.mark.parametrize(("length", "seen"), [(3, "ab c"), (2, "ab"), (1, "a"), (0, "")])
def test_what_is_taken_back_has_no_stand_in(length: int, seen: str) -> None:
    conversation = talk("a", "b", "c", "d")
    conversation.condense(2, [Message("user", "ab")])
    conversation.rewind(length)
    assert (texts(conversation.seen), len(conversation.turns)) == (seen, length)
