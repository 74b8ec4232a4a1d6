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
from qwen3cli.chat.limits import Limit
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings, Choose, Engine, GenerateRequest, ToolHost
from qwen3cli.chat.requests import raw_request, request_for
from qwen3cli.chat.rounds import STOPPED, Repeats, Round
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


def run_turn(
    engine: Engine,
    conversation: Conversation,
    text: str,
    settings: ChatSettings,
    *,
    quantized: bool,
    tools: ToolHost | None = None,
    choose: Choose | None = None,
) -> Iterator[Event]:
    """Say `text` and yield what happens; the conversation grows by the user's message and the replies.

    A turn that fails before it answered leaves the conversation as it was; a stopped one, and one that outgrows the
    context, keep what was said, and each call has a result. `choose` is asked what makes way at the limit.
    """
    start = len(conversation.turns)
    if settings.raw or not engine.has_template:
        yield from engine.generate(raw_request(settings, text, quantized=quantized))
        return
    conversation.append(Message("user", text))
    try:
        yield from _Loop(engine, conversation, settings, tools, choose, quantized=quantized).run()
    finally:
        if not any(message.role == "assistant" for message in conversation.turns[start:]):
            conversation.rewind(start)


def make_room(
    engine: Engine,
    conversation: Conversation,
    settings: ChatSettings,
    *,
    quantized: bool,
    tools: ToolHost | None = None,
    choose: Choose | None = None,
) -> Iterator[Event]:
    """Make room for another message after a reply that ran into the end of the context."""
    yield from _Loop(engine, conversation, settings, tools, choose, quantized=quantized).after_cut()


class _Loop:
    """The generations of one turn, and the tools between them."""

    def __init__(
        self,
        engine: Engine,
        conversation: Conversation,
        settings: ChatSettings,
        tools: ToolHost | None,
        choose: Choose | None,
        *,
        quantized: bool,
    ) -> None:
        self._limit = Limit(engine, conversation, settings, choose, quantized=quantized)
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
            request = self._request(self._conversation.messages)
            for line in self._tools.news() if self._tools is not None else ():
                yield Notice(line)
            try:
                request = yield from self._limit.make_room(request)
                yield from self._generate(request, reply)
            except (ContextFull, Interrupted) as error:
                yield from self._given_up(error)
                return
            ended = reply.ended
            if ended is None:
                raise RuntimeError("the engine stopped without a TurnEnded event")
            self._count(ended.stats)
            finish: Finish | None = ended.finish
            if reply.calls and self._tools is not None:
                finish = yield from self._run_tools(self._tools, reply.calls, ended)
                finish = finish or self._stopped_at(self._tools, number)
                if finish == "stop" and not self._failed.hopeless:
                    rounds = "1 round" if number == 1 else f"{number} rounds"
                    yield Notice(f"the model has called tools in {rounds} without an answer; stopped")
            if finish is not None:
                yield TurnEnded(finish, self._total or ended.stats)
                return

    def after_cut(self) -> Iterator[Event]:
        """Make room for another message."""
        yield from self._limit.after_cut(self._request((*self._conversation.messages, Message("user", ""))))

    def _given_up(self, error: ContextFull | Interrupted) -> Iterator[Event]:
        """End the turn where nothing could be generated; raises what is no end of a turn that has begun."""
        if isinstance(error, ContextFull):
            if self._total is None:
                raise error
            yield Notice(f"{error.message}; what the tools gave back stays in the conversation")
        size = self._engine.context_size
        yield TurnEnded(
            "context" if isinstance(error, ContextFull) else "interrupted",
            self._total or Stats(context_size=size),
        )

    def _count(self, stats: Stats) -> None:
        """Add a generation to the turn, and the summary that was written before it."""
        spent, self._limit.spent = self._limit.spent, None
        if spent is not None:
            stats = replace(spent.plus(stats), ttft_s=spent.prompt_s + spent.output_s + stats.ttft_s)
        self._total = self._total.plus(stats) if self._total else stats

    def _stopped_at(self, tools: ToolHost, rounds: int) -> Finish | None:
        """How the turn ends because it has called tools for so long; None if it goes on."""
        try:
            return None if tools.goes_on(rounds) else "stop"
        except Interrupted:
            return "interrupted"

    def _request(self, messages: tuple[Message, ...]) -> GenerateRequest:
        """The next request, with the tools that are on offer now."""
        request = request_for(self._engine, self._settings, messages, quantized=self._quantized)
        if self._tools is None:
            return request
        # Demanded is one call: after its result the model may answer.
        choice = "required" if self._demanded else "auto"
        return replace(request, tools=tuple(self._tools.tools()), tool_choice=choice)

    def _generate(self, request: GenerateRequest, reply: _Reply) -> Iterator[Event]:
        """One generation; what was said is in the conversation afterwards, even if the consumer walks away."""
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
        stopped, room = ended.finish == "interrupted", 0
        round_ = Round(tools, calls, self._failed)
        try:
            if ended.finish not in ("interrupted", "context"):
                room = yield from self._room_for_each(calls, ended.stats)
            if room >= _LEAST_ROOM:
                yield from round_.run(room)
        except Interrupted:
            stopped = True
        finally:
            full = room < _LEAST_ROOM and not stopped
            results = round_.results(_NO_ROOM if full else STOPPED)
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

    def _room_for_each(self, calls: Sequence[ToolCall], stats: Stats) -> Generator[Event, None, int]:
        """What each result may take of the context, in tokens; where that is too little, older turns may make way."""
        room = (stats.context_size - stats.context_used) // len(calls)
        if room >= _LEAST_ROOM:
            return room
        request = self._request(self._conversation.messages)
        try:
            request = yield from self._limit.make_room(request, _LEAST_ROOM * len(calls))
        except ContextFull as error:
            yield Notice(error.message)
            return 0
        return (self._engine.context_size - self._engine.count_prompt(request)) // len(calls)
