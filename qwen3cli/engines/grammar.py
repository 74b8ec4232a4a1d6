"""Tools and JSON Schemas as grammars: what a call, or an answer, may look like.

A grammar is text for llama.cpp. What it cannot say of a schema is named in its notices, and has to be checked
on what was written; a schema that cannot be said at all comes down to any JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwen3cli.chat.messages import ToolSpec
from qwen3cli.engines.reply import CALL_CLOSE, CALL_OPEN
from qwen3cli.engines.schema_items import MALFORMED, Chars, Item, Literal, Marker, Ref, Repeat, Unsupported
from qwen3cli.engines.schema_merge import merge
from qwen3cli.engines.schema_rules import Rules
from qwen3cli.engines.schema_strings import Strings
from qwen3cli.engines.schema_values import SPARE, Values, as_json

_LINE_END = Chars(((10, 10),))
_ANY_OBJECT = {"type": "object"}
_LONGEST = 1_000_000
"""Characters of a schema that is looked at."""
_NAMED = 10
"""Words that a notice names of those that are left out."""


@dataclass(frozen=True)
class Grammar:
    """GBNF with the start `root`, and a sentence about what it leaves open for each tool; for the answer under ""."""

    text: str
    notices: Mapping[str, str]


def call_grammar(tools: Sequence[ToolSpec], tags: Mapping[str, int]) -> Grammar:
    """What follows `<tool_call>`, up to and with `</tool_call>`; `tags` are those that the vocabulary has as tokens."""
    writer = _Writer(tags)
    return writer.finish(writer.call(tools))


def answer_grammar(
    tools: Sequence[ToolSpec],
    tags: Mapping[str, int],
    format: Mapping[str, Any] | None,
    *,
    thought: bool = False,
) -> Grammar:
    """A whole answer: calls of `tools`, or a value that follows `format`; line ends lead it after a thinking."""
    writer = _Writer(tags)
    ways: list[list[Item]] = []
    if format is not None:
        ways.append([writer.answer(format)])
    if tools:
        call = writer.rules.add([[Marker(CALL_OPEN), writer.call(tools)]])
        again = writer.rules.add([[Repeat(_LINE_END, 0, 2), call]])
        ways.append([call, Repeat(again, 0, None)])
    lead = [Repeat(_LINE_END, 0, 2)] if thought else []
    return writer.finish(writer.rules.add([[*lead, writer.rules.add(ways)]]))


class _Writer:
    """One grammar under construction."""

    def __init__(self, tags: Mapping[str, int]) -> None:
        self.rules = Rules()
        self._strings = Strings(self.rules)
        self._tags = tags
        self._notices: dict[str, str] = {}
        # Written first, while there is room for it.
        self._any = {schema: self._anything(schema) for schema in ("", "object")}

    def _anything(self, kind: str) -> Ref:
        return Values(self.rules, self._strings, {}).value({"type": kind} if kind else {})

    def finish(self, root: Ref) -> Grammar:
        return Grammar(self.rules.write(root, self._tags), self._notices)

    def call(self, tools: Sequence[ToolSpec]) -> Ref:
        """The call of one of the tools, and its closing tag."""
        ways: list[list[Item]] = []
        # All names come first, so that a large schema does not leave a tool without one.
        names = [
            self.rules.add([[Literal(f'{{"name": {as_json(tool.name)}, "arguments": ')]]) for tool in tools
        ]
        for tool, start in zip(tools, names, strict=True):
            ways.append([start, self._value(tool.parameters, tool.name)])
        line = Repeat(_LINE_END, 0, 1)
        return self.rules.add([[line, self.rules.add(ways), Literal("}"), line, Marker(CALL_CLOSE)]])

    def answer(self, schema: Mapping[str, Any]) -> Ref:
        """A value that follows `schema`."""
        return self._value(schema, "")

    def _value(self, schema: Mapping[str, Any], tool: str) -> Ref:
        """The values of a schema, tried out alone first, so that one that fails takes nothing with it."""
        what = f"the arguments of `{tool}`" if tool else "the answer"
        try:
            values, ref = self._exact(schema, tool)
        except (Unsupported, *MALFORMED) as refusal:
            reason = refusal if isinstance(refusal, Unsupported) else "it is malformed, or nested too deep"
            self._notices[tool] = f"{what} cannot be held to the schema while the model writes: {reason}"
            return self._any["object" if tool else ""]
        if values.loose:
            left = ", ".join(values.loose[:_NAMED])
            if len(values.loose) > _NAMED:
                left += f" and {len(values.loose) - _NAMED:,} more"
            self._notices[tool] = (
                f"{what} cannot be held to all of the schema while the model writes: {left} is left out"
            )
        return ref

    def _exact(self, schema: Mapping[str, Any], tool: str) -> tuple[Values, Ref]:
        if len(json.dumps(schema)) > _LONGEST:
            raise Unsupported("it is too long")
        wanted = merge(dict(schema), _ANY_OBJECT) if tool else dict(schema)
        if wanted is None:
            raise Unsupported("it is not about an object")
        alone = Rules()
        alone.write(Values(alone, Strings(alone), schema).value(wanted), {})
        values, mark = Values(self.rules, self._strings, schema), self.rules.mark()
        try:
            ref = values.value(wanted)
            if tool and self.rules.room < SPARE:
                raise Unsupported("the tools are too large together")
        except Unsupported:
            self.rules.back(mark)
            raise
        return values, ref
