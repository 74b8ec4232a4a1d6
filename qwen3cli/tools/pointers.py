"""The references inside one schema (`"$ref": "#/$defs/Place"`): where they lead, how often, and in circles or not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from qwen3cli.tools.drafts import BadSchema, schemas_in

_MOST = 500
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]+")


class References:
    """What is referred to, by JSON pointer, from the root and from whatever that refers to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self.uses: Counter[str] = Counter()
        self._leads: dict[str, set[str]] = {"": self._within(root)}
        left = list(self._leads[""])
        while left:
            pointer = left.pop()
            if pointer not in self._leads:
                if len(self._leads) > _MOST:
                    raise BadSchema(f"has more than {_MOST} definitions")
                self._leads[pointer] = self._within(self.target(pointer))
                left.extend(self._leads[pointer])
        self.cyclic = {pointer for pointer in self._leads if pointer in self._reachable(pointer)}

    def resolve(self, reference: str) -> str:
        """The pointer in a reference that stays inside."""
        pointer = unquote(reference[1:])
        if pointer and not pointer.startswith("/"):
            raise BadSchema(f"refers to `{reference}`, which is not there")
        return pointer

    def target(self, pointer: str) -> Any:
        """The schema that a pointer leads to."""
        value: Any = self._root
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = cast("dict[str, Any]", value)[name]
            elif isinstance(value, list) and name.isdecimal() and int(name) < len(cast("list[Any]", value)):
                value = cast("list[Any]", value)[int(name)]
            else:
                raise BadSchema(f"refers to `#{pointer}`, which is not there")
        if not isinstance(value, (dict, bool)):
            raise BadSchema(f"refers to `#{pointer}`, which is no schema")
        return cast("Any", value)

    def name(self, pointer: str) -> str:
        """A name of its own for what a pointer leads to."""
        if pointer not in self._names:
            base = _UNNAMEABLE.sub("_", pointer.rpartition("/")[2]) or "schema"
            name, number = base, 1
            while name in self._names.values():
                number += 1
                name = f"{base}{number}"
            self._names[pointer] = name
        return self._names[pointer]

    def _within(self, schema: Any) -> set[str]:
        found: set[str] = set()
        for node in schemas_in(schema):
            reference = node.get("$ref")
            if isinstance(reference, str):
                pointer = self.resolve(reference)
                self.uses[pointer] += 1
                found.add(pointer)
        return found

    def _reachable(self, start: str) -> set[str]:
        found: set[str] = set()
        left = list(self._leads[start])
        while left:
            pointer = left.pop()
            if pointer not in found:
                found.add(pointer)
                left.extend(self._leads[pointer])
        return found
