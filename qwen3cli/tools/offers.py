"""What servers offer besides tools, how they are, and how they reach the person; values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Literal

State = Literal["starting", "ready", "failed", "stopped"]

Elicit = Callable[[str, str, Mapping[str, Any], Event], Mapping[str, Any] | None]
"""Asks the person for a server: its name, its message, the JSON Schema of the answers; None declines.

A schema without properties asks for consent only. The event is set when nobody waits for the answer any more. Called
on a thread that is not the caller's.
"""


@dataclass(frozen=True)
class ServerStatus:
    """How one server is.

    "stopped" is one that was ready, and is started again when it is asked for something. `reason` says why it is not
    ready, `lines` are the last that it wrote to its log, `seconds` is how long it took to get ready or fail.
    """

    name: str
    state: State
    protocol: str = ""
    tools: int = 0
    reason: str = ""
    lines: tuple[str, ...] = ()
    log: Path = Path()
    seconds: float = 0.0


@dataclass(frozen=True)
class PromptArgument:
    """One argument of a prompt."""

    name: str
    description: str = ""
    required: bool = False


@dataclass(frozen=True)
class RemotePrompt:
    """A prompt as its server describes it."""

    server: str
    name: str
    description: str = ""
    arguments: tuple[PromptArgument, ...] = ()


@dataclass(frozen=True)
class RemoteResource:
    """A resource as its server describes it."""

    server: str
    uri: str
    name: str = ""
    description: str = ""
    mime: str = ""


@dataclass(frozen=True)
class Patience:
    """How long starting may take: the first try, and the second in the older protocol; and how long ending may.

    A server that has not ended `exit_s` after its stdin closed is told to, and killed a second later. With the ends of
    both tries that is 30 seconds for one that hears nothing.
    """

    start_s: float = 17.0
    retry_s: float = 8.0
    exit_s: float = 1.5
