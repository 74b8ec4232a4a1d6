"""LlamaEngine: a model file behind the `Engine` port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from qwen3cli.chat.events import Event
from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines.llama.ahead import Ahead
from qwen3cli.engines.llama.drafting import appender
from qwen3cli.engines.llama.gate import Grammars
from qwen3cli.engines.llama.generate import Generation, Prompt
from qwen3cli.engines.llama.kept import LEAST, Kept, identity
from qwen3cli.engines.llama.loading import load
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.prompts import Prompts
from qwen3cli.engines.llama.worker import Emit, Worker
from qwen3cli.engines.prefixes import Keeping, PrefixFiles
from qwen3cli.errors import ContextFull, QwenError
from qwen3cli.machine import LOOKED_UP, Drafts, ModelFacts, Placement


def _is_stable(messages: Sequence[Message]) -> bool:
    """Whether other conversations begin with the same: nobody has said anything yet."""
    return all(message.role == "system" for message in messages)


class LlamaEngine:
    """One model, one context, one generation at a time; the evaluated prompt is kept between them."""

    def __init__(
        self,
        facts: ModelFacts,
        placement: Placement,
        progress: Callable[[float], None],
        stop: threading.Event,
        keeping: Keeping | None = None,
        drafts: Drafts = LOOKED_UP,
    ) -> None:
        """Load the model; `progress` gets 0 to 1, and a set `stop` ends it with `Interrupted`.

        What is evaluated and will be needed by other processes, too, is kept where `keeping` says.
        """
        self._name = facts.name
        self._worker = Worker()
        self._busy = self._closed = False
        self._ahead: Ahead | None = None
        self._counting = threading.Lock()
        started = time.monotonic()
        try:
            self._loaded = load(self._worker, facts, placement, drafts, progress, stop)
        except BaseException:
            stop.set()
            self._worker.abandon()
            raise
        self._load_s = time.monotonic() - started
        self._weights, self._context = self._loaded.weights, self._loaded.context
        vocabulary = self._weights.vocabulary
        self._grammars = Grammars(vocabulary)
        self._prompts = Prompts(vocabulary, self._weights.chat_template)
        self._drafter = appender(self._loaded, lookup=drafts.lookup)
        self._kept = None
        if keeping is not None:
            self._kept = Kept(self._context, PrefixFiles(keeping, identity(facts, placement)))

    @property
    def context_size(self) -> int:
        """Tokens the context holds."""
        return self._context.size

    @property
    def has_template(self) -> bool:
        """Whether conversations can be rendered; without it only `raw` requests make sense."""
        return self._prompts.has_template

    @property
    def thinking_mode(self) -> ThinkingMode:
        """What the model's own template shows of its thinking; a broken template shows nothing."""
        return self._prompts.thinking_mode

    @property
    def takes_tools(self) -> bool:
        """Whether the model's own template shows it the tools on offer; a broken template shows nothing."""
        return self._prompts.takes_tools

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Prefill, Thinking, Text, ToolCalled and Notice events as they come, then one TurnEnded.

        Raises `ContextFull` when the prompt does not fit, before any event. An iterator that is closed
        early cancels its generation.
        """
        if self._busy:
            raise QwenError("a reply is being generated already")
        self._busy = True
        started = time.monotonic()
        try:
            prompt = self._prompt(request)
            if len(prompt.tokens) > self.context_size:
                raise ContextFull(len(prompt.tokens), self.context_size)
            self._make_way(prompt.tokens)
            generation = Generation(
                self._context,
                self._weights.vocabulary,
                self._grammars,
                request,
                prompt,
                self._drafter,
                self._kept,
            )
            load_s, self._load_s = self._load_s, 0.0
            yield from self._run(generation, load_s, started)
        finally:
            self._busy = False

    def expect(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        thinking: bool = True,
        session: str | None = None,
    ) -> None:
        """Evaluate what every prompt with another message of the user begins with; returns at once.

        The next `generate` ends it, and goes on from where it has come; so does another `expect`. What a `session`
        goes on with is kept for later processes.
        """
        if not self.has_template or self._closed:
            return
        before = tuple(messages)
        self._make_way(())
        self._ahead = Ahead(
            self._context,
            lambda: self._prompts.beginning(before, tools, thinking=thinking),
            self._kept,
            stable=_is_stable(before),
            session=session,
            then=self._drafter.ahead,
        )
        self._worker.post(self._ahead.run)

    def expected_tokens(self, patience: float = 0.0) -> int | None:
        """How many tokens the prompt begins with that `expect` was told of last; None while that is not known.

        It is waited for so many seconds.
        """
        ahead = self._ahead
        return ahead.count(patience) if ahead is not None else None

    def count_prompt(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of this request has; nothing is evaluated."""
        return len(self._prompts.of(request)[0])

    def _prompt(self, request: GenerateRequest) -> Prompt:
        tokens, opened = self._prompts.of(request)
        before, stable = request.messages[:-1], 0
        new = len(tokens) - common_prefix(self._context.tokens, tokens)
        if request.raw is None and self._kept is not None and new >= LEAST and _is_stable(before):
            beginning = self._prompts.beginning(before, request.tools, thinking=request.thinking)
            # Nothing of what is said goes to the disk, whoever says it.
            stable = common_prefix(beginning, tokens)
        return Prompt(tokens, opened, stable)

    def _make_way(self, prompt: Sequence[int]) -> None:
        if self._ahead is not None:
            self._ahead.make_way(prompt)
            self._ahead = None

    def _run(self, generation: Generation, load_s: float, asked: float) -> Iterator[Event]:
        def job(emit: Emit[Event]) -> None:
            self._context.halt.resume()
            generation.run(emit, model=self._name, load_s=load_s, asked=asked)

        try:
            yield from self._worker.stream(job)
        except BaseException:
            # Whoever closed the iterator or broke out of waiting gets an engine that is idle again.
            self.cancel()
            self._worker.run(lambda: None)
            self.allow()
            raise

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` takes as it stands; callable from any thread, also during a generation."""
        with self._counting:
            if self._closed:
                raise QwenError("the model is closed")
            return len(self._weights.vocabulary.tokenize(text))

    def cancel(self) -> None:
        """Stop the running generation soon, and each later one until `allow`.

        Callable from a signal handler or another thread.
        """
        self._context.halt.cancel()
        self._prompts.interrupt()

    def allow(self) -> None:
        """Take an earlier `cancel` back."""
        self._context.halt.allow()

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        with self._counting:
            if self._closed:
                return
            self._closed = True
        ahead = self._ahead
        if ahead is not None:
            ahead.end()
        self._make_way(())
        self.cancel()
        if ahead is not None:
            self._worker.run(ahead.keep_last)
        if self._kept is not None:
            # There, for what was evaluated ahead may be about to be written.
            self._worker.run(self._kept.finish)
        self._worker.run(self._loaded.free)
        self._worker.close()
        self._prompts.close()
