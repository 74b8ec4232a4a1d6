"""One turn of a conversation: model, tools, model again, until the model has answered. The only such loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Stats, Text, Thinking, ToolCalled, ToolReturned, TurnEnded
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings, Engine, GenerateRequest, ToolHost
from qwen3cli.chat.thinking import ADVISED_BUDGET, ThinkingMode, hard_switch, will_think

MAX_ROUNDS = 16
"""Generations in one turn: a model that keeps calling tools is stopped here, aloud."""


class _Reply:
    """Collects the events of one generation into an assistant message."""

    def __init__(self) -> None:
        self.thinking: list[str] = []
        self.text: list[str] = []
        self.calls: list[ToolCall] = []
        self.ended: TurnEnded | None = None

    def take(self, event: Event) -> None:
        """File one event."""
        if isinstance(event, Thinking):
            self.thinking.append(event.text)
        elif isinstance(event, Text):
            self.text.append(event.text)
        elif isinstance(event, ToolCalled):
            self.calls.append(event.call)
        elif isinstance(event, TurnEnded):
            self.ended = event

    def message(self) -> Message:
        """What goes into the conversation."""
        return Message("assistant", "".join(self.text), "".join(self.thinking), tuple(self.calls))


def thinks_next(engine: Engine, settings: ChatSettings, messages: tuple[Message, ...]) -> bool:
    """Whether the next generation is to be expected to think: kind of model, hard switch, soft switches."""
    if settings.raw or not engine.has_template:
        return False
    return will_think(engine.thinking_mode, _switch(engine, settings), messages)


def request_for(
    engine: Engine, settings: ChatSettings, messages: tuple[Message, ...], *, quantized: bool
) -> GenerateRequest:
    """The request of a chat turn: switch, budget, and the mode's sampling preset under the user's values."""
    thinking = thinks_next(engine, settings, messages)
    return GenerateRequest(
        sampling=settings.sampling.resolve(thinking=thinking, quantized=quantized),
        messages=messages,
        thinking=_switch(engine, settings),
        think_budget=settings.think_budget or None,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )


def advice(settings: ChatSettings, *, thinking: bool) -> list[str]:
    """What a person should know about settings that are allowed but harm the answers."""
    lines: list[str] = []
    if thinking and settings.sampling.temperature == 0:
        lines.append(
            "greedy decoding makes Qwen3 repeat itself while thinking; its cards ask for temperature 0.6"
        )
    budget = settings.think_budget
    if thinking and budget is not None and 0 < budget < ADVISED_BUDGET:
        lines.append(f"a thinking budget under {ADVISED_BUDGET:,} tokens costs answer quality")
    return lines


def run_turn(
    engine: Engine,
    conversation: Conversation,
    text: str,
    settings: ChatSettings,
    *,
    quantized: bool,
    tools: ToolHost | None = None,
) -> Iterator[Event]:
    """Say `text` and yield what happens; the conversation grows by the user's message and the replies.

    A turn that fails before it answered leaves the conversation as it was; a stopped one keeps what was said.
    """
    start = len(conversation.turns)
    if settings.raw or not engine.has_template:
        yield from engine.generate(_raw_request(settings, text, quantized=quantized))
        return
    conversation.append(Message("user", text))
    total: Stats | None = None
    try:
        for _ in range(MAX_ROUNDS):
            reply = _Reply()
            yield from _generate(engine, conversation, settings, reply, quantized=quantized, tools=tools)
            ended = reply.ended
            if ended is None:
                raise RuntimeError("the engine stopped without a TurnEnded event")
            total = total.plus(ended.stats) if total else ended.stats
            if not reply.calls or tools is None or ended.finish == "interrupted":
                yield TurnEnded(ended.finish, total)
                return
            yield from _run_tools(conversation, tools, reply.calls)
        yield Notice(f"the model called tools {MAX_ROUNDS} times in a row; stopped")
        yield TurnEnded("length", total or Stats())
    finally:
        if not any(message.role == "assistant" for message in conversation.turns[start:]):
            conversation.rewind(start)


def _switch(engine: Engine, settings: ChatSettings) -> bool:
    wanted = settings.thinking
    # A budget of nothing is the hard switch: forcing an end at once would only add a sentence to the context.
    if settings.think_budget == 0 and engine.thinking_mode is ThinkingMode.HYBRID:
        wanted = False
    return hard_switch(engine.thinking_mode, wanted)


def _raw_request(settings: ChatSettings, text: str, *, quantized: bool) -> GenerateRequest:
    return GenerateRequest(
        sampling=settings.sampling.resolve(thinking=False, quantized=quantized),
        raw=text,
        thinking=False,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )


def _generate(
    engine: Engine,
    conversation: Conversation,
    settings: ChatSettings,
    reply: _Reply,
    *,
    quantized: bool,
    tools: ToolHost | None,
) -> Iterator[Event]:
    """One generation; what was said is in the conversation afterwards, even if the consumer walks away."""
    request = request_for(engine, settings, conversation.messages, quantized=quantized)
    if tools is not None:
        request = replace(request, tools=tuple(tools.tools()))
    try:
        for event in engine.generate(request):
            reply.take(event)
            if not isinstance(event, TurnEnded):
                yield event
    finally:
        message = reply.message()
        # An answer may be empty; one that was stopped before its first word is none.
        answered = reply.ended is not None and reply.ended.finish != "interrupted"
        if message.content or message.tool_calls or answered:
            conversation.append(message)


def _run_tools(conversation: Conversation, tools: ToolHost, calls: list[ToolCall]) -> Iterator[Event]:
    for call in calls:
        result = tools.call(call)
        conversation.append(Message("tool", result.content))
        yield ToolReturned(result)
