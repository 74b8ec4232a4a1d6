"""Adds a server to the text of an mcp.json, or takes one out; comments, order and layout of the rest stay.

Knows where values stand in a text, and nothing of what they mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from qwen3cli.tools.jsonc import Node, parse

_INDENT = "  "


def with_server(text: str, name: str, server: Mapping[str, Any]) -> str:
    """The text with one more server, in the group of servers that it has; it is valid, and lacks the name."""
    text = text if text.strip("\ufeff \t\r\n") else "{}\n"
    root = parse(text)
    groups = _groups(root)
    if not groups:
        return _inserted(text, root, "mcpServers", {name: server})
    return _inserted(text, groups[0], name, server)


def names_in(text: str) -> list[str]:
    """What the servers in a text are called, those that are left out included."""
    return [name for group in (_groups(parse(text)) if text.strip() else []) for name in _members(group)]


def without_server(text: str, name: str) -> str:
    """The text without that server, which it has."""
    group = next(members for members in map(_members, _groups(parse(text))) if name in members)
    keys = list(group)
    node, number = group[name], keys.index(name)
    last = group[keys[number - 1]] if number else None
    if node.comma is not None:
        text = text[: node.comma] + text[node.comma + 1 :]
    text = _without(text, node.key, node.end)
    if node.comma is None and last is not None and last.comma is not None:
        text = text[: last.comma] + text[last.comma + 1 :]
    return text


def _groups(root: Node) -> list[Node]:
    """The objects that hold servers."""
    members = _members(root)
    settings = _members(members["mcp"]) if "mcp" in members else {}
    outside = [members[key] for key in ("mcpServers", "servers") if key in members]
    return outside + ([settings["servers"]] if "servers" in settings else [])


def _members(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _inserted(text: str, place: Node, key: str, value: object) -> str:
    """The text with one more member at the end of the object `place`."""
    members = list(_members(place).values())
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = _indent_at(text, place.end - 1, place.key)
    inner = _indent_at(text, members[-1].key, members[-1].key) if members else outer + _INDENT
    lines = json.dumps({key: value}, ensure_ascii=False, indent=_INDENT).splitlines()[1:-1]
    entry = newline.join(inner + line[len(_INDENT) :] for line in lines)
    # Comments may stand between the last member and the brace.
    end = members[-1].end if members else place.start + 1
    between = text[end : place.end - 1].rstrip()
    before, behind = "", ""
    if members:
        # Who ends the last line with a comma gets one again.
        before, behind = (",", "") if members[-1].comma is None else ("", ",")
    return f"{text[:end]}{before}{between}{newline}{entry}{behind}{newline}{outer}{text[place.end - 1 :]}"


def _indent_at(text: str, offset: int, otherwise: int) -> str:
    """The blanks before `offset`, if its line has nothing else there; else those of the line of `otherwise`."""
    start = text.rfind("\n", 0, offset) + 1
    if not text[start:offset].strip():
        return text[start:offset]
    start = text.rfind("\n", 0, otherwise) + 1
    match = re.match(r"[ \t]*", text[start:])
    return match[0] if match else ""


def _without(text: str, start: int, end: int) -> str:
    """The text without that stretch, and without its lines where nothing else stands in them."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last
    if text[first:start].strip() or text[end:last].strip():
        return text[:start] + text[end:]
    return text[:first] + text[last + 1 :]
