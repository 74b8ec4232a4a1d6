"""What the command line wishes of tools and of the answer's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3cli.chat.ports import ToolChoice
from qwen3cli.cli.session import Session
from qwen3cli.errors import InvalidFile, ToolsFailed, UsageError

if TYPE_CHECKING:
    from qwen3cli.cli.answers import AnswerCheck
    from qwen3cli.cli.tooling import Tooling

_LARGEST_SCHEMA = 1 << 20
_HOW_TO_ADD = "`qwen3 mcp add NAME -- COMMAND` adds a server"


@dataclass(frozen=True)
class ToolWishes:
    """`wanted` None leaves it to whether there is a prompt: what is piped through a model waits for no servers."""

    wanted: bool | None
    extra: Path | None
    choice: ToolChoice
    everything: bool
    repl: bool
    raw: bool
    formatted: bool = False

    @property
    def asked(self) -> bool:
        """Whether something on the command line asks for tools."""
        return bool(self.wanted) or self.extra is not None or self.choice == "required"

    def check(self) -> None:
        """Raise `UsageError` for wishes that contradict each other."""
        if self.asked and self.wanted is False:
            asks = "--mcp" if self.extra is not None else "--tool-choice required"
            raise UsageError(f"`--no-tools` and `{asks}` contradict each other", "leave one of them out")
        if self.asked and self.choice == "none":
            raise UsageError("`--tool-choice none` contradicts the wish for tools", "leave one of them out")
        if self.raw and self.formatted:
            raise UsageError("`--raw` completes text, without a format", "leave out `--format`")
        if self.raw and (self.asked or self.everything):
            raise UsageError("`--raw` completes text, without tools", "leave it out")
        if self.everything and not self.repl and not self.asked:
            raise UsageError("`--yes` allows tool calls, and no tools are asked for", "add `--tools`")


def wanted_tools(session: Session, wishes: ToolWishes) -> Tooling | None:
    """The tools that were asked for, or that there are for a person at the prompt; their servers start."""
    wishes.check()
    if wishes.wanted is False or wishes.choice == "none" or wishes.raw:
        return None
    if not wishes.asked and not (wishes.repl and _are_configured(session)):
        return None
    # Takes 100 ms, and most chats have no servers.
    from qwen3cli.cli.tooling import open_tooling

    tools = open_tooling(session, wishes.extra, everything=wishes.everything, strict=wishes.asked)
    if tools is None and wishes.choice == "required":
        raise ToolsFailed("a tool call is demanded, and no server is configured", _HOW_TO_ADD)
    if tools is None and wishes.asked:
        session.notice(f"no server is configured, so there are no tools; {_HOW_TO_ADD}")
    return tools


def choice_of(text: str) -> ToolChoice:
    """The value of `--tool-choice`."""
    choices: dict[str, ToolChoice] = {"auto": "auto", "required": "required", "none": "none"}
    if text.lower() not in choices:
        raise UsageError(f"`--tool-choice` takes auto, required or none, not `{text}`")
    return choices[text.lower()]


def format_of(text: str | None) -> Mapping[str, Any] | None:
    """The JSON Schema that `--format` names: that of any object for `json`, else that in the file."""
    if text is None:
        return None
    if text.lower() == "json":
        return {"type": "object"}
    try:
        path = Path(text).expanduser()
        with path.open("rb") as file:
            data = file.read(_LARGEST_SCHEMA + 1)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise UsageError(
            f"`--format {text}` cannot be read: {reason}",
            "give `json`, or a JSON Schema's file",
        ) from None
    if len(data) > _LARGEST_SCHEMA:
        raise InvalidFile(f"`{path}` has more than {_LARGEST_SCHEMA:,} bytes: no schema for an answer has")
    try:
        schema: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidFile(f"`{path}` is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise InvalidFile(f"`{path}` is no JSON Schema: it must be an object")
    return schema  # pyright: ignore[reportUnknownVariableType]


def answer_check(schema: Mapping[str, Any] | None) -> AnswerCheck | None:
    """Who judges answers by the schema of `--format`; raises `InvalidFile` for a schema that is none."""
    if schema is None:
        return None
    # Starts a process.
    from qwen3cli.cli.answers import AnswerCheck

    return AnswerCheck(schema)


def _are_configured(session: Session) -> bool:
    """Whether there is a file that could name servers."""
    if session.config.paths.mcp.exists():
        return True
    from qwen3cli.tools.projects import PROJECT_FILE

    return Path(PROJECT_FILE).exists()
