"""A value of a configuration file under its key, read as the type it should have.

Whatever is not as it should be is an `InvalidFile` that names file, line and key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.errors import InvalidFile
from qwen3cli.tools.jsonc import BadSyntax, Node, line_of, parse

_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Field:
    """One value: where it is, and what stands there. `key` is the whole way to it, `servers.git.args`."""

    path: Path
    text: str
    node: Node
    key: str = ""

    @property
    def line(self) -> int:
        """The line it begins in, counted from one."""
        return line_of(self.text, self.node.start)

    @property
    def is_text(self) -> bool:
        """Whether it is a text."""
        return isinstance(self.node.value, str)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node.value, list)

    def members(self) -> dict[str, Field]:
        """What the object holds."""
        if not isinstance(self.node.value, dict):
            raise self.refusal(f"is {self._kind}, not an object")
        return {key: self._below(node, key) for key, node in self.node.value.items()}

    def string(self) -> str:
        """The text; one that no program could be given is refused."""
        value = self.node.value
        if not isinstance(value, str):
            raise self.refusal(f"is {self._kind}, not text", "write it in double quotes")
        if "\0" in value:
            raise self.refusal("holds a NUL character")
        return value

    def items(self) -> tuple[Field, ...]:
        """What the list holds."""
        if not isinstance(self.node.value, list):
            raise self.refusal(f"is {self._kind}, not a list")
        return tuple(self._below(node, str(n)) for n, node in enumerate(self.node.value))

    def strings(self) -> tuple[str, ...]:
        """The texts of a list."""
        return tuple(item.string() for item in self.items())

    def texts(self) -> dict[str, str]:
        """The texts of an object."""
        return {key: member.string() for key, member in self.members().items()}

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.node.value, bool):
            raise self.refusal(f"is {self._kind}, not true or false")
        return self.node.value

    def number(self, least: float, most: float) -> float:
        """The number, between these two."""
        value = self.node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(f"is {self._kind}, not a number")
        if not math.isfinite(value) or not least <= value <= most:
            raise self.refusal(f"is {value:g}; from {least:,.0f} to {most:,.0f} makes sense")
        return float(value)

    def refusal(self, what: str, hint: str | None = None) -> InvalidFile:
        """The error that says what is wrong with it."""
        return InvalidFile(f"`{self.path}`, line {self.line}: `{self.key}` {what}", hint)

    def _below(self, node: Node, key: str) -> Field:
        return Field(self.path, self.text, node, f"{self.key}.{key}" if self.key else key)

    @property
    def _kind(self) -> str:
        value = self.node.value
        return "null" if value is None else _KINDS[type(value)]


def read_members(path: Path, text: str) -> Mapping[str, Field]:
    """The members of the object that the file of that text is."""
    try:
        root = parse(text)
    except BadSyntax as error:
        line = line_of(text, min(error.offset, len(text)))
        raise InvalidFile(
            f"`{path}`, line {line}: {error.message}", "it is to be JSON; comments are fine"
        ) from None
    field = Field(path, text, root)
    if not isinstance(root.value, dict):
        raise InvalidFile(f"`{path}` is not an object of `mcpServers`")
    return field.members()
