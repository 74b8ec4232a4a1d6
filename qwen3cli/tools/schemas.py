"""Tools' schemas as a model gets them: short, in the newest edition of JSON Schema, and with the meaning they had.

Descriptions are trimmed, what only documents is dropped, `$defs` are put where they are used, or shared where that is
shorter. A compacted schema accepts exactly what the original accepts, in whichever edition that was written. Calls are
checked against the original all the same (`validation`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from qwen3cli.tools.drafts import NAMED, ONE, PLAIN, SEVERAL, BadSchema, Draft, draft_of, has_meaning, nodes
from qwen3cli.tools.pointers import References
from qwen3cli.tools.wording import shorten

_DESCRIPTION = 160
_LONGEST_DEFAULT = 40
_ANNOTATIONS = ("description", "default", "contentEncoding")
_ELSEWHERE = ("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$anchor", "$vocabulary")
"""Keywords that make a schema mean something by where it stands; they are so rare that it is left as it is."""
_REFERENCE = '{"$ref":"#/$defs/"}'


def compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments, compacted; raises `BadSchema`."""
    draft = draft_of(schema)
    try:
        if _depends_on_its_place(schema, draft):
            made = cast("dict[str, Any]", _Compactor(schema, draft, None).schema(schema))
        else:
            made = _Compactor(schema, draft, References(schema)).whole()
    except RecursionError:
        raise BadSchema("is nested too deep") from None
    types = made.get("type", "object")
    if types != "object" and "object" not in types:
        raise BadSchema("is not one of an object")
    # Arguments are an object always; MCP wants it said.
    return {"type": "object", **made}


def size_of(schema: Any) -> int:
    """Characters of a schema as JSON."""
    return len(json.dumps(schema, ensure_ascii=False))


def _depends_on_its_place(schema: Mapping[str, Any], draft: Draft) -> bool:
    for node in nodes(schema):
        if any(key in node for key in _ELSEWHERE):
            return True
        if node is not schema and any(isinstance(node.get(key), str) for key in ("$id", "id")):
            return True
        reference = node.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            return True
        # What counts as evaluated changed afterwards.
        if draft == 2019 and ("unevaluatedItems" in node or "unevaluatedProperties" in node):
            return True
    return False


