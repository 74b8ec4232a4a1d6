"""The end of the context: whether what comes next has room, and what becomes of the oldest turns where it has none.

Who decides is others' business. What was said stays in the conversation, whatever the model sees of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.cuts import Cuts
from qwen3cli.chat.events import Event, Notice, Stats, Text, Thinking, ToolCalled, TurnEnded, Working
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import ChatSettings, Choose, Engine, GenerateRequest, Making, Shortage, WhenFull
from qwen3cli.chat.thinking import ADVISED_BUDGET, ThinkingMode, will_think
from qwen3cli.errors import ContextFull, Interrupted, UsageError

AT_THE_END: dict[WhenFull, str] = {
    "ask": "you are asked what makes way",
    "summarise": "the oldest turns are summed up",
    "drop": "the oldest turns are dropped",
    "stop": "nothing more is sent",
}
"""What happens when the context is full, in words."""
_ANSWER = 256
"""Tokens under which an answer of some paragraphs is cut."""
_WANTED = 8
"""No answer wants more than a part of so many: half of what is freed, so that a freed context lasts for some turns."""
_FREED = 4
"""A part of so many is free after turns have made way: all after them is read anew, so that is not for every turn."""
_LONGEST_SUMMARY, _SHORTEST_SUMMARY = 1024, 32
_SUM_UP = (
    "Sum up our conversation so far, in at most {words} words: what was asked, found, decided and left open, with"
    " names, figures and paths as they are. Write only the summary, in the language that we speak."
)


def least_room(settings: ChatSettings, size: int, *, thinking: bool) -> int:
    """Tokens of a context of `size` that a prompt has to leave for its answer, and for the thinking before it."""
    wanted = _ANSWER
    if thinking:
        wanted += min(settings.think_budget or ADVISED_BUDGET, ADVISED_BUDGET)
    return min(wanted, settings.max_tokens or wanted, size // _WANTED)


def when_full_of(text: str, flag: str) -> WhenFull:
    """What a person has given to `flag`; raises `UsageError`."""
    for setting in AT_THE_END:
        if text.lower() == setting:
            return setting
    raise UsageError(f"`{flag}` takes ask, summarise, drop or stop" + (f", not `{text}`" if text else ""))


class Limit:
    """Makes room for the generations of one turn; what is chosen once holds for all of them."""

    def __init__(
        self,
        engine: Engine,
        conversation: Conversation,
        settings: ChatSettings,
        choose: Choose | None,
        *,
        quantized: bool,
    ) -> None:
        """`choose` asks the person where the settings say so; without it nothing makes way then."""
        self._engine = engine
        self._cuts = Cuts(engine, conversation)
        self._settings = settings
        self._choose = choose
        self._quantized = quantized
        self._chosen: Making | None = None
        self.spent: Stats | None = None
        """What summaries have taken."""

    def make_room(
        self, request: GenerateRequest, wanted: int | None = None
    ) -> Generator[Event, None, GenerateRequest]:
        """The request with room for `wanted` tokens, or for what an answer wants; older turns may have made way.

        Its messages are those of the conversation, and maybe one that is not part of it yet. Raises `ContextFull` when
        the turn is to stop, or when nothing makes room, and `Interrupted` when the person breaks it off: then the
        conversation is as it was.
        """
        size = self._engine.context_size
        if wanted is None:
            thinking = will_think(self._engine.thinking_mode, request.thinking, request.messages)
            wanted = least_room(self._settings, size, thinking=thinking)
        prompt = self._engine.count_prompt(request)
        if prompt + wanted <= size:
            return request
        if (cut := self._drop(request, prompt, wanted)) is not None:
            request = yield from self._relieve(request, cut, prompt, wanted)
            prompt = self._engine.count_prompt(request)
        if prompt >= size:
            raise self._cuts.refusal(request)
        if prompt + wanted > size:
            yield Notice(
                f"the prompt leaves {size - prompt:,} of the context's {size:,} tokens for the answer"
            )
        return request

    def after_cut(self, request: GenerateRequest) -> Iterator[Event]:
        """Make room after a reply that ran into the end of the context, for `request` with another message."""
        size = self._engine.context_size
        try:
            after = yield from self.make_room(request)
        except ContextFull as error:
            if not self._stops:
                yield Notice(f"{error.message}; the turn makes way when the next message needs its room")
            return
        if after is request:
            prompt = self._engine.count_prompt(request)
            yield Notice(
                f"without its thinking, {prompt:,} of {size:,} tokens are in use: the next message has room"
            )

    @property
    def _stops(self) -> bool:
        setting = self._settings.at_the_end
        return self._chosen == "stop" or setting == "stop" or (setting == "ask" and self._choose is None)

    def _drop(self, request: GenerateRequest, prompt: int, wanted: int) -> int | None:
        """Where to cut if what is before it is dropped; None if that would be of no use."""
        size, cuts = self._engine.context_size, self._cuts.all()
        cut = self._cuts.first(request, (max(wanted, size // _FREED), wanted))
        if cut is None and prompt >= size and cuts and self._cuts.left(request, cuts[-1]) < size:
            return cuts[-1]
        return cut

    def _relieve(
        self, request: GenerateRequest, cut: int, prompt: int, wanted: int
    ) -> Generator[Event, None, GenerateRequest]:
        """The request after the oldest turns have made way as was decided; `cut` is where, if they are dropped."""
        summing = self._summing(request, wanted)
        shortage = Shortage(prompt, wanted, self._engine.context_size, summing is not None)
        choice = yield from self._decide(shortage)
        if choice == "summarise" and summing is not None:
            found = yield from self._summarise(request, *summing)
            if found is not None:
                return found
            yield Notice("the model has written no summary")
            self._chosen = None
            choice = yield from self._decide(replace(shortage, summarisable=False))
        if choice == "stop":
            raise _stopped(shortage)
        if choice == "summarise":
            yield Notice("the oldest turns cannot be summed up, so they are dropped")
        named = self._cuts.named(request, cut)
        yield Notice(f"the context is full: the model does not see {named} any more")
        return self._cuts.make(request, cut)

    def _decide(self, shortage: Shortage) -> Generator[Event, None, Making]:
        """What is to be done: as it is set, or as the person says, who is asked once."""
        if self._settings.at_the_end != "ask":
            return self._settings.at_the_end
        if self._choose is None:
            return "stop"
        if self._chosen is None:
            yield Notice(f"the context is full: {_figures(shortage)}")
            self._chosen = self._choose(shortage)
        return self._chosen

    def _summing(self, request: GenerateRequest, wanted: int) -> tuple[int, GenerateRequest] | None:
        """Where to cut if a summary takes the place of what is before it, and what asks for it; None without room."""
        size = self._engine.context_size
        length = min(max(size // _WANTED, _SHORTEST_SUMMARY), _LONGEST_SUMMARY)
        always = self._engine.thinking_mode is ThinkingMode.ALWAYS
        most = 2 * length if always else length
        ask = Message("user", _SUM_UP.format(words=length // 2))
        asking = replace(
            request,
            sampling=self._settings.sampling.resolve(thinking=always, quantized=self._quantized),
            thinking=always,
            # A model that cannot do without is told to come to an end.
            think_budget=length // 2 if always else None,
            max_tokens=most,
            stop=(),
            format=None,
            tool_choice="none",
        )
        for free in (max(wanted, size // _FREED), wanted):
            cut = self._cuts.first(request, (free + most,), (ask, Message("assistant", "")))
            if cut is not None:
                # The tools stay in it, and with them what is evaluated already: the conversation, up to there.
                asked = replace(asking, messages=(*request.messages[: self._cuts.head + cut], ask))
                if self._engine.count_prompt(asked) + most <= size:
                    return cut, asked
        return None

    def _summarise(
        self, request: GenerateRequest, cut: int, asked: GenerateRequest
    ) -> Generator[Event, None, GenerateRequest | None]:
        """The request with what the model answers to `asked` in place of what is before the cut; None if nothing."""
        yield Notice(f"the context is full: the model sums up {self._cuts.named(request, cut)}")
        written: list[str] = []
        called = False
        for event in self._engine.generate(asked):
            if isinstance(event, TurnEnded):
                self.spent = self.spent.plus(event.stats) if self.spent else event.stats
                if event.finish == "interrupted":
                    raise Interrupted
            elif isinstance(event, (Text, Thinking)):
                written += [event.text] if isinstance(event, Text) else []
                yield Working(f"summing up: {len(written):,} tokens")
            elif isinstance(event, ToolCalled):
                called = True
            else:
                yield event
        summary = "".join(written).strip()
        if called or not summary:
            return None
        yield Notice(f"in their place it sees a summary of {self._engine.count_tokens(summary):,} tokens")
        return self._cuts.make(request, cut, (asked.messages[-1], Message("assistant", summary)))


def _figures(shortage: Shortage) -> str:
    return (
        f"the prompt has {shortage.prompt:,} of {shortage.size:,} tokens, and an answer should have"
        f" {shortage.wanted:,}"
    )


def _stopped(shortage: Shortage) -> ContextFull:
    return ContextFull(
        shortage.prompt,
        shortage.size,
        f"the context is full: {_figures(shortage)}",
        "shorten it, or have the oldest turns make way: `--when-full drop`, in a chat `/set when-full drop`",
    )
