"""Finding tools by words: BM25 over names, descriptions and parameters, in any language, without a model."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from qwen3cli.chat.messages import ToolSpec

FIND = "find_tools"
FIND_TOOLS = ToolSpec(
    FIND,
    "Search for tools that are not listed here. What is found can be called afterwards.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What the tool should do, in a few words."}
        },
        "required": ["query"],
        "additionalProperties": False,
    },
)
"""What the model gets in place of tools that would take too much of its context."""

_K, _B = 1.2, 0.75
_NAME_WEIGHT = 3
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_NOISE = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "into", "is", "it", "its"),
        *("of", "on", "or", "that", "the", "this", "to", "use", "used", "with"),
    ]
)


def ranked(query: str, tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """The tools that have something to do with the query, the best first."""
    documents = [_document(tool) for tool in tools]
    lengths = [sum(document.values()) for document in documents]
    usual = sum(lengths) / len(lengths) if lengths else 1.0
    scores: defaultdict[int, float] = defaultdict(float)
    for word in set(_words(query)):
        holding = [number for number, document in enumerate(documents) if word in document]
        rarity = math.log(1 + (len(tools) - len(holding) + 0.5) / (len(holding) + 0.5))
        for number in holding:
            often = documents[number][word]
            long = 1 - _B + _B * lengths[number] / usual
            scores[number] += rarity * often * (_K + 1) / (often + _K * long)
    order = sorted(scores, key=lambda number: (-scores[number], number))
    return [tools[number] for number in order]


def _document(tool: ToolSpec) -> Counter[str]:
    words = Counter(_words(tool.name) * _NAME_WEIGHT)
    words.update(_words(tool.description))
    for name, about in _parameters(tool.parameters).items():
        words.update(_words(name))
        if isinstance(about, dict):
            words.update(_words(str(cast("dict[str, Any]", about).get("description", ""))))
    return words


def _parameters(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return cast("Mapping[str, Any]", properties) if isinstance(properties, dict) else {}


def _words(text: str) -> list[str]:
    """Words as they are compared: parts of names, without plurals; pairs of ideographs, which have no spaces."""
    found: list[str] = []
    for run in _IDEOGRAPHS.findall(text):
        found += [run[n : n + 2] for n in range(len(run) - 1)] or [run]
    for word in _WORD.findall(_CAMEL.sub(" ", _IDEOGRAPHS.sub(" ", text))):
        word = word.lower()
        if word not in _NOISE:
            found.append(
                word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
            )
    return found
