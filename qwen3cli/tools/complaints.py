"""What is wrong with a tool's arguments, in a sentence that a small model can act upon: where, and what is expected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

MOST = 5
"""Complaints about one call: more would not help."""
_LONGEST = 80
_LONGEST_LIST = 300
_HALF = re.compile("[\ud800-\udfff]")

_NAMES = {"object": "an object", "array": "an array", "integer": "a whole number", "null": "null"}
_BOUNDS: Mapping[str, str] = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} entries",
    "maxProperties": "must have at most {} entries",
    "pattern": "must match the pattern {}",
    "const": "must be {}",
    "uniqueItems": "must not have the same item twice",
    "not": "must not be of this form",
}


@dataclass(frozen=True)
class Fault:
    """A value that breaks a rule of its schema: `expected` is what the keyword says, `path` where the value stands.

    `properties` are the names that the schema knows; `within` has the faults of each alternative.
    """

    keyword: str
    expected: Any
    found: Any
    path: tuple[str | int, ...] = ()
    properties: tuple[str, ...] = ()
    within: tuple[Fault, ...] = ()
    message: str = ""


def complaint(fault: Fault) -> str:
    """The sentence about one fault."""
    return f"{_place(fault.path)} {_clause(fault)}."


def halves(value: Any) -> list[str]:
    """What is wrong with a value that has half a character in it, which JSON can escape and UTF-8 cannot write."""
    half = _HALF.search(json.dumps(value, ensure_ascii=False))
    return (
        [f"The arguments have half a character in them, \\u{ord(half[0]):x}; write it whole."] if half else []
    )


def _clause(fault: Fault) -> str:
    if fault.keyword in _WORDED:
        return _WORDED[fault.keyword](fault)
    if fault.keyword in _BOUNDS:
        return f"{_BOUNDS[fault.keyword].format(_shown(fault.expected))}, but is {_shown(fault.found)}"
    return f"does not fit: {_cut(fault.message, _LONGEST_LIST)}"


def _type(fault: Fault) -> str:
    return _wrong_type(fault, _listed(fault.expected))


def _wrong_type(fault: Fault, types: Sequence[str]) -> str:
    names = " or ".join(dict.fromkeys(_NAMES.get(name, f"a {name}") for name in types))
    return f"must be {names}, but is {_kind(fault.found)}: {_shown(fault.found)}"


def _enum(fault: Fault) -> str:
    listed = ", ".join(json.dumps(one, ensure_ascii=False) for one in fault.expected)
    return f"must be one of {_cut(listed, _LONGEST_LIST)}, but is {_shown(fault.found)}"


def _required(fault: Fault) -> str:
    missing = _names(name for name in fault.expected if name not in fault.found)
    return f"{'lacks' if fault.path else 'lack'} {missing}"


def _unknown(fault: Fault) -> str:
    names: list[str] = [name for name in fault.found if name not in fault.properties]
    close: list[str] = []
    for name in names:
        close.extend(get_close_matches(name, fault.properties, 1))
    if close:
        hint = f"perhaps {_names(close)} is meant"
    elif fault.properties:
        hint = f"there are {_names(fault.properties)}"
    else:
        hint = "nothing is to be given"
    return f"{'has' if fault.path else 'have'} {_names(names)}, which does not belong there; {hint}"


def _alternatives(fault: Fault) -> str:
    if not fault.within:
        return f"must fit one of its {len(fault.expected)} forms alone, but fits several"
    if all(one.keyword == "type" and one.path == fault.path for one in fault.within):
        return _wrong_type(fault, [name for one in fault.within for name in _listed(one.expected)])
    # Whoever got deepest into a form most probably meant that one.
    closest = max(fault.within, key=lambda one: (len(one.path), one.keyword != "type"))
    return f"fits none of its {len(fault.expected)} forms; in the closest, {complaint(closest)}".rstrip(".")


_WORDED: Mapping[str, Callable[[Fault], str]] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "additionalProperties": _unknown,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
}


def _place(path: Sequence[str | int]) -> str:
    spelled = ""
    for step in path:
        spelled += f"[{step}]" if isinstance(step, int) else f".{step}"
    return f"`{_cut(spelled.removeprefix('.'), _LONGEST)}`" if spelled else "The arguments"


def _names(names: Iterable[str]) -> str:
    return _cut(", ".join(f"`{name}`" for name in dict.fromkeys(names)), _LONGEST_LIST)


def _listed(value: Any) -> list[str]:
    return cast("list[str]", value) if isinstance(value, list) else [value]


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "a boolean", str: "a string", dict: "an object", list: "an array"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "a number")


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), _LONGEST)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
