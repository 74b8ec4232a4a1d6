"""ReplyParser: the text a model streams becomes thinking, answer and tool calls.

A pure state machine; it knows nothing of tokens, templates and screens.

A tag counts as a tag only where it can mean something: `<think>` at the very beginning, `</think>` in
the thinking, `<tool_call>` in the answer when tools are on offer. Anywhere else it is text. Where a
vocabulary has a tag as one token, only that token is the tag (`tag`), and the same characters written
one by one are text: a model that quotes `</think>` while it thinks goes on thinking.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from typing import Any, NoReturn, cast

from qwen3cli.chat.events import Notice, Text, Thinking, ToolCalled
from qwen3cli.chat.messages import ToolCall

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"
TAGS = (THINK_OPEN, THINK_CLOSE, CALL_OPEN, CALL_CLOSE)

ReplyEvent = Thinking | Text | ToolCalled | Notice
_MOST_HELD = 64
"""Characters of white space that belong to a tag behind them: more are text, for nobody waits for ever."""
_DEEPEST = 100
"""Levels of a call's arguments; beyond some hundreds Python itself cannot write them any more."""


class _Phase(Enum):
    START = auto()
    THINKING = auto()
    ANSWER = auto()
    CALL = auto()


class ReplyParser:
    """Feed pieces of any size, in order, then `finish`; each call gives the events that are certain by then.

    `opened`: the prompt ended with `<think>`. `tools`: tool calls are looked for.
    `tokens`: the tags that arrive through `tag` and mean nothing as text.
    """

    def __init__(
        self, *, opened: bool = False, tools: bool = False, tokens: frozenset[str] = frozenset()
    ) -> None:
        self._phase = _Phase.THINKING if opened else _Phase.START
        self._opened = opened
        self._tools = tools
        self._written = tuple(tag for tag in TAGS if tag not in tokens)
        self._tag = re.compile("|".join(map(re.escape, self._written)) or r"(?!)")
        self._beginning: str = ""  # of a tag
        self._held: str = ""  # white space that a tag would cut off
        self._fresh = True  # nothing of this phase was shown: the line ends that lead it are dropped
        self._call: list[str] = []
        self._quotes = _Quotes()

    @property
    def thinking(self) -> bool:
        """Whether the reply is inside its thinking."""
        return self._phase is _Phase.THINKING

    @property
    def begun(self) -> bool:
        """Whether it is certain by now that the reply has a thinking, or has none."""
        return self._phase is not _Phase.START

    @property
    def calling(self) -> bool:
        """Whether the reply is inside of a call."""
        return self._phase is _Phase.CALL

    @property
    def call(self) -> str:
        """What was written so far of the call that the reply is inside of."""
        return "".join(self._call) + self._beginning if self.calling else ""

    def feed(self, text: str) -> list[ReplyEvent]:
        """Take some text of the reply."""
        events: list[ReplyEvent] = []
        text, self._beginning = self._beginning + text, ""
        done = 0
        for found in self._tag.finditer(text):
            self._take(text[done : found.start()], events)
            self._take_tag(found[0], events)
            done = found.end()
        # Only there can a tag begin that is not whole yet.
        last = text.rfind("<", max(done, len(text) - len(CALL_CLOSE)))
        if last < 0 or not any(tag.startswith(text[last:]) for tag in self._written):
            last = len(text)
        self._take(text[done:last], events)
        if any(tag.startswith(text[last:]) and self._counts(tag) for tag in self._written):
            self._beginning = text[last:]
        else:
            self._take(text[last:], events)
        return events

    def tag(self, tag: str) -> list[ReplyEvent]:
        """Take a tag that came as a token of its own."""
        events: list[ReplyEvent] = []
        self._take_beginning(events)
        self._take_tag(tag, events)
        return events

    def finish(self) -> list[ReplyEvent]:
        """The reply is over: what was held back in case a tag came is what it looks like."""
        events: list[ReplyEvent] = []
        self._take_beginning(events)
        if self._phase is _Phase.CALL:
            self._close_call("", events)
        elif self._phase is not _Phase.THINKING and self._held:
            events.append(Text(self._held))
        self._held = ""
        return events

    def _counts(self, tag: str) -> bool:
        """Whether a tag that comes now is more than text."""
        if tag == THINK_OPEN:
            leads = self._phase is _Phase.START or (self._phase is _Phase.THINKING and self._opened)
            return leads and self._fresh
        if tag == THINK_CLOSE:
            return self._phase is _Phase.THINKING
        if self._phase is _Phase.CALL:
            return not self._quotes.inside
        return tag == CALL_OPEN and self._tools and self._phase in (_Phase.START, _Phase.ANSWER)

    def _take_beginning(self, events: list[ReplyEvent]) -> None:
        """Take what would have been a tag as text."""
        text, self._beginning = self._beginning, ""
        self._take(text, events)

    def _take_tag(self, tag: str, events: list[ReplyEvent]) -> None:
        """Act on a tag, or take it as text where it is nothing more."""
        if not self._counts(tag):
            self._take(tag, events)
            return
        if self._phase is _Phase.CALL:
            self._close_call(tag if tag == CALL_CLOSE else "", events)
        self._phase = {THINK_OPEN: _Phase.THINKING, CALL_OPEN: _Phase.CALL}.get(tag, _Phase.ANSWER)
        self._held, self._fresh = "", True
        self._call, self._quotes = [], _Quotes()

    def _take(self, text: str, events: list[ReplyEvent]) -> None:
        """Take text without a tag that counts; in which pieces it comes makes no difference to what comes of it."""
        if self._phase is _Phase.CALL:
            self._call.append(text)
            self._quotes.read(text)
            return
        text, self._held = self._held + text, ""
        if self._phase is _Phase.START:
            if len(text) <= _MOST_HELD and not text.strip():
                self._held = text
                return
            self._phase, self._fresh = _Phase.ANSWER, False
        if self._fresh:
            text = text.lstrip() if self.thinking else text.lstrip("\n")
        kept = self._kept(text)
        if kept:
            self._fresh = False
            events.append(Thinking(text[:kept]) if self.thinking else Text(text[:kept]))
        self._held = text[kept:]

    def _kept(self, text: str) -> int:
        """How much of the text a tag that follows leaves alone: it cuts off white space, or line ends, before it."""
        if not (self.thinking or self._tools):
            return len(text)
        rest = text.rstrip() if self.thinking else text.rstrip("\n")
        return max(len(rest), len(text) - _MOST_HELD)

    def _close_call(self, close: str, events: list[ReplyEvent]) -> None:
        text = self.call
        call = _parse_call(text)
        if call is not None:
            events.append(ToolCalled(call))
            return
        events.append(Text(CALL_OPEN + text + close))
        what = "wrote a tool call that cannot be read" if close else "ended in the middle of a tool call"
        events.append(Notice(f"the model {what}; it is shown as text"))


