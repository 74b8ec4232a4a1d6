"""JSON as people write it in configurations: with comments and trailing commas, each value with its place.

Other than that it is strict: no key twice in one object, no NaN, no text that is not Unicode, 64 levels at most.
Knows nothing of what the values mean.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, TypeAlias

Value: TypeAlias = "dict[str, Node] | list[Node] | str | int | float | bool | None"

_DEEPEST = 64
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*(?s:.*?)\*/)*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_.+-])")
_WORD = re.compile(r"(?:true|false|null)(?![0-9A-Za-z_])")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Node(NamedTuple):
    """A value that stands at `start` to `end`; a member of an object begins with its key, at `key`.

    `comma` is where the comma behind it stands, if there is one.
    """

    value: Value
    start: int
    end: int
    key: int = 0
    comma: int | None = None


class BadSyntax(Exception):
    """What is wrong, and at which offset."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def parse(text: str) -> Node:
    """The one value of a document; raises `BadSyntax`."""
    parser = _Parser(text)
    # Windows' editors begin a file with a mark that is no text.
    start = parser.blank(1 if text.startswith("\ufeff") else 0)
    node = parser.value(start, 0)
    end = parser.blank(node.end)
    if end < len(text):
        raise BadSyntax("there is more after the end of the value", end)
    return node


def line_of(text: str, offset: int) -> int:
    """The line of an offset, counted from one."""
    return text.count("\n", 0, offset) + 1


def plain(node: Node) -> object:
    """The value as Python's own lists and dictionaries."""
    if isinstance(node.value, dict):
        return {key: plain(member) for key, member in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def blank(self, at: int) -> int:
        """Where the next text is that is no blank and no comment."""
        match = _BLANK.match(self._text, at)
        end = match.end() if match else at
        if self._text.startswith("/*", end):
            raise BadSyntax("this comment has no end", end)
        return end

    def value(self, at: int, depth: int) -> Node:
        if depth > _DEEPEST:
            raise BadSyntax(f"values are nested more than {_DEEPEST} deep", at)
        first = self._text[at : at + 1]
        if first == "{":
            parts, end = self._parts(at, "}", depth)
            return Node(dict(parts), at, end)
        if first == "[":
            parts, end = self._parts(at, "]", depth)
            return Node([node for _, node in parts], at, end)
        if first == '"':
            text, end = self._string(at)
            return Node(text, at, end)
        return self._scalar(at)

    def _parts(self, at: int, closing: str, depth: int) -> tuple[list[tuple[str, Node]], int]:
        """What the object or list at `at` holds, and where it ends; what a list holds has empty keys."""
        parts: list[tuple[str, Node]] = []
        keys: set[str] = set()
        place = self.blank(at + 1)
        while self._text[place : place + 1] != closing:
            if place >= len(self._text):
                raise BadSyntax(f"this has no closing `{closing}`", at)
            key, start = self._key(place, keys) if closing == "}" else ("", place)
            node = self.value(start, depth + 1)
            end = self.blank(node.end)
            comma = end if self._text[end : end + 1] == "," else None
            parts.append((key, Node(node.value, node.start, node.end, place, comma)))
            place = end if comma is None else self.blank(end + 1)
            if comma is None and self._text[place : place + 1] not in (closing, ""):
                raise BadSyntax(f"a comma or `{closing}` is expected here", place)
        return parts, place + 1

    def _key(self, at: int, known: set[str]) -> tuple[str, int]:
        """A key that is not among the `known` ones, and where its value begins."""
        if self._text[at] != '"':
            raise BadSyntax("a key in double quotes is expected here", at)
        key, end = self._string(at)
        if key in known:
            raise BadSyntax(f"`{key}` is there twice", at)
        known.add(key)
        colon = self.blank(end)
        if self._text[colon : colon + 1] != ":":
            raise BadSyntax(f"a colon is expected after `{key}`", colon)
        return key, self.blank(colon + 1)

    def _string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self._text, at)
        if match is None:
            raise BadSyntax("this text has no closing quote, or a line break or control character in it", at)
        try:
            text = str(json.loads(match[0]))
        except ValueError:
            raise BadSyntax("there is a backslash in this text that means nothing", at) from None
        if _SURROGATE.search(text):
            raise BadSyntax("this text holds half a character (`\\ud800` to `\\udfff`)", at)
        return text, match.end()

    def _scalar(self, at: int) -> Node:
        match = _WORD.match(self._text, at) or _NUMBER.match(self._text, at)
        if match is None:
            what = "the file ends where a value is expected" if at >= len(self._text) else "this is no value"
            raise BadSyntax(what, at)
        scalar: int | float | bool | None = json.loads(match[0])
        return Node(scalar, at, match.end())
