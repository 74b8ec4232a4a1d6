"""Which edition of JSON Schema a schema is written in, and which keywords mean something in it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

Draft = Literal[4, 6, 7, 2019, 2020]
"""The editions that servers use; they compare in the order in which they appeared."""

MAX_DEPTH = 64
MAX_VALUES = 20_000

_NAMED = re.compile(
    r"https?://json-schema\.org/(?:draft-0(?P<old>[467])|draft/(?P<new>2019-09|2020-12))/schema#?"
)

ONE = (
    *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    *("contains", "not", "if", "then", "else", "propertyNames"),
)
"""Keywords whose value is a schema."""
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas."""
NAMED = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose value is an object of schemas."""
PLAIN = (
    *("type", "enum", "const", "format", "required", "dependentRequired", "pattern", "uniqueItems"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "minLength", "maxLength"),
    *("minItems", "maxItems", "minContains", "maxContains", "minProperties", "maxProperties"),
)
"""Keywords whose value stands for itself."""

_SINCE: Mapping[str, Draft] = {
    **dict.fromkeys(("const", "contains", "propertyNames"), cast("Draft", 6)),
    **dict.fromkeys(("if", "then", "else"), cast("Draft", 7)),
    **dict.fromkeys(
        ("dependentSchemas", "dependentRequired", "minContains", "maxContains"), cast("Draft", 2019)
    ),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), cast("Draft", 2019)),
    "prefixItems": 2020,
}


class BadSchema(Exception):
    """A schema that no call can be checked against; the message is a clause whose subject is the schema."""


def draft_of(schema: Mapping[str, Any]) -> Draft:
    """The edition that `$schema` names; without it the newest, unless something is spelled as only older ones do."""
    named = schema.get("$schema")
    if isinstance(named, str) and (match := _NAMED.fullmatch(named)):
        if match["old"]:
            return cast("Draft", int(match["old"]))
        return 2019 if match["new"] == "2019-09" else 2020
    older: Draft = 2020
    for node in nodes(schema):
        if isinstance(node.get("exclusiveMinimum"), bool) or isinstance(node.get("exclusiveMaximum"), bool):
            return 4
        if isinstance(node.get("items"), list):
            older = 7
    return older


def has_meaning(keyword: str, draft: Draft) -> bool:
    """Whether an edition knows a keyword of these tables."""
    return draft >= _SINCE.get(keyword, 4)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value; raises `BadSchema` for one that is too deep or too large to be worked with."""
    left, count = [(value, 0)], 0
    while left:
        one, depth = left.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            raise BadSchema("is nested too deep" if depth > MAX_DEPTH else "is too large")
        if isinstance(one, dict):
            node = cast("dict[str, Any]", one)
            yield node
            left.extend((item, depth + 1) for item in node.values())
        elif isinstance(one, list):
            left.extend((item, depth + 1) for item in cast("list[Any]", one))


def schemas_in(schema: Any, *, definitions: bool = False) -> Iterator[dict[str, Any]]:
    """A schema and the schemas in it, but no values such as defaults.

    Definitions constrain only where they are referred to, and are left out unless asked for.
    """
    named = (*NAMED, "dependencies", *(("$defs", "definitions") if definitions else ()))
    left: list[Any] = [schema]
    while left:
        node = left.pop()
        if not isinstance(node, dict):
            continue
        node = cast("dict[str, Any]", node)
        yield node
        for key, value in node.items():
            if isinstance(value, dict) and key in named:
                left.extend(cast("dict[str, Any]", value).values())
            elif isinstance(value, list) and key in (*SEVERAL, "items"):
                left.extend(cast("list[Any]", value))
            elif key in ONE:
                left.append(value)
