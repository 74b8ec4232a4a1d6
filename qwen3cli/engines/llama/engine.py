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
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.drafting import Drafter
from qwen3cli.engines.llama.gate import Grammars
from qwen3cli.engines.llama.generate import Generation, Prompt
from qwen3cli.engines.llama.kept import LEAST, Kept, identity
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.engines.llama.worker import Emit, Worker
from qwen3cli.engines.prefixes import Keeping, PrefixFiles
from qwen3cli.engines.template import ChatTemplate, RenderedPrompt
from qwen3cli.errors import ContextFull, Interrupted, InvalidFile, QwenError, UsageError
from qwen3cli.machine import ModelFacts, Placement

_PLACEHOLDERS = "a", "1"
"""What is said next, in two ways: up to where their prompts differ, every prompt is the same."""
_PATIENCE_S = 0.3
"""How long a stopped load is waited for: mapping a large file cannot be interrupted, only left alone."""


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
    ) -> None:
        """Load the model; `progress` gets 0 to 1, and a set `stop` ends it with `Interrupted`.

        What is evaluated and will be needed by other processes, too, is kept where `keeping` says.
        """
        self._name = facts.name
        self._worker = Worker()
        self._busy = self._closed = False
        self._ahead: Ahead | None = None
        self._counting = threading.Lock()
        self._thinking_mode: ThinkingMode | None = None
        started = time.monotonic()
        try:
            self._load(facts, placement, progress, stop)
        except BaseException:
            stop.set()
            self._worker.abandon()
            raise
        self._load_s = time.monotonic() - started
        vocabulary = self._weights.vocabulary
        self._grammars = Grammars(vocabulary)
        self._drafter = Drafter(self._context)
        self._kept = None
        if keeping is not None:
            self._kept = Kept(self._context, PrefixFiles(keeping, identity(facts, placement)))
        source = self._weights.chat_template
        self._template = None
        if source is not None:
            bos, eos = vocabulary.token_text(vocabulary.bos), vocabulary.token_text(vocabulary.eos)
            self._template = ChatTemplate(source, vocabulary.markup, bos=bos, eos=eos)

    def _load(
        self,
        facts: ModelFacts,
        placement: Placement,
        progress: Callable[[float], None],
        stop: threading.Event,
    ) -> None:
        loaded: list[tuple[Weights, Context]] = []

        def load(emit: Emit[float]) -> None:
            weights = Weights(facts.path, placement, emit, stop)
            try:
                if stop.is_set():
                    raise Interrupted("loading was interrupted")
                # Reading the special tokens here, off the caller's thread, hides their 100 ms.
                _ = weights.vocabulary.markup
                loaded.append((weights, Context(weights, placement)))
            except BaseException:
                weights.free()
                raise

        for fraction in self._worker.stream(load, lambda waited: stop.is_set() and waited > _PATIENCE_S):
            progress(fraction)
        if not loaded:
            raise Interrupted("loading was interrupted")
        self._weights, self._context = loaded[0]

    @property
    def context_size(self) -> int:
        """Tokens the context holds."""
        return self._context.size

    @property
    def has_template(self) -> bool:
        """Whether conversations can be rendered; without it only `raw` requests make sense."""
        return self._template is not None

    @property
    def thinking_mode(self) -> ThinkingMode:
        """What the model's own template shows of its thinking; a broken template shows nothing."""
        if self._thinking_mode is None:
            try:
                self._thinking_mode = self._template.thinking_mode() if self._template else ThinkingMode.NEVER
            except InvalidFile:
                self._thinking_mode = ThinkingMode.NEVER
        return self._thinking_mode

    @property
    def takes_tools(self) -> bool:
        """Whether the model's own template shows it the tools on offer; a broken template shows nothing."""
        try:
            return self._template is not None and self._template.takes_tools()
        except InvalidFile:
            return False

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
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), *, thinking: bool = True
    ) -> None:
        """Evaluate what every prompt with another message of the user begins with; returns at once.

        The next `generate` ends it, and goes on from where it has come; so does another `expect`.
        """
        template = self._template
        if template is None or self._closed:
            return

        before = tuple(messages)
        self._make_way(())
        self._ahead = Ahead(
            self._context,
            lambda: self._beginning(template, before, tools, thinking),
            self._kept,
            stable=_is_stable(before),
        )
        self._worker.post(self._ahead.run)

    def _beginning(
        self,
        template: ChatTemplate,
        messages: tuple[Message, ...],
        tools: Sequence[ToolSpec],
        thinking: bool,
    ) -> list[int]:
        """The tokens that prompts with these messages and another one of the user have in common."""
        first, second = (
            self._tokens(template.render((*messages, Message("user", text)), tools, thinking=thinking))
            for text in _PLACEHOLDERS
        )
        return first[: common_prefix(first, second)]

    def _make_way(self, prompt: Sequence[int]) -> None:
        if self._ahead is not None:
            self._ahead.make_way(prompt)
            self._ahead = None

    def _run(self, generation: Generation, load_s: float, asked: float) -> Iterator[Event]:
        def job(emit: Emit[Event]) -> None:
            self._context.resume()
            generation.run(emit, model=self._name, load_s=load_s, asked=asked)

        try:
            yield from self._worker.stream(job)
        except BaseException:
            # Whoever closed the iterator or broke out of waiting gets an engine that is idle again.
            self.cancel()
            self._worker.run(lambda: None)
            self.allow()
            raise

    def _prompt(self, request: GenerateRequest) -> Prompt:
        vocabulary = self._weights.vocabulary
        if request.raw is not None:
            return Prompt(self._begun(vocabulary.tokenize(request.raw)))
        if self._template is None:
            raise UsageError("this model has no chat template", "`--raw` completes text as it stands")
        rendered = self._template.render(request.messages, request.tools, thinking=request.thinking)
        tokens, before, stable = self._tokens(rendered), request.messages[:-1], 0
        new = len(tokens) - common_prefix(self._context.tokens, tokens)
        if self._kept is not None and new >= LEAST and _is_stable(before):
            beginning = self._beginning(self._template, before, request.tools, request.thinking)
            # Nothing of what is said goes to the disk, whoever says it.
            stable = common_prefix(beginning, tokens)
        return Prompt(tokens, rendered.opened, stable)

    def _tokens(self, rendered: RenderedPrompt) -> list[int]:
        tokenize = self._weights.vocabulary.tokenize
        return self._begun([token for piece in rendered.pieces for token in tokenize(piece)])

    def _begun(self, tokens: list[int]) -> list[int]:
        """The tokens with the beginning-of-sequence token that some models need and some templates write."""
        vocabulary = self._weights.vocabulary
        if vocabulary.adds_bos and tokens[:1] != [vocabulary.bos]:
            return [vocabulary.bos, *tokens]
        if tokens:
            return tokens
        start = vocabulary.bos if vocabulary.bos >= 0 else vocabulary.eos
        if start < 0:
            raise UsageError("there is no text to complete")
        return [start]

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
        self._context.cancel()
        if self._template is not None:
            self._template.interrupt()

    def allow(self) -> None:
        """Take an earlier `cancel` back."""
        self._context.allow()

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        with self._counting:
            if self._closed:
                return
            self._closed = True
        self._make_way(())
        self.cancel()
        if self._kept is not None:
            # There, for what was evaluated ahead may be about to be written.
            self._worker.run(self._kept.finish)
        self._worker.run(self._context.free)
        self._worker.run(self._weights.free)
        self._worker.close()
        if self._template is not None:
            self._template.close()
