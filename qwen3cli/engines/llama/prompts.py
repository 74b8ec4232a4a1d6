"""Prompts as token ids: a model's own template and vocabulary at work on what is asked.

Knows nothing of contexts and of what was evaluated before.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import GenerateRequest
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.template import ChatTemplate, RenderedPrompt
from qwen3cli.errors import InvalidFile, UsageError

_PLACEHOLDERS = "a", "1"
"""What is said next, in two ways: up to where their prompts differ, every prompt is the same."""


class Prompts:
    """Makes prompts of requests; `source` is the model's chat template, if it has one."""

    def __init__(self, vocabulary: Vocabulary, source: str | None) -> None:
        self._vocabulary = vocabulary
        self._mode: ThinkingMode | None = None
        self._latest: tuple[GenerateRequest, tuple[list[int], bool]] | None = None
        self._template: ChatTemplate | None = None
        if source is not None:
            bos, eos = vocabulary.token_text(vocabulary.bos), vocabulary.token_text(vocabulary.eos)
            self._template = ChatTemplate(source, vocabulary.markup, bos=bos, eos=eos)

    @property
    def has_template(self) -> bool:
        """Whether conversations can be rendered."""
        return self._template is not None

    @property
    def thinking_mode(self) -> ThinkingMode:
        """What the template shows of the model's thinking; a broken one shows nothing."""
        if self._mode is None:
            try:
                self._mode = self._template.thinking_mode() if self._template else ThinkingMode.NEVER
            except InvalidFile:
                self._mode = ThinkingMode.NEVER
        return self._mode

    @property
    def takes_tools(self) -> bool:
        """Whether the template shows the model the tools on offer; a broken one shows nothing."""
        try:
            return self._template is not None and self._template.takes_tools()
        except InvalidFile:
            return False

    def of(self, request: GenerateRequest) -> tuple[list[int], bool]:
        """The tokens of a prompt, and whether they end inside a `<think>` that the template opened.

        Who counts a request's tokens will want them next: the latest ones are at hand.
        """
        if self._latest is None or self._latest[0] is not request:
            self._latest = request, self._made(request)
        return self._latest[1]

    def _made(self, request: GenerateRequest) -> tuple[list[int], bool]:
        if request.raw is not None:
            return self._begun(self._vocabulary.tokenize(request.raw)), False
        rendered = self._rendered(request.messages, request.tools, thinking=request.thinking)
        return self._tokens(rendered), rendered.opened

    def beginning(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, thinking: bool
    ) -> list[int]:
        """The tokens that prompts with these messages and another one of the user have in common."""
        first, second = (
            self._tokens(self._rendered((*messages, Message("user", text)), tools, thinking=thinking))
            for text in _PLACEHOLDERS
        )
        return first[: common_prefix(first, second)]

    def _rendered(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, thinking: bool
    ) -> RenderedPrompt:
        if self._template is None:
            raise UsageError("this model has no chat template", "`--raw` completes text as it stands")
        return self._template.render(messages, tools, thinking=thinking)

    def _tokens(self, rendered: RenderedPrompt) -> list[int]:
        tokenize = self._vocabulary.tokenize
        return self._begun([token for piece in rendered.pieces for token in tokenize(piece)])

    def _begun(self, tokens: list[int]) -> list[int]:
        """The tokens with the beginning-of-sequence token that some models need and some templates write."""
        vocabulary = self._vocabulary
        if vocabulary.adds_bos and tokens[:1] != [vocabulary.bos]:
            return [vocabulary.bos, *tokens]
        if tokens:
            return tokens
        start = vocabulary.bos if vocabulary.bos >= 0 else vocabulary.eos
        if start < 0:
            raise UsageError("there is no text to complete")
        return [start]

    def interrupt(self) -> None:
        """Stop a rendering that takes long; callable from a signal handler or another thread."""
        if self._template is not None:
            self._template.interrupt()

    def close(self) -> None:
        """End what renders."""
        if self._template is not None:
            self._template.close()
