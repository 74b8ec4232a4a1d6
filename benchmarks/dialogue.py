"""A conversation of ten turns: a dozen tools on offer, thinking before every answer, a call in every other turn.

What is said is written here, for models that cannot say it: how much has to be evaluated depends on its length and
form only, so prose is drawn from a list of words.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from qwen3cli.chat.messages import Message, ToolCall, ToolResult, ToolSpec

TURNS: Final = 10
_THINKING, _ANSWER, _RESULT, _QUESTION = 200, 120, 150, 25
"""Words."""
_WORDS: Final = (
    "the a one two three last first other several more file line word list page name time day year part place case"
    " point side work change result number value order form is was has can will may does gives takes makes finds"
    " shows holds needs and but or so then because if when where which that this its it we of in on at to from with"
    " by for about after before under between new old small large short long right left same whole open clear"
)
_ENDS: Final = (". ", ". ", ", ", ", ", "; ", ".\n\n")

_TOPICS: Final = {
    "read_file": ("path", "offset", "limit"),
    "write_file": ("path", "content", "overwrite"),
    "edit_file": ("path", "old_text", "new_text", "everywhere"),
    "list_directory": ("path", "pattern", "hidden"),
    "search_files": ("pattern", "path", "context_lines", "ignore_case"),
    "run_command": ("command", "directory", "timeout_seconds"),
    "fetch_page": ("address", "as_text", "limit"),
    "search_web": ("query", "region", "count"),
    "query_database": ("statement", "parameters", "limit"),
    "list_issues": ("repository", "state", "labels", "count"),
    "create_issue": ("repository", "title", "body", "labels"),
    "get_weather": ("city", "units", "days"),
}


class Dialogue:
    """The tools, the questions, and what the model says to each of them."""

    def __init__(self) -> None:
        self._random = random.Random(TURNS)
        self._words = _WORDS.split()
        self.tools = tuple(self._tool(name, names) for name, names in _TOPICS.items())
        self.questions = tuple(self._prose(_QUESTION) for _ in range(TURNS))
        self.replies = tuple(message for turn in range(TURNS) for message in self._turn(turn))
        self.result = self._prose(_RESULT)

    def _prose(self, words: int) -> str:
        """Text in sentences."""
        drawn = self._random
        parts: list[str] = []
        for left in range(words, 0, -1):
            parts.append(drawn.choice(self._words))
            parts.append(" " if left > 1 and drawn.random() < 0.85 else drawn.choice(_ENDS))
        return "".join(parts).rstrip(" .,;\n").capitalize() + "."

    def _tool(self, name: str, arguments: Sequence[str]) -> ToolSpec:
        properties = {one: {"type": "string", "description": self._prose(12)} for one in arguments}
        schema = {"type": "object", "properties": properties, "required": [arguments[0]]}
        return ToolSpec(name, self._prose(40), schema)

    def _turn(self, number: int) -> Iterable[Message]:
        """The replies of one turn: in every other turn a call comes first."""
        if number % 2:
            tool = self.tools[number % len(self.tools)]
            arguments = {next(iter(tool.parameters["properties"])): self._prose(6)}
            yield Message("assistant", "", self._prose(_THINKING // 2), (ToolCall(tool.name, arguments),))
        yield Message("assistant", self._prose(_ANSWER), self._prose(_THINKING))


def as_written(reply: Message) -> str:
    """A reply as a Qwen3 model writes it, without the token that ends it."""
    calls = [
        "<tool_call>\n"
        + json.dumps({"name": call.name, "arguments": dict(call.arguments)})
        + "\n</tool_call>"
        for call in reply.tool_calls
    ]
    thinking = f"<think>\n{reply.thinking}\n</think>\n\n" if reply.thinking else ""
    return thinking + "\n".join([*([reply.content] if reply.content else []), *calls])


def as_json(message: Message) -> dict[str, Any]:
    """A message as OpenAI's interface has it, with the thinking as llama-server takes it."""
    shown: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        shown["reasoning_content"] = message.thinking
    if message.tool_calls:
        shown["tool_calls"] = [
            {
                "type": "function",
                "id": f"call{number}",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for number, call in enumerate(message.tool_calls)
        ]
    if message.role == "tool":
        shown["tool_call_id"] = "call0"
    return shown


def tool_as_json(tool: ToolSpec) -> dict[str, Any]:
    """A tool as OpenAI's interface has it."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


class Toolbox:
    """A host whose tools all give the same result at once."""

    def __init__(self, tools: Sequence[ToolSpec], result: str) -> None:
        self._tools = tools
        self._result = result

    def tools(self) -> Sequence[ToolSpec]:
        """All of them."""
        return self._tools

    def prepare(self, call: ToolCall) -> ToolResult:
        """The result."""
        return ToolResult(call.name, self._result)

    def news(self) -> list[str]:
        """None."""
        return []

    def goes_on(self, rounds: int) -> bool:
        """Always."""
        return True

    def cancel(self) -> None:
        """Nothing runs."""