class _Compactor:
    """Compacts one schema; without `references` it stays in its edition and keeps what its references lead to."""

    def __init__(self, root: Mapping[str, Any], draft: Draft, references: References | None) -> None:
        self._root = root
        self._draft: Draft = draft
        self._references = references
        self._unevaluated = any("unevaluatedItems" in n or "unevaluatedProperties" in n for n in nodes(root))
        self._bodies: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._shared: dict[str, str] = {}

    def whole(self) -> dict[str, Any]:
        """The root, with the definitions that it shares."""
        made = cast("dict[str, Any]", self.schema(self._root))
        definitions: dict[str, Any] = {}
        # Definitions may share others, which then come behind them.
        while len(definitions) < len(self._shared):
            for pointer, name in list(self._shared.items()):
                if name not in definitions:
                    definitions[name] = self._body(pointer)
        return {**made, "$defs": definitions} if definitions else made

    def schema(self, node: Any) -> Any:
        """One schema."""
        if not isinstance(node, dict):
            return node
        node = cast("dict[str, Any]", node)
        if self._references is None:
            return self._in_place(node)
        notes = self._notes(node)
        reference = node.get("$ref")
        if isinstance(reference, str) and self._draft <= 7:
            # Before 2019 whatever stood beside a reference meant nothing.
            return self._referred(reference, notes)
        made = {**notes, **self._constraints(node)}
        if isinstance(reference, str):
            return self._referred(reference, made)
        return self._folded(made)

    def _in_place(self, node: dict[str, Any]) -> dict[str, Any]:
        """The schema without what documents it, everything else where it was."""
        dropped = {"title", "description", "default", "examples", "$comment", "deprecated"}
        made = {**self._notes(node), **{key: value for key, value in node.items() if key not in dropped}}
        for key, value in made.items():
            if isinstance(value, dict) and key in (*NAMED, "$defs", "definitions"):
                named = cast("dict[str, Any]", value)
                made[key] = {name: self.schema(one) for name, one in named.items()}
            elif isinstance(value, list) and key in (*SEVERAL, "items"):
                made[key] = [self.schema(one) for one in cast("list[Any]", value)]
            elif key in ONE:
                made[key] = self.schema(value)
        return made

    def _notes(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """What a model is told about a value beyond its constraints."""
        notes: dict[str, Any] = {}
        description = node.get("description")
        if isinstance(description, str) and description.strip():
            notes["description"] = shorten(description, _DESCRIPTION)
        default = node.get("default")
        if default is not None and size_of(default) <= _LONGEST_DEFAULT:
            notes["default"] = default
        if isinstance(node.get("contentEncoding"), str):
            notes["contentEncoding"] = node["contentEncoding"]
        return notes

    def _constraints(self, node: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in _modern(node, self._draft).items():
            if key in NAMED:
                made[key] = {name: self.schema(one) for name, one in value.items()}
            elif key in SEVERAL:
                made[key] = [self.schema(one) for one in value]
            elif key in ONE:
                made[key] = self.schema(value)
            elif key in PLAIN and not (key == "required" and not value):
                made[key] = value
        # `{}` and `true` allow what is allowed anyway, unless somebody asks what has been looked at.
        if made.get("additionalProperties") in ({}, True) and not self._unevaluated:
            del made["additionalProperties"]
        return made

    def _folded(self, made: dict[str, Any]) -> dict[str, Any]:
        """Alternatives that are types alone, as a list of types; a choice of one, as that one."""
        for key in ("anyOf", "oneOf", "allOf"):
            options = made.get(key)
            if not isinstance(options, list):
                continue
            options = cast("list[Any]", options)
            beside = {name: value for name, value in made.items() if name != key}
            if len(options) == 1 and isinstance(options[0], dict) and set(beside) <= set(_ANNOTATIONS):
                return {**cast("dict[str, Any]", options[0]), **beside}
            types = _types(options) if key == "anyOf" and "type" not in made else None
            if types:
                return {**beside, "type": types}
        return made

    def _referred(self, reference: str, beside: dict[str, Any]) -> Any:
        """What stands for a reference with `beside` beside it."""
        assert self._references is not None
        pointer = self._references.resolve(reference)
        if pointer == "":
            return {**beside, "$ref": "#"}
        if pointer in self._references.cyclic or not self._is_better_inlined(pointer):
            name = self._shared.setdefault(pointer, self._references.name(pointer))
            return {**beside, "$ref": f"#/$defs/{name}"}
        body = self._body(pointer)
        if not beside:
            return body
        if isinstance(body, dict) and set(beside) <= set(_ANNOTATIONS):
            return {**cast("dict[str, Any]", body), **beside}
        both: list[Any] = [*beside.get("allOf", ()), body]
        return {**beside, "allOf": both}

    def _is_better_inlined(self, pointer: str) -> bool:
        assert self._references is not None
        if pointer in self._shared:
            return False
        if pointer not in self._sizes:
            self._sizes[pointer] = size_of(self._body(pointer))
        uses, size = self._references.uses[pointer], self._sizes[pointer]
        name = self._references.name(pointer)
        reference = len(_REFERENCE) + len(name)
        return uses == 1 or uses * size <= uses * reference + size + len(name)

    def _body(self, pointer: str) -> Any:
        assert self._references is not None
        if pointer not in self._bodies:
            self._bodies[pointer] = self.schema(self._references.target(pointer))
        return self._bodies[pointer]


def _modern(node: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """The keywords of a schema that mean something, as the newest edition spells them."""
    made = {key: value for key, value in node.items() if has_meaning(key, draft)}
    extra = made.pop("additionalItems", None)
    if draft < 2020 and isinstance(made.get("items"), list):
        made["prefixItems"] = made.pop("items")
        if extra is not None:
            made["items"] = extra
    if draft <= 7 and isinstance(made.get("dependencies"), dict):
        wanted = cast("dict[str, Any]", made["dependencies"])
        made["dependentRequired"] = {name: one for name, one in wanted.items() if isinstance(one, list)}
        made["dependentSchemas"] = {name: one for name, one in wanted.items() if not isinstance(one, list)}
    if draft == 4:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if made.pop(exclusive, False) is True and bound in made:
                made[exclusive] = made.pop(bound)
    return made


def _types(options: list[Any]) -> list[str] | None:
    """The types that a list of nothing but types allows."""
    found: list[str] = []
    for option in options:
        if not isinstance(option, dict) or set(cast("dict[str, Any]", option)) != {"type"}:
            return None
        types: Any = cast("dict[str, Any]", option)["type"]
        found.extend(cast("list[str]", types) if isinstance(types, list) else [types])
    return list(dict.fromkeys(found))
