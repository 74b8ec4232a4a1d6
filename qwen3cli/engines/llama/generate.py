"""One generation: prefill, draw, parse, until something ends it. Runs on the thread that owns the context.

Knows nothing of templates and threads.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from dataclasses import dataclass

from qwen3cli.chat.events import Event, Finish, Notice, Prefill, Stats, Text, ToolCalled, TurnEnded
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.chat.thinking import EARLY_STOP
from qwen3cli.engines.llama.constraint import TooSlow
from qwen3cli.engines.llama.context import Cancelled, Context
from qwen3cli.engines.llama.drafting import Appender
from qwen3cli.engines.llama.gate import Gate, Grammars
from qwen3cli.engines.llama.kept import LEAST, Kept
from qwen3cli.engines.llama.sampler import Sampler
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.reply import TAGS, ReplyEvent, ReplyParser
from qwen3cli.engines.stopping import StopText
from qwen3cli.errors import InvalidFile


@dataclass(frozen=True)
class Prompt:
    """What is evaluated: token ids, and whether they end inside a `<think>` that the template opened.

    The first `stable` of them are what every conversation with this system prompt and these tools begins with; 0 says
    that nobody has looked.
    """

    tokens: list[int]
    opened: bool = False
    stable: int = 0


class Generation:
    """The state of one reply; `run` is called once."""

    def __init__(
        self,
        context: Context,
        vocabulary: Vocabulary,
        grammars: Grammars,
        request: GenerateRequest,
        prompt: Prompt,
        drafter: Appender,
        kept: Kept | None = None,
    ) -> None:
        self._kept = kept
        self._context = context
        self._drafter = drafter
        self._vocabulary = vocabulary
        self._request = request
        self._prompt = prompt
        self._tags = {vocabulary.specials[tag]: tag for tag in TAGS if tag in vocabulary.specials}
        self._parser: ReplyParser | None = None
        self._gate: Gate | None = None
        if request.raw is None:
            tokens = frozenset(self._tags.values())
            self._parser = ReplyParser(opened=prompt.opened, tools=bool(request.tools), tokens=tokens)
            self._gate = Gate(grammars, request, self._parser, lambda text: self._emit(Notice(text)))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = StopText(request.stop)
        self._budget = request.think_budget if self._parser else None
        self._owed: list[int] = []  # what ends the thinking, in the model's place
        self._called_tools = False
        self._cached = self._evaluated = 0
        self._thinking_tokens = self._output_tokens = 0

    def run(self, emit: Callable[[Event], None], *, model: str, load_s: float, asked: float) -> None:
        """Generate; the last event is TurnEnded. A cancelled context ends it as "interrupted".

        `asked` is the time, as of `time.monotonic`, from which the first token is waited for.
        """
        self._emit = emit
        started = time.monotonic()
        prefilled = first = None
        sampler = Sampler(self._request.sampling, self._vocabulary.size, self._context.size)
        try:
            self._prefill()
            self._drafter.begin()
            prefilled = time.monotonic()
            token = self._draw(sampler)
            first = time.monotonic()
            finish = self._continue(sampler, token)
        except Cancelled:
            finish: Finish = "interrupted"
        finally:
            sampler.free()
            if self._gate is not None:
                self._gate.close()
        self._flush()
        ended = time.monotonic()
        stats = Stats(
            model=model,
            load_s=load_s,
            prompt_tokens=len(self._prompt.tokens),
            cached_tokens=self._cached,
            evaluated_tokens=self._evaluated,
            prompt_s=(prefilled or ended) - started,
            ttft_s=(first or ended) - asked,
            thinking_tokens=self._thinking_tokens,
            output_tokens=self._output_tokens,
            drafted_tokens=self._drafter.drafted,
            accepted_tokens=self._drafter.accepted,
            output_s=ended - (first or ended),
            context_used=len(self._context.tokens),
            context_size=self._context.size,
        )
        emit(TurnEnded("tool_calls" if finish == "stop" and self._called_tools else finish, stats))

    def _prefill(self) -> None:
        tokens = self._prompt.tokens
        if self._kept is not None:
            self._kept.bring(tokens)
        self._cached = self._context.keep_prefix(tokens)
        total = len(tokens) - self._cached
        self._emit(Prefill(0, total))
        if self._gate is not None:
            self._gate.prepare()
        if self._kept is not None and self._prompt.stable - self._cached >= LEAST:
            self._evaluate(tokens[self._cached : self._prompt.stable], total)
            self._kept.keep()
        self._evaluate(tokens[len(self._context.tokens) :], total)
        if not self._context.computes():
            raise InvalidFile("the model computes no numbers: its weights are damaged", "fetch it again")

    def _evaluate(self, tokens: list[int], total: int) -> None:
        before, batches = self._evaluated, self._context.evaluate(tokens)
        for done in self._kept.timed(batches) if self._kept is not None else batches:
            self._evaluated = before + done
            self._emit(Prefill(self._evaluated, total))

    def _draw(self, sampler: Sampler) -> int:
        """The next token, within the grammar that is in force, if one is."""
        gate = self._gate
        if gate is None:
            return sampler.draw(self._context)
        gate.look()
        if gate.constraint is None:
            if self._owed:
                return self._owed.pop(0)
            token = sampler.draw(self._context)
            if not (gate.demands and self._vocabulary.is_end(token)):
                return token
            # A model that ends while it thinks has not given what was demanded.
            first, *self._owed = gate.think_close
            return first
        try:
            token = sampler.draw_within(self._context, gate.constraint, gate.besides)
            if token is not None:
                return token
            gate.give_up("no token of this model can go on with it")
        except TooSlow as refusal:
            gate.give_up(str(refusal))
        return sampler.draw(self._context)

    def _continue(self, sampler: Sampler, token: int) -> Finish:
        """From the first drawn token to the end."""
        while not self._vocabulary.is_end(token):
            self._take(token)
            pending = [token]
            if self._stop.hit:
                return "stop"
            if not self._may_say(1):
                return "length"
            if self._spent():
                sentence = self._vocabulary.tokenize(EARLY_STOP)
                if not self._may_say(len(sentence)):
                    return "length"
                pending += sentence
            if len(pending) > self._context.room:
                return "context"
            if len(pending) > 1:
                self._end_thinking(pending[1:])
            if len(pending) == 1:
                self._drafter.append(token, self._left())
            else:
                for _ in self._context.evaluate(pending):
                    pass
            token = self._draw(sampler)
        return "stop"

    def _spent(self) -> bool:
        """Whether the thinking has used up its budget; never in the middle of a character."""
        if self._parser is None or self._budget is None or not self._parser.thinking:
            return False
        return self._thinking_tokens >= self._budget and not self._decoder.getstate()[0]

    def _may_say(self, count: int) -> bool:
        most = self._request.max_tokens
        return most is None or self._output_tokens + count <= most

    def _left(self) -> int:
        """How many tokens may come after the next one."""
        room = self._context.room - 1
        most = self._request.max_tokens
        return room if most is None else min(room, most - self._output_tokens)

    def _end_thinking(self, tokens: list[int]) -> None:
        """Say Qwen's own sentence, which is `tokens`, in the model's place; it counts like any other text."""
        self._emit(Notice(f"the thinking was ended at its budget of {self._budget:,} tokens"))
        for token in tokens:
            self._take(token)

    def _take(self, token: int) -> None:
        """Count a token of the reply and show what it says."""
        self._output_tokens += 1
        if self._parser is None:
            self._show([Text(self._decoder.decode(self._vocabulary.piece(token)))])
            return
        thought = self._parser.thinking
        tag = self._tags.get(token)
        if tag is None:
            self._show(self._parser.feed(self._decoder.decode(self._vocabulary.piece(token))))
        else:
            self._show(self._parser.feed(self._broken_character()))
            self._show(self._parser.tag(tag))
        self._thinking_tokens += thought and self._parser.thinking

    def _broken_character(self) -> str:
        """The replacement character, if bytes of an unfinished one were left."""
        text = self._decoder.decode(b"", True)
        self._decoder.reset()
        return text

    def _show(self, events: list[Text] | list[ReplyEvent]) -> None:
        for event in events:
            if isinstance(event, Text):
                self._say(self._stop.feed(event.text))
            else:
                self._say(self._stop.finish())
                self._emit(event)
                if isinstance(event, ToolCalled):
                    self._called_tools = True
                    if self._gate is not None:
                        self._gate.called(event.call.name)

    def _say(self, text: str) -> None:
        if text:
            self._emit(Text(text))

    def _flush(self) -> None:
        """Show what was held back."""
        rest = self._broken_character()
        self._show([Text(rest)] if self._parser is None else self._parser.feed(rest) + self._parser.finish())
        self._say(self._stop.finish())