class _Quotes:
    """Tells of JSON text, which comes in pieces, whether it ends within a string, where a tag belongs to the string."""

    def __init__(self) -> None:
        self.inside = False
        self._escaped = False

    def read(self, text: str) -> None:
        """Go on reading."""
        for character in text:
            if self._escaped:
                self._escaped = False
            elif self.inside and character == "\\":
                self._escaped = True
            elif character == '"':
                self.inside = not self.inside


def _parse_call(text: str) -> ToolCall | None:
    """The call in `{"name": …, "arguments": {…}}`; None when it is something else."""
    try:
        value: Any = _loads(text)
        arguments: Any = value.get("arguments", {})
        if isinstance(arguments, str):
            arguments = _loads(arguments)
        name: Any = value.get("name")
    except (ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    if _depth(arguments) > _DEEPEST:
        return None
    return ToolCall(name, cast("dict[str, Any]", arguments))


def _depth(value: Any) -> int:
    """Levels of arrays and objects, counted without recursion."""
    depth, level = 0, [value]
    while level := [
        cast("dict[str, Any] | list[Any]", one) for one in level if isinstance(one, (dict, list))
    ]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _loads(text: str) -> Any:
    # Models write line ends into strings as they are; strict JSON forbids that.
    return json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) < float("inf") else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"`{constant}` is not JSON")
