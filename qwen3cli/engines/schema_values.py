"""A JSON Schema as rules: what a model may write, character by character.

The rules say at most what the schema says, so what follows them is valid; where a keyword cannot be said,
`loose` names it, and somebody has to check the finished value. Properties come in the order of the schema, with
the spaces of Python's `json.dumps`, which Qwen writes too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from qwen3cli.engines.schema_items import MALFORMED, Item, Literal, Ref, Unsupported, Way
from qwen3cli.engines.schema_layers import Layers
from qwen3cli.engines.schema_listed import Listed
from qwen3cli.engines.schema_merge import Schema, as_schema, tuple_of, types_of, values_of
from qwen3cli.engines.schema_numbers import bounds_of, integer, number
from qwen3cli.engines.schema_rules import MAX_REPEATED, Rules
from qwen3cli.engines.schema_strings import Strings

_DEEPEST = 60
SPARE = 5_000
"""Elements of a grammar that are left for what is around a schema that takes too many."""
_ESCAPED = re.compile("[\x7f-\x9f\ud800-\udfff]")
_UNSAID = {
    "object": ("propertyNames", "dependentRequired", "dependentSchemas", "dependencies"),
    "array": ("contains", "unevaluatedItems"),
    "number": ("multipleOf",),
    "integer": ("multipleOf",),
}
_ANYWHERE = ("not", "if", "$dynamicRef")
_WORDS_FOR_PEOPLE = {"title", "description", "default", "examples", "deprecated", "$comment", "$schema"}
_SAID_BY_LIST = _WORDS_FOR_PEOPLE | {"enum", "const"}


class Values:
    """Writes the rules for the values of one document's schemas."""

    def __init__(self, rules: Rules, strings: Strings, document: Mapping[str, Any]) -> None:
        self.loose: list[str] = []
        self._rules = rules
        self._strings = strings
        self._layers = Layers(document)
        self._known: dict[str, Ref] = {}
        self._depth = 0
        self._values = Listed()

    def value(self, schema: Any, path: str = "") -> Ref:
        """The values that meet `schema`, which stands at `path`; raises `Unsupported`."""
        schema = as_schema(schema)
        key = json.dumps(schema, sort_keys=True)
        if key in self._known:
            return self._known[key]
        if self._depth >= _DEEPEST:
            raise Unsupported(f"it is nested more than {_DEEPEST} times")
        ref = self._known[key] = self._rules.reserve()
        self._depth += 1
        self._rules.define(ref, self._ways(schema, path))
        self._depth -= 1
        return ref

    def _ways(self, schema: Schema, path: str) -> list[Way]:
        if "$ref" in schema and schema.keys() - _WORDS_FOR_PEOPLE == {"$ref"}:
            return [(self.value(self._layers.resolve(schema["$ref"]), path),)]
        flats, overlap = self._layers.flat(schema)
        if overlap:
            self._leave("oneOf", path)
        return [way for flat in flats for way in self._flat(flat, path)]

    def _leave(self, word: str, path: str) -> None:
        said = f"`{word}` of `{path.lstrip('.')}`" if path else f"`{word}`"
        if said not in self.loose:
            self.loose.append(said)

    def _flat(self, schema: Schema, path: str) -> list[Way]:
        for word in _ANYWHERE:
            if word in schema:
                self._leave(word, path)
        values = values_of(schema)
        if values is not None:
            return [(literals(self._rules, self._listed(values, schema, path)),)]
        kinds = types_of(schema)
        ways: list[Way] = []
        for kind in kinds:
            for word in _UNSAID.get(kind, ()):
                if word in schema and not (word == "multipleOf" and kind == "integer" and schema[word] == 1):
                    self._leave(word, path)
            if not (kind == "integer" and "number" in kinds):
                ways += self._kind(kind, schema, path)
        return ways

    def _listed(self, values: list[Any], schema: Schema, path: str) -> list[str]:
        """The listed values that meet the rest of the schema, as far as that can be told."""
        if schema.keys() <= _SAID_BY_LIST:
            return list(map(as_json, values))
        rest = {word: part for word, part in schema.items() if word not in ("enum", "const")}
        for word in self._values.untold(rest):
            self._leave(word, path)
        kept: list[str] = []
        for value in values:
            try:
                if not self._values.meets(value, rest):
                    continue
            except Unsupported:
                self._leave("pattern" if "pattern" in rest else "enum", path)
            kept.append(as_json(value))
        return kept

    def _kind(self, kind: str, schema: Schema, path: str) -> list[Way]:
        if kind == "null":
            return [(Literal("null"),)]
        if kind == "boolean":
            return [(Literal("true"),), (Literal("false"),)]
        if kind == "string":
            return [(self._string(schema, path),)]
        if kind == "array":
            return [(Literal("["), *self._array(schema, path), Literal("]"))]
        if kind == "object":
            return [(Literal("{"), *self._object(schema, path), Literal("}"))]
        return [((integer if kind == "integer" else number)(self._rules, bounds_of(schema)),)]

    def _counts(self, schema: Schema, what: str, path: str) -> tuple[int, int | None]:
        """The least and the most of something; more than can be counted is left out."""
        low, high = _count(schema, "min" + what) or 0, _count(schema, "max" + what)
        if low > MAX_REPEATED:
            self._leave("min" + what, path)
            low = 0
        if high is not None and high > MAX_REPEATED:
            self._leave("max" + what, path)
            high = None
        return low, high

    def _string(self, schema: Schema, path: str) -> Ref:
        low, high = self._counts(schema, "Length", path)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            try:
                return self._strings.matching(pattern, low, high, lambda: self._leave("maxLength", path))
            except Unsupported:
                self._leave("pattern", path)
        name = schema.get("format")
        formatted = self._strings.formatted(name, low, high) if isinstance(name, str) else None
        return formatted or self._strings.text(low, high)

    def _array(self, schema: Schema, path: str) -> Way:
        low, high = self._counts(schema, "Items", path)
        if schema.get("uniqueItems") and high not in (0, 1):
            self._leave("uniqueItems", path)
        first, rest = tuple_of(schema)
        if first and "items" not in schema and low <= len(first):
            # What the schema does not speak of is allowed, and not meant.
            rest = False
        comma = Literal(", ")
        item = self.value(rest, f"{path}[]")
        following = self._rules.add([[comma, item]])
        if not first:
            if high == 0:
                return () if not low else (self._rules.add(()),)
            some = (item, *self._rules.repeat(following, max(low - 1, 0), None if high is None else high - 1))
            return some if low else (self._rules.add([[], some]),)
        left = None if high is None else max(high - len(first), 0)
        tail = self._rules.repeat(following, max(low - len(first), 0), left)
        for number_, part in reversed(list(enumerate(first))):
            here: list[Item] = [self.value(part, f"{path}[{number_}]"), *tail]
            ways: list[list[Item]] = [] if number_ < low else [[]]
            if high is None or number_ < high:
                ways.append([comma, *here] if number_ else here)
            tail = (self._rules.add(ways),)
        return tail

    def _object(self, schema: Schema, path: str) -> Way:
        properties = as_schema(schema.get("properties", {}))
        required = dict.fromkeys(name for name in schema.get("required", []) if isinstance(name, str))
        said = schema.get("additionalProperties")
        for name in required:
            properties.setdefault(name, True if said is None or schema.get("patternProperties") else said)
        # What a schema with properties does not speak of is allowed, and not meant.
        least = _count(schema, "minProperties") or 0
        other = ("properties" not in schema or least > len(properties)) if said is None else said
        pair = self._other(schema, properties, other, path)
        most = self._most_others(schema, properties, required, path)
        more: Way = ()
        some = self._rules.add(())
        if pair is not None and most != 0:
            follows = self._rules.add([[Literal(", "), pair]])
            more = self._rules.repeat(follows, 0, most)
            some = self._rules.add(
                [[pair, *self._rules.repeat(follows, 0, None if most is None else most - 1)]]
            )
        needed = False
        for name, part in reversed(properties.items()):
            here = [Literal(as_json(name) + ": "), self._property(part, f"{path}.{name}"), *more]
            some = self._rules.add([here] if name in required else [here, [some]])
            needed |= name in required
            more = (self._rules.add([[Literal(", "), some]] if needed else [[], [Literal(", "), some]]),)
        if needed or least > 0:
            return (some,)
        return (self._rules.add([[], [some]]),)

    def _property(self, part: Any, path: str) -> Ref:
        """The values of a property; any value where its schema cannot be said, so that the others stay held."""
        known, depth, mark = len(self._known), self._depth, self._rules.mark()
        try:
            ref = self.value(part, path)
            if self._rules.room < SPARE:
                raise Unsupported("it is too large")
            return ref
        except (Unsupported, *MALFORMED) as refusal:
            while len(self._known) > known:
                # What was begun meanwhile may refer to what was never finished.
                self._known.popitem()
            self._depth = depth
            self._rules.back(mark)
            reason = refusal if isinstance(refusal, Unsupported) else "it is malformed, or nested too deep"
            self.loose.append(f"`{path.lstrip('.')}` ({reason})")
            return self.value(True, path)

    def _most_others(
        self, schema: Schema, properties: Schema, required: Mapping[str, None], path: str
    ) -> int | None:
        """How many properties there may be besides the declared ones; None for any number."""
        low, high = self._counts(schema, "Properties", path)
        if low > max(len(required), 1):
            # A name that comes twice counts once.
            self._leave("minProperties", path)
        if high is None:
            return None
        if len(properties) > high:
            self._leave("maxProperties", path)
        return max(high - len(properties), 0)

    def _other(self, schema: Schema, properties: Schema, other: Any, path: str) -> Ref | None:
        """A property besides the declared ones: name, colon, value; None where there may be none."""
        patterns = as_schema(schema.get("patternProperties", {}))
        if not patterns:
            if other is False:
                return None
            name = self._strings.other_names(properties)
            return self._rules.add([[name, Literal(": "), self.value(other, f"{path}.*")]])
        if properties:
            self._leave("patternProperties", path)
            return None
        pattern, part = next(iter(patterns.items()))
        try:
            if len(patterns) > 1:
                raise Unsupported("a name may have several patterns")
            name = self._strings.matching(pattern, 0, None, lambda: None)
        except Unsupported:
            self._leave("patternProperties", path)
            name, part = self._strings.other_names(()), True
        return self._rules.add([[name, Literal(": "), self.value(part, f"{path}.*")]])


def as_json(value: Any) -> str:
    """A value as the model writes it; control characters and half surrogate pairs, which UTF-8 has not, are escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return json.dumps(value) if _ESCAPED.search(text) else text


def literals(rules: Rules, texts: list[str]) -> Ref:
    """One of the texts; what they begin with is shared, so that a choice of hundreds costs no more than one."""
    groups: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        groups.setdefault(text[:1], []).append(text)
    ways: list[list[Item]] = []
    for those in groups.values():
        shared = _shared(min(those), max(those))
        if len(those) == 1:
            ways.append([Literal(shared)] if shared else [])
        else:
            ways.append([Literal(shared), literals(rules, [text[len(shared) :] for text in those])])
    return rules.add(ways)


def _shared(first: str, last: str) -> str:
    """What both begin with, and with them every text that sorts between them."""
    ends = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(ends, min(len(first), len(last)))]


def _count(schema: Schema, word: str) -> int | None:
    value = schema.get(word)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < float("inf"):
        return None
    return int(value)
