"""When a reply is held to a grammar: in tool calls, and in answers that have to be a call or follow a format.

Asked before each token is drawn; knows where the reply stands from its parser, and nothing of sampling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress

from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.engines.grammar import Grammar, answer_grammar, call_grammar
from qwen3cli.engines.llama.constraint import Constraint, Tokens, TooSlow
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.reply import CALL_CLOSE, CALL_OPEN, THINK_CLOSE, THINK_OPEN, ReplyParser
from qwen3cli.engines.schema_items import MALFORMED, Unsupported
from qwen3cli.errors import QwenError


class Grammars:
    """The grammars of one model's requests, each written once, and what was said of them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tags = {
            tag: vocabulary.specials[tag] for tag in (CALL_OPEN, CALL_CLOSE) if tag in vocabulary.specials
        }
        self.tokens = Tokens(vocabulary, (*self.tags.values(),))
        self._latest: dict[tuple[bool, bool, bool], tuple[str, Grammar]] = {}
        self._said: set[str] = set()

    def of(
        self, request: GenerateRequest, *, whole: bool, thought: bool, only_calls: bool = False
    ) -> Grammar:
        """The grammar of a call, or of the `whole` answer, maybe after a thinking; raises `Unsupported`."""
        tools = [(tool.name, dict(tool.parameters)) for tool in request.tools]
        format = None if only_calls or request.format is None else dict(request.format)
        kind, key = (whole, thought, only_calls), json.dumps([tools, format])
        if kind not in self._latest or self._latest[kind][0] != key:
            grammar = (
                answer_grammar(request.tools, self.tags, format, thought=thought)
                if whole
                else call_grammar(request.tools, self.tags)
            )
            self._latest[kind] = (key, grammar)
        return self._latest[kind][1]

    def once(self, sentence: str | None) -> list[str]:
        """The sentence, unless it was said before."""
        if sentence is None or sentence in self._said:
            return []
        self._said.add(sentence)
        return [sentence]


class Gate:
    """The constraints of one reply; `close` it. `say` takes sentences for the person."""

    def __init__(
        self, grammars: Grammars, request: GenerateRequest, parser: ReplyParser, say: Callable[[str], None]
    ) -> None:
        self._grammars = grammars
        self._request = request
        self._parser = parser
        self._say = say
        self._calls = bool(request.tools)
        self._required = request.tool_choice == "required" and bool(request.tools)
        self._demanded = self._required or request.format is not None
        self._whole = False
        self._called = False
        self._strayed = False  # the call that is being written cannot be held any more
        self._grammar: Grammar | None = None
        self.constraint: Constraint | None = None
        vocabulary = grammars.tokens.vocabulary
        self._think = vocabulary.specials.get(THINK_OPEN) if request.thinking else None
        close = vocabulary.specials.get(THINK_CLOSE)
        self.think_close = vocabulary.tokenize_plain(THINK_CLOSE) if close is None else [close]

    @property
    def demands(self) -> bool:
        """Whether the answer is held to something and has not begun."""
        return self._demanded and not self._whole

    @property
    def besides(self) -> Collection[int]:
        """Tokens that may be drawn although the grammar does not know them."""
        may_think = self._whole and self._think is not None and not self._parser.begun
        return (self._think,) if may_think and self._think is not None else ()

    def prepare(self) -> None:
        """Write the grammars that will be needed first while the prompt is read, not in the middle of the answer."""
        if not (self._demanded or self._calls):
            return
        with suppress(QwenError, Unsupported, *MALFORMED):
            # What is wrong with it is said when it is needed.
            self._grammar_of(whole=self._demanded, thought=self._demanded and self._parser.begun)
            if self._demanded and self._think is not None:
                self._grammar_of(whole=True, thought=True)

    def _grammar_of(self, *, whole: bool, thought: bool) -> Grammar:
        only_calls = self._required and not self._called
        return self._grammars.of(self._request, whole=whole, thought=thought, only_calls=only_calls)

    def look(self) -> None:
        """Put the constraint in force that the next token has to meet, if any."""
        parser = self._parser
        if parser.thinking:
            self._drop()
        elif self._whole:
            if self._request.format is None and self._called and not parser.calling:
                # Demanded was one call; what follows it is free.
                self._demanded = False
                self._drop()
        elif self.demands:
            self._start(whole=True)
        elif not parser.calling:
            self._drop()
            self._strayed = False
        elif self.constraint is None and self._calls and not self._strayed:
            self._start(whole=False)
            self._catch_up(parser.call)
        self._called |= parser.calling

    def _start(self, *, whole: bool) -> None:
        try:
            self._grammar = self._grammar_of(whole=whole, thought=whole and self._parser.begun)
            self.constraint = Constraint(self._grammars.tokens, self._grammar.text)
            self._whole = whole
            if whole and self._request.thinking and self._think is None and not self._parser.begun:
                self._say(
                    "this model has no token that begins a thinking: what is demanded comes without one"
                )
        except (QwenError, Unsupported) as refusal:
            self.give_up(str(refusal))
        except MALFORMED:
            self.give_up("a schema is malformed, or nested too deep")

    def _catch_up(self, text: str) -> None:
        """Take what was written of the call with the token that completed its tag."""
        try:
            for token in self._grammars.tokens.vocabulary.tokenize_plain(text):
                if self.constraint is None:
                    return
                if not self.constraint.allows(token):
                    self._strayed = True
                    self._drop()
                    self._say(
                        "the call is not held to a grammar: it began in one piece with its tag, in another way"
                    )
                    return
                self.constraint.accept(token)
        except TooSlow as refusal:
            self.give_up(str(refusal))

    def _drop(self) -> None:
        self._whole = False
        if self.constraint is not None:
            self.constraint.free()
            self.constraint = None

    def give_up(self, reason: str) -> None:
        """Hold the reply to nothing from here on."""
        self._drop()
        self._demanded = self._calls = False
        self._say(f"the reply is not held to a grammar: {reason}")

    def called(self, name: str) -> None:
        """A call is complete: say what its grammar left open."""
        self._explain(name)

    def close(self) -> None:
        """The reply is over."""
        if self._whole and self._request.format is not None:
            self._explain("")
        self._drop()

    def _explain(self, key: str) -> None:
        if self._grammar is not None:
            for sentence in self._grammars.once(self._grammar.notices.get(key)):
                self._say(sentence)
