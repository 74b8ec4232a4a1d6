"""ReplyParser: the text a model streams becomes thinking, answer and tool calls.

A pure state machine; it knows nothing of tokens, templates and screens.

A tag counts as a tag only where it can mean something: `<think>` at the very beginning, `</think>` in
the thinking, `<tool_call>` in the answer when tools are on offer. Anywhere else it is text. Where a
vocabulary has a tag as one token, only that token is the tag (`tag`), and the same characters written
one by one are text: a model that quotes `</think>` while it thinks goes on thinking.
"""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Any, NoReturn, cast

from qwen3cli.chat.events import Notice, Text, Thinking, ToolCalled
from qwen3cli.chat.messages import ToolCall

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"
TAGS = (THINK_OPEN, THINK_CLOSE, CALL_OPEN, CALL_CLOSE)

ReplyEvent = Thinking | Text | ToolCalled | Notice


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
        self._tokens = tokens
        self._pending = ""
        self._fresh = True  # nothing of this phase was shown: the line ends that lead it are dropped
        self._looked = 0  # in a call: where the next tag can begin
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
    def call(self) -> str | None:
        """What was written so far of the call that the reply is inside of; None outside."""
        return self._pending if self._phase is _Phase.CALL else None

    def feed(self, text: str) -> list[ReplyEvent]:
        """Take some text of the reply."""
        self._pending += text
        events: list[ReplyEvent] = []
        while self._step(events):
            pass
        return events

    def tag(self, tag: str) -> list[ReplyEvent]:
        """Take a tag that came as a token of its own."""
        if not self._counts(tag, self._pending):
            return self.feed(tag)
        events: list[ReplyEvent] = []
        self._enter(tag, events)
        return events

    def finish(self) -> list[ReplyEvent]:
        """The reply is over: what was held back in case a tag came is what it looks like."""
        events: list[ReplyEvent] = []
        if self._phase is _Phase.CALL:
            self._close_call("", events)
        elif self._phase is _Phase.THINKING:
            self._show(Thinking, self._pending.rstrip(), events)
        else:
            self._show(Text, self._pending, events)
        self._pending = ""
        return events

    def _counts(self, tag: str, before: str) -> bool:
        """Whether a tag that follows the pending text `before` is more than text."""
        if tag == THINK_OPEN:
            leads = self._phase is _Phase.START or (self._phase is _Phase.THINKING and self._opened)
            return leads and self._fresh and not before.strip()
        if tag == THINK_CLOSE:
            return self._phase is _Phase.THINKING
        if self._phase is _Phase.CALL:
            return not self._quotes.inside(before)
        return tag == CALL_OPEN and self._tools and self._phase in (_Phase.START, _Phase.ANSWER)

    def _enter(self, tag: str, events: list[ReplyEvent]) -> None:
        """Act on a tag that counts and follows everything pending."""
        if self._phase is _Phase.CALL:
            self._close_call(tag if tag == CALL_CLOSE else "", events)
        elif self._phase is _Phase.THINKING:
            self._show(Thinking, self._pending.rstrip(), events)
        else:
            self._show(Text, self._pending.rstrip("\n"), events)
        self._phase = {THINK_OPEN: _Phase.THINKING, CALL_OPEN: _Phase.CALL}.get(tag, _Phase.ANSWER)
        self._pending, self._fresh = "", True
        self._looked, self._quotes = 0, _Quotes()

    def _step(self, events: list[ReplyEvent]) -> bool:
        """Consume what is certain; True when the phase changed and the rest needs another look."""
        for at, tag in self._occurrences():
            before, after = self._pending[:at], self._pending[at + len(tag) :]
            if self._counts(tag, before):
                self._pending = before
                self._enter(tag, events)
                self._pending = after
                return True
            self._looked = at + 1
        if self._phase is _Phase.START and self._pending.strip() and not self._begins_a_tag():
            self._phase, self._fresh = _Phase.ANSWER, False
        if self._phase is _Phase.CALL:
            self._looked = max(self._looked, len(self._pending) - len(CALL_CLOSE) + 1)
            return False
        self._looked = 0
        if self._phase in (_Phase.THINKING, _Phase.ANSWER):
            certain = self._certain()
            ready, self._pending = self._pending[:certain], self._pending[certain:]
            self._show(Thinking if self.thinking else Text, ready, events)
        return False

    def _written(self) -> list[str]:
        """The tags that are looked for in text rather than taken from tokens."""
        return [tag for tag in TAGS if tag not in self._tokens]

    def _occurrences(self) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for tag in self._written():
            at = self._pending.find(tag, self._looked)
            while at >= 0:
                found.append((at, tag))
                at = self._pending.find(tag, at + 1)
        return sorted(found)

    def _begins_a_tag(self) -> bool:
        text = self._pending.lstrip()
        return any(tag.startswith(text) and self._counts(tag, "") for tag in self._written())

    def _certain(self) -> int:
        """How much of the pending text can be shown whatever comes next.

        A beginning of a tag waits for its rest, and so do line ends, which belong to a tag that follows.
        """
        end = len(self._pending)
        for tag in self._written():
            for length in range(min(len(tag) - 1, len(self._pending)), 0, -1):
                if self._pending.endswith(tag[:length]) and self._counts(tag, self._pending[:-length]):
                    end = min(end, len(self._pending) - length)
                    break
        if self._phase is _Phase.THINKING:
            return len(self._pending[:end].rstrip())
        return len(self._pending[:end].rstrip("\n")) if self._tools else end

    def _show(self, kind: type[Thinking] | type[Text], text: str, events: list[ReplyEvent]) -> None:
        if self._fresh:
            text = text.lstrip() if kind is Thinking else text.lstrip("\n")
        if text:
            self._fresh = False
            events.append(kind(text))

    def _close_call(self, close: str, events: list[ReplyEvent]) -> None:
        call = _parse_call(self._pending)
        if call is not None:
            events.append(ToolCalled(call))
            return
        events.append(Text(CALL_OPEN + self._pending + close))
        what = "wrote a tool call that cannot be read" if close else "ended in the middle of a tool call"
        events.append(Notice(f"the model {what}; it is shown as text"))


class _Quotes:
    """Tells of growing JSON text whether it ends within a string, where a tag belongs to the string."""

    def __init__(self) -> None:
        self._read = 0
        self._inside = self._escaped = False

    def inside(self, text: str) -> bool:
        """Whether `text`, which goes on from what was given before, ends within a string."""
        for character in text[self._read :]:
            if self._escaped:
                self._escaped = False
            elif self._inside and character == "\\":
                self._escaped = True
            elif character == '"':
                self._inside = not self._inside
        self._read = len(text)
        return self._inside


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
    return ToolCall(name, cast("dict[str, Any]", arguments))


def _loads(text: str) -> Any:
    # Models write line ends into strings as they are; strict JSON forbids that.
    return json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) < float("inf") else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"`{constant}` is not JSON")
