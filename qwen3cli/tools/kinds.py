"""What the parts of this room pass each other: servers as configured, tools as servers describe them, results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Transport = Literal["stdio", "http", "sse"]


@dataclass(frozen=True)
class ServerConfig:
    """One server of an mcp.json, its variables resolved; `name` is its key there.

    `command` with `args` for "stdio", `url` for the others. `include` and `exclude` are globs of tools' names;
    an empty `include` takes all. `timeout_s` is for one call. `source` is the file that names the server.
    """

    name: str
    transport: Transport
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: Path | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout_s: float = 600.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    source: Path = field(default_factory=Path)


@dataclass(frozen=True)
class RemoteTool:
    """A tool as its server describes it; nothing of that is believed."""

    server: str
    name: str
    description: str
    schema: Mapping[str, Any]
    title: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def label(self) -> str:
        """How people and globs name it: `server.tool`."""
        return f"{self.server}.{self.name}"


@dataclass(frozen=True)
class TextBlock:
    """Text of a result."""

    text: str


@dataclass(frozen=True)
class DataBlock:
    """An image, a sound or a file of a result."""

    mime: str
    data: bytes = field(repr=False)
    uri: str = ""


@dataclass(frozen=True)
class LinkBlock:
    """A resource that a result points to."""

    uri: str
    name: str = ""
    description: str = ""


Block = TextBlock | DataBlock | LinkBlock


@dataclass(frozen=True)
class RawResult:
    """What a server gave back for a call, before anything is cut or saved."""

    blocks: tuple[Block, ...] = ()
    is_error: bool = False
    structured: Any = None
