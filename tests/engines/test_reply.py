"""ReplyParser by step tables, each reply cut at every place, and again one character at a time."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest

from qwen3cli.chat.events import Notice, Text, Thinking, ToolCalled
from qwen3cli.chat.messages import ToolCall
from qwen3cli.engines.reply import TAGS, ReplyEvent, ReplyParser, _Quotes  # pyright: ignore[reportPrivateUsage]

BROKEN = Notice("the model wrote a tool call that cannot be read; it is shown as text")
CUT = Notice("the model ended in the middle of a tool call; it is shown as text")
LOOK = '<tool_call>\n{"name": "look", "arguments": {"at": "the sky"}}\n</tool_call>'
LOOKED = ToolCalled(ToolCall("look", {"at": "the sky"}))


class Case(NamedTuple):
    """A whole reply, what it comes to, and how the parser was set."""

    reply: str
    events: list[ReplyEvent]
    opened: bool = False
    tools: bool = False


CASES = {
    "answer only": Case("Hello.", [Text("Hello.")]),
    "thinking and answer": Case("<think>\nh\n\ni\n</think>\n\nHello.", [Thinking("h\n\ni"), Text("Hello.")]),
    "line ends before the thinking": Case("\n\n<think>a</think>b", [Thinking("a"), Text("b")]),
    "empty thinking": Case("<think>\n\n</think>\n\nHello.", [Text("Hello.")]),
    "empty thinking on one line": Case("<think></think>Hello.", [Text("Hello.")]),
    "thinking of white space": Case("<think> \n \t</think>\n\n\nHello.", [Text("Hello.")]),
    "thinking that never ends": Case("<think>\nso\nit goes", [Thinking("so\nit goes")]),
    "thinking cut within its end": Case("<think>so</thi", [Thinking("so</thi")]),
    "thinking only": Case("<think>so</think>", [Thinking("so")]),
    "nothing": Case("", []),
    "a beginning of a tag that is none": Case("<thin ice", [Text("<thin ice")]),
    "a longer name": Case("<thinking>a</thinking>", [Text("<thinking>a</thinking>")]),
    "a tag with a blank": Case("< think>a</think>", [Text("< think>a</think>")]),
    "another case": Case("<THINK>a", [Text("<THINK>a")]),
    "a tag in the answer": Case("Write <think>a</think>.", [Text("Write <think>a</think>.")]),
    "a second thinking": Case("<think>a</think>b<think>c", [Thinking("a"), Text("b<think>c")]),
    "a tag in the thinking": Case("<think>a <think> b</think>c", [Thinking("a <think> b"), Text("c")]),
    "nearly the end": Case("<think></ think></think ></think>c", [Thinking("</ think></think >"), Text("c")]),
    "the end twice": Case("<think>a</think></think>b", [Thinking("a"), Text("</think>b")]),
    "the end alone": Case("a</think>b", [Text("a</think>b")]),
    "angle brackets": Case("<think>1<2<</think><<b", [Thinking("1<2<"), Text("<<b")]),
    "blanks that matter": Case("<think>a\n  b</think>\n  c\n\n", [Thinking("a\n  b"), Text("  c\n\n")]),
    "indented answer": Case("  code\n", [Text("  code\n")]),
    "opened by the prompt": Case("\nso\n</think>\n\nHello.", [Thinking("so"), Text("Hello.")], opened=True),
    "opened and not ended": Case("so it goes", [Thinking("so it goes")], opened=True),
    "opened twice": Case("<think>\nso</think>b", [Thinking("so"), Text("b")], opened=True),
    "opened and empty": Case("\n\n</think>\n\nb", [Text("b")], opened=True),
    "a call": Case(LOOK, [LOOKED], tools=True),
    "a call after thinking": Case(f"<think>\nhm\n</think>\n\n{LOOK}", [Thinking("hm"), LOOKED], tools=True),
    "a call after text": Case(f"I look.\n{LOOK}", [Text("I look."), LOOKED], tools=True),
    "text after a call": Case(f"{LOOK}\n\nSeen.\n", [LOOKED, Text("Seen.\n")], tools=True),
    "two calls": Case(f"{LOOK}\n{LOOK}", [LOOKED, LOOKED], tools=True),
    "two calls, the first not ended": Case(f"{LOOK[:-12]}{LOOK}", [LOOKED, LOOKED], tools=True),
    "a call that the end cuts off": Case(LOOK[:-13], [LOOKED], tools=True),
    "a call in the thinking": Case(f"<think>{LOOK}</think>b", [Thinking(LOOK), Text("b")], tools=True),
    "a call without tools": Case(f"a\n{LOOK}\nb", [Text(f"a\n{LOOK}\nb")]),
    "tags in an argument": Case(
        '<tool_call>{"name": "w", "arguments": {"t": "</tool_call> \\"<tool_call>"}}</tool_call>',
        [ToolCalled(ToolCall("w", {"t": '</tool_call> "<tool_call>'}))],
        tools=True,
    ),
    "arguments as text": Case(
        '<tool_call>{"name": "w", "arguments": "{\\"a\\": 1}"}</tool_call>',
        [ToolCalled(ToolCall("w", {"a": 1}))],
        tools=True,
    ),
    "line ends in strings": Case(
        '<tool_call>{"name": "w", "arguments": {"t": "a\nb"}}</tool_call>',
        [ToolCalled(ToolCall("w", {"t": "a\nb"}))],
        tools=True,
    ),
    "no arguments": Case('<tool_call>{"name": "w"}</tool_call>', [ToolCalled(ToolCall("w", {}))], tools=True),
    "trailing line ends": Case("a\n\n", [Text("a\n\n")], tools=True),
    "nearly a call": Case("a\n<tool_cal", [Text("a\n<tool_cal")], tools=True),
    **{
        f"no call {number}": Case(
            f"a\n<tool_call>{body}</tool_call>\nb",
            [Text(f"a<tool_call>{body}</tool_call>"), BROKEN, Text("b")],
            tools=True,
        )
        for number, body in enumerate((
            "", "look", "[]", "1", "{}", '{"name": 1}', '{"name": ""}', '{"name": "w", "arguments": [1]}',
            '{"name": "w", "arguments": "x"}', '{"name": "w", "arguments": {"a": NaN}}', "[" * 100_000,
            '{"name": "w"} and', '{"name": "w", "arguments": {"n": 1' + "0" * 5000 + "}, }",
        ))
    },
}  # fmt: skip


def parse(case: Case, pieces: list[str]) -> list[ReplyEvent]:
    parser = ReplyParser(opened=case.opened, tools=case.tools)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return merged(events + parser.finish())


def merged(events: list[ReplyEvent]) -> list[ReplyEvent]:
    """Neighbouring pieces of text as one: only their sum is promised."""
    result: list[ReplyEvent] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Text) and isinstance(last, Text):
            result[-1] = Text(last.text + event.text)
        elif isinstance(event, Thinking) and isinstance(last, Thinking):
            result[-1] = Thinking(last.text + event.text)
        else:
            result.append(event)
    return result


@pytest.mark.parametrize("name", CASES)
def test_in_one_piece(name: str):
    assert parse(CASES[name], [CASES[name].reply]) == CASES[name].events


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.reply) < 1000])
def test_in_two_pieces_cut_anywhere(name: str):
    case = CASES[name]
    for at in range(len(case.reply) + 1):
        assert parse(case, [case.reply[:at], case.reply[at:]]) == case.events, case.reply[:at]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.reply) < 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_in_pieces_of_one_size(name: str, size: int):
    case = CASES[name]
    pieces = [case.reply[at : at + size] for at in range(0, len(case.reply), size)]
    assert parse(case, pieces) == case.events


def test_text_is_shown_as_soon_as_no_tag_can_come_of_it():
    parser = ReplyParser(tools=True)
    steps: list[tuple[str, list[ReplyEvent]]] = [
        ("<", []),
        ("thi", []),
        ("nk>", []),
        ("\n", []),
        ("a", [Thinking("a")]),
        ("\n", []),
        ("b<", [Thinking("\nb")]),
        ("3", [Thinking("<3")]),
        ("\n</think", []),
        (">\n\nA", [Text("A")]),
        (" <tool", [Text(" ")]),
        ("s", [Text("<tools")]),
        ("\n", []),
        (".", [Text("\n.")]),
        ("<thin", [Text("<thin")]),
    ]
    for piece, events in steps:
        assert parser.feed(piece) == events, piece


class TestTagsAsTokens:
    """Where the vocabulary has the tags, the same characters written one by one are text."""

    def feed(self, *steps: str, opened: bool = False) -> list[ReplyEvent]:
        """Steps that begin with `#` are tokens."""
        parser = ReplyParser(opened=opened, tools=True, tokens=frozenset(TAGS))
        events: list[ReplyEvent] = []
        for step in steps:
            events += parser.tag(step[1:]) if step.startswith("#") else parser.feed(step)
        return merged(events + parser.finish())

    def test_tokens_are_tags(self):
        events = self.feed(
            "\n", "#<think>", "\nhm\n", "#</think>", "\n\nI look.\n", "#<tool_call>", LOOK[11:-12]
        )
        assert events == [Thinking("hm"), Text("I look."), LOOKED]

    def test_characters_are_text(self):
        events = self.feed("#<think>", "say </think> now", "#</think>", "<tool_call>{}</tool_call>")
        assert events == [Thinking("say </think> now"), Text("<tool_call>{}</tool_call>")]
        assert self.feed("<think>a") == [Text("<think>a")]

    def test_tokens_out_of_place_are_text(self):
        assert self.feed("a", "#<think>", "b", "#</think>") == [Text("a<think>b</think>")]
        assert self.feed("#</tool_call>", "a") == [Text("</tool_call>a")]
        events = self.feed("#<tool_call>", '{"name": "', "#</tool_call>", '"}', "#</tool_call>", "b")
        assert events == [ToolCalled(ToolCall("</tool_call>", {})), Text("b")]

    def test_opened_by_the_prompt(self):
        assert self.feed("#<think>", "a", "#</think>", "b", opened=True) == [Thinking("a"), Text("b")]


def test_whether_it_is_thinking():
    parser = ReplyParser()
    states: list[bool] = []
    for piece in ("<thi", "nk>", "a", "</think>", "b"):
        parser.feed(piece)
        states.append(parser.thinking)
    assert states == [False, True, True, False, False]


def test_a_long_reply_comes_through_piece_by_piece():
    parser = ReplyParser(tools=True)
    pieces = ["<think>", *["word "] * 10_000, "</think>", *["word\n"] * 10_000]
    events = [event for piece in pieces for event in parser.feed(piece)]
    kinds = [type(event) for event in events]
    assert all(not (a is Text and b is Thinking) for a, b in pairwise(kinds))
    assert len(kinds) > 19_000


def test_numbers_that_json_cannot_hold_make_no_call():
    reply = '<tool_call>{"name": "look", "arguments": {"at": 1e999}}</tool_call>'
    parser = ReplyParser(tools=True)
    assert BROKEN in parser.feed(reply) + parser.finish()


@pytest.mark.parametrize(("levels", "reads"), [(99, True), (100, False), (5_000, False)])
def test_arguments_of_any_depth_harm_nobody(levels: int, reads: bool):
    inner = "[" * levels + "]" * levels
    parser = ReplyParser(tools=True)
    reply = f'<tool_call>{{"name": "look", "arguments": {{"at": {inner}}}}}</tool_call>'
    events = parser.feed(reply) + parser.finish()
    assert (BROKEN in events, isinstance(events[0], ToolCalled)) == (not reads, reads)


FRAGMENTS = (
    *TAGS, "<", "<think", "</tool_cal", "\n", "\n" * 63, "\n" * 64, "\n" * 65, " ", " " * 65, "\u2003\t", "a", "word\n",
    '{"name": "w", "arguments": {"t": "', '"}}', "\\", '"', LOOK,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(400))
def test_the_pieces_make_no_difference(seed: int):
    random = Random(seed)
    reply = "".join(random.choices(FRAGMENTS, k=random.randint(1, 12)))
    opened, tools = random.random() < 0.3, random.random() < 0.7
    case = Case(reply, [], opened, tools)
    whole = parse(case, [reply])
    for size in (1, 3, 50):
        cuts = sorted(random.sample(range(len(reply) + 1), min(size, len(reply))))
        assert parse(case, [reply[a:b] for a, b in pairwise([0, *cuts, len(reply)])]) == whole
    assert parse(case, list(reply)) == whole


@pytest.mark.parametrize(
    ("lead", "run", "tail", "shown"),
    [
        ("", "\n" * 64, "<think>a</think>", ""),
        ("", "\n" * 65, "<think>a</think>", "\n" * 65 + "<think>a</think>"),
        ("", "\n" * 64, "a", "\n" * 64 + "a"),
        ("", "\n", "", "\n"),
        ("a", "\n" * 64, LOOK, "a"),
        ("a", "\n" * 70, LOOK, "a" + "\n" * 6),
        ("\na", "\n", LOOK, "\na"),
        ("<think></think>", "\n" * 200, "a", "a"),
    ],
)
def test_what_a_tag_cuts_off_has_bounds(lead: str, run: str, tail: str, shown: str):
    events = parse(Case("", [], tools=True), list(lead + run + tail))
    assert "".join(event.text for event in events if isinstance(event, Text)) == shown


@pytest.mark.parametrize("run", ["\n", " ", " \n", "<", "<tool_call", "<think>", "</think>"])
@pytest.mark.parametrize("lead", ["", "<think>", "<think>a", "a", "<think>a</think>", LOOK])
def test_little_is_held_back_however_long_the_reply(lead: str, run: str):
    parser = ReplyParser(tools=True)
    for piece in [*lead, *[run] * 400]:
        parser.feed(piece)
        assert len(parser._held) + len(parser._beginning) < 80  # pyright: ignore[reportPrivateUsage]


def test_of_a_call_only_what_is_new_is_looked_at():
    quotes = _Quotes()
    for piece, inside in [
        ('{"a', True),
        ("\\", True),
        ('"', True),
        ('", "', True),
        ('"', False),
        ("x", False),
    ]:
        quotes.read(piece)
        assert quotes.inside is inside


def test_tags_within_a_string_of_a_call_belong_to_it_in_any_number():
    inner = "<tool_call> </tool_call> <think>" * 300
    reply = f'<tool_call>{{"name": "look", "arguments": {{"at": "{inner}"}}}}</tool_call>'
    parser = ReplyParser(tools=True)
    events = [event for character in reply for event in parser.feed(character)] + parser.finish()
    assert events == [ToolCalled(ToolCall("look", {"at": inner}))]
