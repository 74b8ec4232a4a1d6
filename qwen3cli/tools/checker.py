"""Checks values against JSON schemas in a child process, which a hostile schema or pattern may hang or crash.

One request a line on stdin, one answer a line on stdout, until stdin ends: `{"schema": ...}` is answered by
`{"broken": TEXT or null, "unread": [PATTERN, ...]}`, `{"schema": ..., "value": ...}` by `{"complaints": [...]}`.
Nothing is fetched: what a schema refers to is in it, or is missing. Formats are notes, as the standard has it, and
patterns in a dialect that Python does not read constrain nothing: the server knows them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from jsonschema import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    validators,
)
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from qwen3cli.tools.complaints import MOST, Fault, complaint
from qwen3cli.tools.drafts import BadSchema, draft_of, nodes, schemas_in

TIME_LIMIT_S = 5.0
"""Seconds for one request; then this process ends, whoever may still be there to end it."""
_MEMORY = 1 << 30
_ENOUGH = 100
"""Errors that are looked at: a long array has one for each item."""

Rule = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]


def _if_readable(rule: Rule) -> Rule:
    """A rule that lets everything pass when it meets a pattern that Python does not read."""

    def guarded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        with suppress(re.error):
            yield from rule(validator, value, instance, schema) or ()

    return guarded


def _beside_a_list(rule: Rule) -> Rule:
    """`additionalItems`, which means nothing unless `items` is a list; the library fails where that is a boolean."""

    def guarded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(schema.get("items"), list):
            yield from rule(validator, value, instance, schema) or ()

    return guarded


def _lenient(kind: Any) -> Any:
    """The validator of an edition, which patterns of other dialects do not stop."""
    names = ("pattern", "patternProperties", "additionalProperties", "unevaluatedProperties")
    rules = {name: _if_readable(kind.VALIDATORS[name]) for name in names if name in kind.VALIDATORS}
    if "additionalItems" in kind.VALIDATORS:
        rules["additionalItems"] = _beside_a_list(kind.VALIDATORS["additionalItems"])
    return cast("Any", validators).extend(kind, rules)


_VALIDATORS: Mapping[int, Any] = {
    4: _lenient(Draft4Validator),
    6: _lenient(Draft6Validator),
    7: _lenient(Draft7Validator),
    2019: _lenient(Draft201909Validator),
    2020: _lenient(Draft202012Validator),
}


def broken(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema, as a clause whose subject is the schema."""
    try:
        kind = _VALIDATORS[draft_of(schema)]
        every = list(nodes(schema))
        kind.check_schema(schema, format_checker=None)
        if not any(isinstance(node.get("$id"), str) for node in every if node is not schema):
            _look_up(schema, kind)
    except SchemaError as error:
        place = "/".join(str(step) for step in error.path)
        return f"has something at `{place}` that is no schema" if place else "is no schema"
    except BadSchema as error:
        return str(error)
    except RecursionError:
        return "is nested too deep"
    except Unresolvable as error:
        return f"refers to `{error.ref}`, which is not in it"
    return None


def unread(schema: Mapping[str, Any]) -> list[str]:
    """The patterns of a sound schema that constrain nothing here."""
    found: list[str] = []
    for node in schemas_in(schema, definitions=True):
        patterns: list[str] = [node.get("pattern", ""), *node.get("patternProperties", ())]
        for pattern in patterns:
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError):
                found.append(pattern)
    return found


def complaints(schema: Mapping[str, Any], value: Any) -> list[str]:
    """What is wrong with a value, a sentence each."""
    found: list[ValidationError] = []
    for error in _VALIDATORS[draft_of(schema)](schema, registry=REGISTRY).iter_errors(value):
        found.append(error)
        if len(found) == _ENOUGH:
            break
    found.sort(key=lambda error: len(error.absolute_path))
    return list(dict.fromkeys(complaint(_fault(error)) for error in found))[:MOST]


def main() -> None:
    """Answer requests until nobody asks any more."""
    _limit_memory()
    # What a pattern of somebody else's makes Python warn about is not for the person's eyes.
    warnings.simplefilter("ignore")
    with os.fdopen(0, "rb") as asked, os.fdopen(1, "wb") as answers:
        for line in asked:
            _limit_time(TIME_LIMIT_S)
            answer = _answer(json.loads(line))
            _limit_time(0)
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    schema = request["schema"]
    if "value" in request:
        try:
            return {"complaints": complaints(schema, request["value"])}
        except (Unresolvable, RecursionError):
            return {
                "complaints": [
                    "The arguments could not be checked: the tool's schema does not come to an end."
                ]
            }
    reason = broken(schema)
    return {"broken": reason, "unread": [] if reason else unread(schema)}


def _fault(error: ValidationError) -> Fault:
    rules = error.schema if isinstance(error.schema, dict) else {}
    return Fault(
        keyword=str(error.validator),
        expected=error.validator_value,
        found=error.instance,
        path=tuple(error.absolute_path),
        properties=tuple(rules.get("properties", ())),
        within=tuple(_fault(one) for one in error.context or ()),
        message=error.message,
    )


def _look_up(schema: Mapping[str, Any], kind: Any) -> None:
    """Find what is referred to, so that it is not missed with the first call that needs it."""
    specification = specification_with(kind.META_SCHEMA.get("$schema"))
    resolver = REGISTRY.resolver_with_root(specification.create_resource(cast("Any", schema)))
    for node in schemas_in(schema, definitions=True):
        if isinstance(node.get("$ref"), str):
            resolver.lookup(node["$ref"])


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _limit_time(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        # Left to the system, which ends the process even in the midst of a pattern; Python would wait for its end.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
