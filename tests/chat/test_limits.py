"""The end of the context: a scripted model whose tokens are characters, in a context of 4,000 of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Text, Thinking, ToolCalled, TurnEnded, Working
from qwen3cli.chat.limits import least_room, when_full_of
from qwen3cli.chat.messages import Message, ToolCall, ToolResult
from qwen3cli.chat.ports import ChatSettings, Making, Shortage, WhenFull
from qwen3cli.chat.thinking import ThinkingMode, soft_switch
from qwen3cli.chat.turn import make_room, run_turn
from qwen3cli.errors import ContextFull, Interrupted, QwenError, UsageError
from tests.chat.fakes import FakeTools, ScriptedEngine, ended

SIZE = 4000
WANTED = SIZE // 8
CALL = ToolCall("now", {})
ANSWER: list[Event] = [Text("yes"), ended()]


def conversation_of(*turns: int, system: str = "be brief", first: str = "") -> Conversation:
    """A conversation of turns of so many tokens each; `first` begins the first one."""
    conversation = Conversation(system)
    for number, size in enumerate(turns):
        head = f"{first if number == 0 else ''}{number}"
        conversation.append(Message("user", head), Message("assistant", "a" * (size - len(head))))
    return conversation


def engine_with(
    *rounds: Sequence[Event | QwenError], mode: ThinkingMode = ThinkingMode.HYBRID
) -> ScriptedEngine:
    engine = ScriptedEngine(*rounds, mode=mode)
    engine.context_size = SIZE
    return engine


def answering(*answers: Making | Exception) -> tuple[Callable[[Shortage], Making], list[Shortage]]:
    """Somebody who answers so, and what they were asked."""
    asked: list[Shortage] = []

    def choose(shortage: Shortage) -> Making:
        asked.append(shortage)
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return choose, asked


def say(
    engine: ScriptedEngine,
    conversation: Conversation,
    text: str = "x",
    when_full: WhenFull = "drop",
    choose: Callable[[Shortage], Making] | None = None,
    tools: FakeTools | None = None,
    **settings: object,
) -> list[Event]:
    chosen = ChatSettings(when_full=when_full, **settings)  # type: ignore[arg-type]
    turn = run_turn(engine, conversation, text, chosen, quantized=False, tools=tools, choose=choose)
    return list(turn)


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def users(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages if message.role == "user"]


@pytest.mark.parametrize(
    ("settings", "size", "thinking", "room"),
    [
        (ChatSettings(), 40_960, False, 256),
        (ChatSettings(), 40_960, True, 256 + 1024),
        (ChatSettings(think_budget=100), 40_960, True, 256 + 100),
        (ChatSettings(think_budget=9000), 40_960, True, 256 + 1024),
        (ChatSettings(max_tokens=20), 40_960, True, 20),
        (ChatSettings(max_tokens=9000), 40_960, False, 256),
        (ChatSettings(), 4096, True, 512),
        (ChatSettings(), 64, True, 8),
    ],
)
def test_what_an_answer_should_have(settings: ChatSettings, size: int, thinking: bool, room: int) -> None:
    assert least_room(settings, size, thinking=thinking) == room


def test_a_turn_that_has_room_is_left_alone() -> None:
    # To the last token: 8 of the system prompt, and 1 of the message.
    engine, conversation = engine_with(ANSWER), conversation_of(1600, SIZE - WANTED - 1600 - 9)
    assert say(engine, conversation) == ANSWER
    assert conversation.condensed == (0, ())


def test_as_few_of_the_oldest_turns_as_leave_a_quarter_free_are_dropped() -> None:
    engine, conversation = engine_with(ANSWER), conversation_of(400, 400, 1200, 1200, 400)
    said = conversation.turns
    events = say(engine, conversation)
    assert notices(events) == [
        "the context is full: the model does not see the oldest 2 turns (800 tokens) any more"
    ]
    request = engine.requests[0]
    assert request.messages == (Message("system", "be brief"), *said[4:], Message("user", "x"))
    assert engine.count_prompt(request) <= SIZE * 3 // 4
    assert conversation.turns[: len(said)] == said
    assert users(conversation.seen) == ["2", "3", "4", "x"]


@pytest.mark.parametrize(("last", "stay"), [(1991, ["1", "2", "x"]), (1992, ["2", "x"])])
def test_a_quarter_is_a_quarter_to_the_token(last: int, stay: list[str]) -> None:
    conversation = conversation_of(600, 1000, last)
    say(engine_with(ANSWER), conversation)
    assert users(conversation.seen) == stay


def test_where_a_quarter_cannot_be_had_what_an_answer_should_have_will_do() -> None:
    engine, conversation = engine_with(ANSWER), conversation_of(240, 240, 240)
    say(engine, conversation, "x" * (SIZE - WANTED - 8 - 360))
    assert users(conversation.seen)[:-1] == ["2"]


def test_a_message_that_fits_only_alone_has_the_rest() -> None:
    engine, conversation = engine_with(ANSWER), conversation_of(240, 240, 240)
    events = say(engine, conversation, "x" * (SIZE - 8 - 280))
    assert len(conversation.seen) == 2
    assert notices(events)[1] == "the prompt leaves 280 of the context's 4,000 tokens for the answer"


def test_with_nothing_older_a_prompt_that_fits_goes_on_and_says_what_is_left() -> None:
    events = say(engine_with(ANSWER), conversation_of(), "x" * 3600, when_full="stop")
    assert notices(events) == ["the prompt leaves 392 of the context's 4,000 tokens for the answer"]


@pytest.mark.parametrize(
    ("conversation", "text", "said"),
    [
        (conversation_of(), "x" * 4800, "the prompt has 4,808 tokens and the context holds 4,000"),
        (
            conversation_of(400, 400),
            "x" * 4800,
            "even without what was said before, the prompt has 4,808 tokens and the context holds 4,000",
        ),
        (
            conversation_of(40, system="s" * 4400),
            "x",
            "the system prompt takes 4,400 tokens and the context holds 4,000",
        ),
    ],
)
def test_what_nothing_makes_room_for_is_said_with_figures_before_anybody_is_asked(
    conversation: Conversation, text: str, said: str
) -> None:
    engine, before = engine_with(), conversation.messages
    choose, asked = answering()
    with pytest.raises(ContextFull) as caught:
        say(engine, conversation, text, "ask", choose)
    assert (caught.value.message, asked, engine.requests) == (said, [], [])
    assert conversation.messages == before


def test_tools_that_are_too_many_are_named() -> None:
    engine = engine_with()
    engine.filler = 3995
    with pytest.raises(ContextFull, match="the system prompt and the tools take 4,003 tokens"):
        say(engine, conversation_of(), tools=FakeTools())


@pytest.mark.parametrize("when_full", ["stop", "ask"])
def test_a_turn_that_is_stopped_leaves_everything_as_it_was(when_full: WhenFull) -> None:
    engine, conversation = engine_with(), conversation_of(1600, 2000)
    before = conversation.messages
    with pytest.raises(
        ContextFull, match="the prompt has 3,609 of 4,000 tokens, and an answer should have 500"
    ):
        say(engine, conversation, when_full=when_full)
    assert (conversation.messages, conversation.condensed) == (before, (0, ()))


def test_the_person_is_asked_once_in_a_turn() -> None:
    # The second time is for the results of the tool.
    conversation = conversation_of(800, 800, 800, 1200)
    results = [Text("y" * 800), ToolCalled(CALL), ended(context_size=SIZE, context_used=2400)]
    engine = engine_with(results, ANSWER)
    choose, asked = answering("drop")
    tools = FakeTools(lambda call, _: ToolResult(call.name, "r" * 600))
    events = say(engine, conversation, "x", "ask", choose, tools)
    assert asked == [Shortage(3609, WANTED, SIZE, summarisable=True)]
    assert [line.partition(":")[0] for line in notices(events)] == ["the context is full"] * 3
    assert users(conversation.seen) == ["3", "x"]


def test_a_question_that_is_left_stops_the_turn() -> None:
    engine, conversation = engine_with(), conversation_of(1600, 2000)
    choose, _ = answering(Interrupted())
    events = say(engine, conversation, "x", "ask", choose)
    assert isinstance(events[-1], TurnEnded) and events[-1].finish == "interrupted"
    assert (len(conversation.turns), conversation.condensed) == (4, (0, ()))


SUMMARY: list[Event] = [
    Thinking(""),
    Text("They "),
    Text("talked. "),
    ended(evaluated_tokens=30, output_tokens=5),
]


def test_a_summary_takes_the_place_of_the_oldest_turns() -> None:
    conversation = conversation_of(1200, 400, 1200, 800)
    engine, tools = (
        engine_with(SUMMARY, [Text("yes"), ended(evaluated_tokens=7, output_tokens=1)]),
        FakeTools(),
    )
    events = say(engine, conversation, when_full="summarise", tools=tools, stop=("a",), format={})
    asked, request = engine.requests
    # It goes on where the conversation has been: the same beginning, and the same tools.
    assert asked.messages[:-1] == (Message("system", "be brief"), *conversation.turns[:4])
    assert (asked.tools, asked.tool_choice) == (request.tools, "none") and request.tools
    assert (asked.thinking, asked.think_budget, asked.max_tokens) == (False, None, SIZE // 8)
    assert (asked.stop, asked.format, asked.sampling.temperature) == ((), None, 0.7)
    pair = (asked.messages[-1], Message("assistant", "They talked."))
    assert conversation.condensed == (4, pair)
    assert request.messages == (Message("system", "be brief"), *pair, *conversation.turns[4:-1])
    assert notices(events) == [
        "the context is full: the model sums up the oldest 2 turns (1,600 tokens)",
        "in their place it sees a summary of 12 tokens",
    ]
    assert Working("summing up: 2 tokens") in events
    assert Text("They ") not in events
    assert isinstance(events[-1], TurnEnded)
    assert (events[-1].stats.evaluated_tokens, events[-1].stats.output_tokens) == (37, 6)


def test_a_summary_is_summed_up_with_what_follows_it() -> None:
    conversation = conversation_of(1200, 400, 1200, 800)
    engine = engine_with(SUMMARY, ANSWER, SUMMARY, ANSWER)
    say(engine, conversation, when_full="summarise")
    conversation.append(Message("user", "4"), Message("assistant", "a" * 1600))
    events = say(engine, conversation, "y", when_full="summarise")
    assert "sums up the earlier summary and the oldest 2 turns (" in notices(events)[0]
    assert "They talked." in [message.content for message in engine.requests[2].messages]
    assert users(conversation.seen)[1:] == ["x", "4", "y"]
    assert len(conversation.turns) == 14


def test_a_model_that_always_thinks_may_think_about_its_summary_too() -> None:
    conversation = conversation_of(*[200] * 18)
    engine = engine_with([Thinking("hm" * 50), *SUMMARY], ANSWER, mode=ThinkingMode.ALWAYS)
    events = say(engine, conversation, when_full="summarise")
    asked = engine.requests[0]
    assert (asked.thinking, asked.think_budget, asked.max_tokens) == (True, 250, 1000)
    assert conversation.summary == "They talked."
    assert not any(isinstance(event, Thinking) for event in events)


def test_a_summary_that_is_broken_off_changes_nothing() -> None:
    conversation = conversation_of(1200, 400, 1200, 800)
    before = conversation.messages
    engine = engine_with([Text("They"), ended("interrupted")])
    events = say(engine, conversation, when_full="summarise")
    assert isinstance(events[-1], TurnEnded) and events[-1].finish == "interrupted"
    assert (conversation.messages, conversation.condensed) == (before, (0, ()))


@pytest.mark.parametrize("written", [[Text(" \n"), ended()], [Text("Well:"), ToolCalled(CALL), ended()]])
def test_without_a_summary_the_person_is_asked_again_and_a_setting_means_drop(written: list[Event]) -> None:
    conversation, (choose, asked) = conversation_of(1200, 400, 1200, 800), answering("summarise", "stop")
    with pytest.raises(ContextFull):
        say(engine_with(written), conversation, "x", "ask", choose)
    assert asked == [Shortage(3609, WANTED, SIZE, True), Shortage(3609, WANTED, SIZE, False)]
    assert conversation.condensed == (0, ())
    events = say(engine_with(written, ANSWER), conversation, when_full="summarise")
    assert [line.partition(":")[0] for line in notices(events)] == [
        "the context is full",
        "the model has written no summary",
        "the oldest turns cannot be summed up, so they are dropped",
        "the context is full",
    ]
    assert users(conversation.seen) == ["1", "2", "3", "x"]


def test_one_giant_turn_cannot_be_summed_up() -> None:
    # Beside it there is no room to ask for a summary.
    conversation, (choose, asked) = conversation_of(3600), answering("drop")
    say(engine_with(ANSWER), conversation, "x", "ask", choose)
    assert not asked[0].summarisable
    assert users(conversation.seen) == ["x"]


def test_a_tool_exchange_goes_as_a_whole() -> None:
    conversation = Conversation()
    exchange = (
        Message("user", "0"),
        Message("assistant", "", tool_calls=(CALL, CALL)),
        *(Message("tool", "r" * 800) for _ in range(2)),
        Message("assistant", "a" * 400),
    )
    conversation.append(*exchange, *conversation_of(1600).turns)
    engine = engine_with(ANSWER)
    say(engine, conversation)
    assert [message.role for message in engine.requests[0].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("system", "first", "last", "carried"),
    [
        ("", "/no_think ", "", "2 /no_think"),
        ("", "/think ", "", "2"),
        ("", "/no_think ", "/think", "2"),
        ("/no_think", "/think ", "", "2 /think"),
        ("/no_think", "", "", "2"),
    ],
)
@pytest.mark.parametrize("when_full", ["drop", "summarise"])
def test_a_soft_switch_outlasts_the_turn_it_was_given_in(
    system: str, first: str, last: str, carried: str, when_full: WhenFull
) -> None:
    conversation = conversation_of(1200, 400, 800, 1400, system=system, first=first)
    conversation.append(Message("user", f"4 {last}"))
    conversation.append(Message("assistant", ""))
    before = soft_switch(conversation.messages) is False
    engine = engine_with(*([SUMMARY] if when_full == "summarise" else []), ANSWER)
    say(engine, conversation, "x", when_full)
    seen = conversation.seen[conversation.summary is not None and 2 :]
    assert seen[0].content == (carried if when_full == "summarise" else f"1{carried[1:]}")
    assert soft_switch(conversation.messages) is not before
    assert [one.content for one in conversation.turns if "no_think" in one.content] == [
        one.content for one in conversation_of(1200, first=first).turns if "no_think" in one.content
    ]


def test_a_switch_means_nothing_to_a_model_that_has_none() -> None:
    conversation = conversation_of(1200, 1200, 1360, first="/no_think ")
    say(engine_with(ANSWER, mode=ThinkingMode.NEVER), conversation)
    assert users(conversation.seen) == ["1", "2", "x"]


def test_what_tools_gave_back_stays_where_it_has_no_room() -> None:
    conversation = conversation_of(400)
    tools = FakeTools(lambda call, _: ToolResult(call.name, "r" * 4090))
    engine = engine_with([ToolCalled(CALL), ended(context_size=SIZE, context_used=800, output_tokens=7)])
    events = say(engine, conversation, tools=tools)
    assert notices(events) == [
        "even without what was said before, the prompt has 4,099 tokens and the context holds 4,000;"
        " what the tools gave back stays in the conversation"
    ]
    assert isinstance(events[-1], TurnEnded)
    assert (events[-1].finish, events[-1].stats.output_tokens) == ("context", 7)
    assert [message.role for message in conversation.turns[2:]] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("when_full", ["drop", "stop"])
def test_older_turns_make_way_for_what_tools_give_back(when_full: WhenFull) -> None:
    conversation = conversation_of(1200, 1200, 400)
    tools = FakeTools()
    engine = engine_with(
        [Text("y" * 1100), ToolCalled(CALL), ended(context_size=SIZE, context_used=3900)], ANSWER
    )
    events = say(engine, conversation, when_full=when_full, tools=tools)
    assert tools.calls == ([CALL] if when_full == "drop" else [])
    assert isinstance(events[-1], TurnEnded)
    if when_full == "drop":
        assert users(conversation.seen) == ["1", "2", "x"]
        assert tools.rooms == [SIZE - 8 - 1600 - 1 - 1100]
    else:
        assert events[-1].finish == "context"
        assert "was not run" in conversation.turns[-1].content


def relieve(
    conversation: Conversation,
    when_full: WhenFull = "drop",
    choose: Callable[[Shortage], Making] | None = None,
    *rounds: Sequence[Event],
) -> list[str]:
    settings = ChatSettings(when_full=when_full)
    engine = engine_with(*rounds)
    return notices(list(make_room(engine, conversation, settings, quantized=False, choose=choose)))


def test_after_a_reply_that_was_cut_room_is_made_for_the_next_message() -> None:
    conversation = conversation_of(1200, 1200, 1560)
    choose, asked = answering("drop")
    assert relieve(conversation, "ask", choose)[-1].endswith("the oldest turn (1,200 tokens) any more")
    assert (asked[0].prompt, users(conversation.seen)) == (3968, ["1", "2"])
    assert relieve(conversation, "ask", choose) == [
        "without its thinking, 2,768 of 4,000 tokens are in use: the next message has room"
    ]


def test_the_reply_that_was_cut_stays_until_the_next_message() -> None:
    conversation = conversation_of(4400)
    assert relieve(conversation) == [
        "the prompt has 4,408 tokens and the context holds 4,000;"
        " the turn makes way when the next message needs its room"
    ]
    say(engine_with(ANSWER), conversation)
    assert users(conversation.seen) == ["x"]


def test_who_has_said_stop_hears_no_more() -> None:
    conversation, (choose, _) = conversation_of(1200, 2760), answering("stop")
    assert len(relieve(conversation, "ask", choose)) == 1
    assert relieve(conversation, "stop") == []
    assert conversation.condensed == (0, ())


def test_settings_are_read_whatever_their_case() -> None:
    assert when_full_of("Drop", "--when-full") == "drop"
    with pytest.raises(UsageError, match="not `often`"):
        when_full_of("often", "--when-full")


def test_what_was_condensed_is_seen_again_after_a_clear() -> None:
    conversation = conversation_of(1600, 2000)
    say(engine_with(ANSWER), conversation)
    conversation.clear()
    conversation.append(*conversation_of(400).turns)
    assert users(conversation.seen) == ["0"]
    assert replace(Message("user", "0")) == conversation.seen[0]
