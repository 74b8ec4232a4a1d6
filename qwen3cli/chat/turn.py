"""One turn of a conversation: model, tools, model again, until the model has answered. The only such loop."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import count

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import (
    Event,
    Finish,
    Notice,
    Stats,
    Text,
    Thinking,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings, Engine, GenerateRequest, ToolHost
from qwen3cli.chat.rounds import STOPPED, Repeats, Round
from qwen3cli.chat.thinking import ADVISED_BUDGET, ThinkingMode, hard_switch, will_think
from qwen3cli.errors import ContextFull, Interrupted

_LEAST_ROOM = 128
"""Tokens of the context for each call, under which none is run: what it did would not come to be known."""
_NO_ROOM = "This call was not run: the context has no room for its result."
_BROKEN_OFF = "This call was not run: the reply broke off."


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
    return will_think(engine.thinking_mode, switch(engine, settings), messages)


def request_for(
    engine: Engine, settings: ChatSettings, messages: tuple[Message, ...], *, quantized: bool
) -> GenerateRequest:
    """The request of a chat turn: switch, budget, and the mode's sampling preset under the user's values."""
    thinking = thinks_next(engine, settings, messages)
    return GenerateRequest(
        sampling=settings.sampling.resolve(thinking=thinking, quantized=quantized),
        messages=messages,
        thinking=switch(engine, settings),
        think_budget=settings.think_budget or None,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        format=settings.format,
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

    A turn that fails before it answered, or that outgrows the context, leaves the conversation as it was; a stopped
    one keeps what was said, and each call has a result.
    """
    start = len(conversation.turns)
    if settings.raw or not engine.has_template:
        yield from engine.generate(_raw_request(settings, text, quantized=quantized))
        return
    conversation.append(Message("user", text))
    loop = _Loop(engine, conversation, settings, tools, quantized=quantized)
    try:
        yield from loop.run()
    except ContextFull:
        if len(conversation.turns) > start + 1:
            yield Notice("with what the tools gave back the context is full, so the whole turn is taken back")
        conversation.rewind(start)
        raise
    finally:
        if not any(message.role == "assistant" for message in conversation.turns[start:]):
            conversation.rewind(start)


class _Loop:
    """The generations of one turn, and the tools between them."""

    def __init__(
        self,
        engine: Engine,
        conversation: Conversation,
        settings: ChatSettings,
        tools: ToolHost | None,
        *,
        quantized: bool,
    ) -> None:
        self._engine = engine
        self._conversation = conversation
        self._settings = settings
        self._tools = tools if settings.tool_choice != "none" else None
        self._quantized = quantized
        self._total: Stats | None = None
        self._failed = Repeats()
        self._demanded = settings.tool_choice == "required"

    def run(self) -> Iterator[Event]:
        """Generate, run tools, generate again, until the model has answered or somebody stops it."""
        for number in count(1):
            reply = _Reply()
            yield from self._generate(reply)
            ended = reply.ended
            if ended is None:
                raise RuntimeError("the engine stopped without a TurnEnded event")
            self._total = self._total.plus(ended.stats) if self._total else ended.stats
            finish: Finish | None = ended.finish
            if reply.calls and self._tools is not None:
                finish = yield from self._run_tools(self._tools, reply.calls, ended)
                finish = finish or self._stopped_at(self._tools, number)
                if finish == "stop" and not self._failed.hopeless:
                    rounds = "1 round" if number == 1 else f"{number} rounds"
                    yield Notice(f"the model has called tools in {rounds} without an answer; stopped")
            if finish is not None:
                yield TurnEnded(finish, self._total)
                return

    def _stopped_at(self, tools: ToolHost, rounds: int) -> Finish | None:
        """How the turn ends because it has called tools for so long; None if it goes on."""
        try:
            return None if tools.goes_on(rounds) else "stop"
        except Interrupted:
            return "interrupted"

    def _generate(self, reply: _Reply) -> Iterator[Event]:
        """One generation; what was said is in the conversation afterwards, even if the consumer walks away."""
        messages = self._conversation.messages
        request = request_for(self._engine, self._settings, messages, quantized=self._quantized)
        if self._tools is not None:
            # Demanded is one call: after its result the model may answer.
            choice = "required" if self._demanded else "auto"
            request = replace(request, tools=tuple(self._tools.tools()), tool_choice=choice)
            for line in self._tools.news():
                yield Notice(line)
        try:
            for event in self._engine.generate(request):
                reply.take(event)
                if not isinstance(event, TurnEnded):
                    yield event
        finally:
            message = reply.message()
            # An answer may be empty; one that was stopped before its first word is none.
            answered = reply.ended is not None and reply.ended.finish != "interrupted"
            if message.content or message.tool_calls or answered:
                self._conversation.append(message)
            if reply.ended is None:
                self._conversation.append(*(Message("tool", _BROKEN_OFF) for _ in reply.calls))

    def _run_tools(
        self, tools: ToolHost, calls: Sequence[ToolCall], ended: TurnEnded
    ) -> Generator[Event, None, Finish | None]:
        """Run the calls of one reply; each has its result in the conversation, whatever happens meanwhile."""
        size = ended.stats.context_size
        free = max(0, size - ended.stats.context_used)
        full = ended.finish == "context" or (size > 0 and free < _LEAST_ROOM * len(calls))
        stopped = ended.finish == "interrupted"
        round_ = Round(tools, calls, free // len(calls), self._failed)
        try:
            if not full and not stopped:
                yield from round_.run()
        finally:
            results = round_.results(_NO_ROOM if full and not stopped else STOPPED)
            self._conversation.append(*(Message("tool", result.content) for result in results))
        for result in results:
            yield ToolReturned(result)
        for line in tools.news():
            yield Notice(line)
        self._demanded &= round_.only_searched
        if stopped or round_.interrupted:
            return "interrupted"
        if full:
            return "context"
        if self._failed.hopeless:
            yield Notice("the model repeats tool calls that have failed; stopped")
            return "stop"
        return None


def switch(engine: Engine, settings: ChatSettings) -> bool:
    """The hard switch of the next request."""
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
