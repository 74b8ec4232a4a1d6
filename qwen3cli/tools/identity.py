"""What a tool is, as a hash: whatever somebody approved holds for exactly that, and what differs can be named.

Of the server it is what starts or reaches it, with the names of its environment and headers (their values may be
secrets that change), the folder that it runs in, where a command may mean something else, and the project that names
it; of the tool its schema and its description, which the model acts upon.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.projects import PROJECT_FILE

DESCRIPTION = "the tool's description"


@dataclass(frozen=True)
class Identity:
    """A tool of a server: its hash, and a hash of each part under the part's name."""

    key: str
    parts: Mapping[str, str]

    @classmethod
    def of(cls, tool: RemoteTool, server: ServerConfig) -> Identity:
        """The identity of a tool as described and configured now."""
        parts = {
            "the server's command": _hash([server.transport, server.command]),
            "the server's folder": _hash(_folders(server)),
            "the server's arguments": _hash(server.args),
            "the names of the server's environment": _hash(sorted(server.env)),
            "the server's URL": _hash([server.url, sorted(name.lower() for name in server.headers)]),
            "the tool's schema": _hash(tool.schema),
            DESCRIPTION: _hash([tool.description, tool.title]),
        }
        return cls(_hash([tool.server, tool.name, parts]), parts)

    def differences(self, earlier: Mapping[str, str]) -> tuple[str, ...]:
        """The names of the parts that were not like this earlier."""
        return tuple(name for name, part in self.parts.items() if earlier.get(name) != part)


def _folders(server: ServerConfig) -> list[str]:
    """Where it runs, and which project names it: one name may stand for something else in each."""
    runs_in = _place(server.cwd or Path()) if server.transport == "stdio" else ""
    project = server.source if server.source.name == PROJECT_FILE else None
    return [runs_in, _place(project) if project else ""]


def _place(path: Path) -> str:
    """Where it is, whatever links lead there; a folder that was removed while we are in it is like no other."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError:
        return uuid.uuid4().hex


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
