"""Messages become prompt pieces, by the model's own Jinja template.

Knows nothing of tokens: joined, the pieces are what the template rendered. They are cut only where text
of the conversation looks like a special token (law 8), so that tokenizing each piece with special tokens
on makes special exactly what the template itself wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines.lookalikes import Rendering, cut
from qwen3cli.engines.rendering import ChildRenderer, render_here

_KNOWN = frozenset(
    {
        # Qwen3, as published with the 0.6B to 235B models: 4,116 characters.
        "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
        # qwen3cli/demo/chat_template.jinja
        "8b4c763c414a39a31bddd1a3ff486751f59a4165b1a0340da5084721ee85f6ab",
    }
)
"""SHA-256 of the templates that are known to end; any other renders where it can be killed."""


@dataclass(frozen=True)
class RenderedPrompt:
    """The prompt in pieces, and whether it ends inside a `<think>` that the template opened."""

    pieces: tuple[str, ...]
    opened: bool

    @property
    def text(self) -> str:
        """The prompt as the template rendered it."""
        return "".join(self.pieces)


class ChatTemplate:
    """A model's chat template.

    `markup`: the texts of the vocabulary's special tokens. `bos` and `eos`: what the template's
    variables `bos_token` and `eos_token` hold.
    """

    def __init__(
        self, source: str, markup: frozenset[str] = frozenset(), *, bos: str = "", eos: str = ""
    ) -> None:
        self._source = source
        self._markup = markup
        self._constants = {"bos_token": bos, "eos_token": eos, "add_generation_prompt": True}
        self._child = None if renders_here(source) else ChildRenderer(source)

    def render(
        self, messages: Iterable[Message], tools: Sequence[ToolSpec] = (), *, thinking: bool = True
    ) -> RenderedPrompt:
        """The prompt that asks for the next reply.

        Raises `InvalidFile` when the template is broken, refuses the conversation, or does not end.
        """
        rendering = self._render([_message(m) for m in messages], [_tool(t) for t in tools], thinking)
        end = len(rendering.text.rstrip())
        start = end - len("<think>")
        opened = rendering.text.endswith("<think>", 0, end) and rendering.foreign(start, end) is None
        return RenderedPrompt(cut(rendering, self._markup), opened)

    def thinking_mode(self) -> ThinkingMode:
        """Which kind the model is, told by rendering with the switch on and off."""
        question = (Message("user", "?"),)
        on, off = self.render(question), self.render(question, thinking=False)
        if on != off:
            return ThinkingMode.HYBRID
        return ThinkingMode.ALWAYS if on.opened else ThinkingMode.NEVER

    def takes_tools(self) -> bool:
        """Whether the prompt changes with the tools on offer."""
        question, tool = (Message("user", "?"),), ToolSpec("t", "", {"type": "object", "properties": {}})
        return self.render(question) != self.render(question, [tool])

    def _render(self, messages: list[Any], tools: list[Any], thinking: bool) -> Rendering:
        variables: dict[str, Any] = {**self._constants, "messages": messages, "enable_thinking": thinking}
        # Templates ask `if tools`, and some `if tools is defined`.
        variables["tools"] = tools or None
        if self._child is not None:
            return self._child.render(variables)
        return render_here(self._source, variables)

    def interrupt(self) -> None:
        """Make the running rendering, if any, raise `Interrupted`; safe in a signal handler."""
        if self._child is not None:
            self._child.interrupt()

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._child is not None:
            self._child.close()


def renders_here(source: str = "", *, sha256: str | None = None) -> bool:
    """Whether a template, or the one with that hash, is known to end."""
    return (sha256 or hashlib.sha256(source.encode()).hexdigest()) in _KNOWN


def _message(message: Message) -> dict[str, Any]:
    rendered: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "assistant":
        # Always given, or the template would take a `</think>` in the content for the end of a thinking.
        rendered["reasoning_content"] = message.thinking
    if message.tool_calls:
        rendered["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    return rendered


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
