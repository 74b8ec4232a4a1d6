"""The tools of all servers as a model may get them: names it can be given, schemas made short, what is broken left out.

A tool has its own name where no other has it, else `server.tool`; people always say `server.tool`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from qwen3cli.chat.messages import ToolSpec
from qwen3cli.tools.drafts import BadSchema
from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.schemas import compact
from qwen3cli.tools.search import FIND
from qwen3cli.tools.validation import Validation
from qwen3cli.tools.wording import harmless, shorten

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DESCRIPTION = 400
_MOST_NAMES = 30


@dataclass(frozen=True)
class Known:
    """A tool as its server describes it, and as the model gets it, which takes so many tokens."""

    remote: RemoteTool
    server: ServerConfig
    spec: ToolSpec
    tokens: int

    @property
    def label(self) -> str:
        """How people name it."""
        return self.remote.label


class Catalogue:
    """Makes tools known; remembers what it has looked at, so that only what changes is looked at again."""

    def __init__(self, servers: Sequence[ServerConfig], validation: Validation) -> None:
        self._servers: Mapping[str, ServerConfig] = {server.name: server for server in servers}
        self._validation = validation
        self._looked_at: dict[str, tuple[RemoteTool, ToolSpec | None]] = {}
        self._tokens: dict[str, tuple[ToolSpec, int]] = {}
        self._notices: list[str] = []
        self._unnameable: dict[str, str] = {}

    def known(self, tools: Sequence[RemoteTool], count: Callable[[str], int]) -> list[Known]:
        """All of these tools that can be offered, each with the name that it has among them."""
        names = Counter(tool.name for tool in tools)
        labels = {tool.label for tool in tools}
        found: list[Known] = []
        for tool in tools:
            own = names[tool.name] == 1 and tool.name not in labels and tool.name != FIND
            spec = self._spec(tool)
            if spec is None:
                continue
            spec = replace(spec, name=tool.name if own else tool.label)
            if not _NAME.fullmatch(spec.name):
                if self._unnameable.get(tool.label) != spec.name:
                    self._drop(tool, f"its name, {shorten(spec.name, 80)}, is none that a model can be given")
                self._unnameable[tool.label] = spec.name
                continue
            self._unnameable.pop(tool.label, None)
            found.append(Known(tool, self._servers[tool.server], spec, self._count(tool.label, spec, count)))
        return found

    def forget_counts(self) -> None:
        """Count again: another model has other tokens."""
        self._tokens.clear()

    def notices(self) -> list[str]:
        """What the person should know since this was asked last."""
        told, self._notices = self._notices, []
        return told

    def _spec(self, tool: RemoteTool) -> ToolSpec | None:
        """The tool under its own name, or None if nothing can be made of it."""
        before = self._looked_at.get(tool.label)
        if before is not None and before[0] == tool:
            return before[1]
        spec: ToolSpec | None = None
        try:
            parameters = compact(tool.schema) if self._is_sound(tool) else None
        except BadSchema as error:
            self._drop(tool, f"its schema {error}")
            parameters = None
        if parameters is not None:
            spec = ToolSpec(tool.name, shorten(tool.description or tool.title, _DESCRIPTION), parameters)
        self._looked_at[tool.label] = (tool, spec)
        return spec

    def _is_sound(self, tool: RemoteTool) -> bool:
        broken, unread = self._validation.problem(tool.schema)
        if broken is not None:
            self._drop(tool, f"its schema {broken}")
            return False
        if unread:
            self._notices.append(
                f"a pattern of `{harmless(tool.label)}`, {shorten(unread[0], 80)}, is in a dialect that only its"
                " server checks"
            )
        return True

    def _drop(self, tool: RemoteTool, why: str) -> None:
        notice = f"the tool `{shorten(tool.label, 100)}` is not offered: {harmless(why)}"
        if notice not in self._notices:
            self._notices.append(notice)

    def _count(self, label: str, spec: ToolSpec, count: Callable[[str], int]) -> int:
        before = self._tokens.get(label)
        if before is None or before[0] != spec:
            before = self._tokens[label] = (spec, count(rendered(spec)))
        return before[1]


def rendered(spec: ToolSpec) -> str:
    """A tool as templates write it."""
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def named(name: str, known: Sequence[Known]) -> Known | str:
    """The tool that a model means, or what to tell it if there is none, or more than one."""
    for one in known:
        if name in (one.spec.name, one.label):
            return one
    alike = [one for one in known if one.remote.name == name]
    if len(alike) == 1:
        return alike[0]
    if alike:
        return f"`{name}` may be one of {_listed([one.spec.name for one in alike])}. Call one of these."
    names = [one.spec.name for one in known]
    said = f"There is no tool `{shorten(name, 80)}`."
    close = get_close_matches(name, names, 3)
    if close:
        return f"{said} Perhaps {_listed(close)} is meant."
    return f"{said} There are {_listed(names)}." if names else f"{said} No tool is there; answer without one."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) + more
