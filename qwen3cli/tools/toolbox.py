"""The tools of a chat: which of them the model sees, and what has to be true before a call of one runs.

A call is looked up, checked against its schema, shown to the hooks, checked again if they changed it, decided on, and
recorded; only then it may run. What fails on the way is told to the model in words that it can act upon.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from qwen3cli.chat.messages import ToolCall, ToolResult, ToolSpec
from qwen3cli.config import ToolSettings
from qwen3cli.errors import Interrupted, QwenError, UsageError
from qwen3cli.tools.approval import Approval
from qwen3cli.tools.audit import Audit
from qwen3cli.tools.calls import Call, Host, Means
from qwen3cli.tools.catalogue import Catalogue, Known, named, rendered
from qwen3cli.tools.complaints import halves
from qwen3cli.tools.hooks import HookedCall, Hooks, same_json
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.results import Count, Results
from qwen3cli.tools.search import FIND, FIND_TOOLS, ranked
from qwen3cli.tools.switches import Switches
from qwen3cli.tools.validation import Validation
from qwen3cli.tools.wording import shorten

_FOUND = 5
"""Tools that one search brings."""


@dataclass(frozen=True)
class ToolDescription:
    """A tool as a person sees it: `name` is what the model calls it, `offered` whether it can see it now.

    Description, schema and annotations are as the server gave them.
    """

    label: str
    name: str
    enabled: bool
    offered: bool
    tokens: int
    description: str
    schema: Mapping[str, Any]
    annotations: Mapping[str, Any]


class Toolbox:
    """A `ToolHost` over servers; `folder` is where approvals, the record and results are kept.

    `count` and `context_size` are those of the model in use (`measure_with` changes them). `go_on` asks whether a turn
    may go on after so many rounds; without it nobody is there who could say so.
    """

    def __init__(
        self,
        host: Host,
        servers: Sequence[ServerConfig],
        settings: ToolSettings,
        approval: Approval,
        folder: Path,
        *,
        count: Count,
        context_size: int,
        go_on: Callable[[int], bool] | None = None,
    ) -> None:
        self._host = host
        self._settings = settings
        self._approval = approval
        self._validation = Validation()
        self._catalogue = Catalogue(servers, self._validation)
        self._hooks = Hooks(settings.hooks)
        self._audit = Audit(folder / "audit.jsonl")
        self._results = Results(folder / "results")
        self._count = count
        self._context_size = context_size
        self._go_on = go_on
        self._switches = Switches([server.name for server in servers])
        self._in_use: list[str] = []
        self._told: list[str] = []
        self._searching = False
        self._cancelled = threading.Event()

    def measure_with(self, count: Count, context_size: int) -> None:
        """Another model is in use."""
        self._count, self._context_size = count, context_size
        self._catalogue.forget_counts()

    def tools(self) -> list[ToolSpec]:
        """The tools on offer now: all, or those in use and the one that finds others."""
        known = self._enabled()
        searching = self._must_search(known)
        if searching and not self._searching and self._settings.search == "auto":
            self._say_searching(known)
        self._searching = searching
        if not searching:
            return [one.spec for one in known]
        return [FIND_TOOLS, *(one.spec for one in self._fitting(known))]

    def prepare(self, call: ToolCall) -> Call | ToolResult:
        """Look a call up, check it, and ask; what may not run is a result that says why."""
        cancelled = self._cancelled
        if call.name == FIND:
            return self._find(call)
        known = named(call.name, self._enabled())
        if isinstance(known, str):
            return _refused(call, known)
        if complaint := self._complaint(known, call.arguments):
            return _refused(call, complaint)
        try:
            return self._asked(call, known, cancelled)
        except BaseException as error:
            # Whoever closes the terminal leaves the question, too.
            by = "person" if isinstance(error, Interrupted) else "nobody"
            self._record(call, known, allowed=False, by=by, reason="stopped before it was decided")
            raise

    def _asked(self, call: ToolCall, known: Known, cancelled: threading.Event) -> Call | ToolResult:
        """What the hooks make of the call, and what is decided then."""
        remote = known.remote
        hooked = self._hooks.before(HookedCall(remote.server, remote.name, call.arguments), cancelled)
        self._told.extend(hooked.notices)
        if hooked.blocked:
            self._record(call, known, allowed=False, by=hooked.by, reason=hooked.blocked)
            return _refused(call, hooked.blocked)
        if not same_json(hooked.call.arguments, call.arguments):
            self._tell(f"a hook changed the arguments of `{known.label}`")
            call = replace(call, arguments=hooked.call.arguments)
            if complaint := self._complaint(known, call.arguments):
                self._record(call, known, allowed=False, by="hook", reason="its arguments are not valid")
                return _refused(call, complaint)
        return self._decided(call, known, cancelled)

    def news(self) -> list[str]:
        """What the person should know since this was asked last."""
        told, self._told = self._told, []
        return [*self._host.news(), *self._catalogue.notices(), *self._approval.notices(), *told]

    def goes_on(self, rounds: int) -> bool:
        """Whether the turn may go on; asked whenever another `rounds` of the settings are over."""
        if rounds % self._settings.rounds:
            return True
        return self._go_on is not None and self._go_on(rounds)

    def cancel(self) -> None:
        """Stop what is prepared or runs now; what comes afterwards runs again. For signal handlers, too."""
        running, self._cancelled = self._cancelled, threading.Event()
        running.set()

    def close(self) -> None:
        """End the process that checks arguments; the servers are their host's."""
        self._validation.close()

    def descriptions(self) -> list[ToolDescription]:
        """All tools, for a person to look at."""
        offered = {spec.name for spec in self.tools()}
        return [
            ToolDescription(
                label=one.label,
                name=one.spec.name,
                enabled=self._may_have(one),
                offered=one.spec.name in offered,
                tokens=one.tokens,
                description=one.remote.description,
                schema=one.remote.schema,
                annotations=one.remote.annotations,
            )
            for one in self._known()
        ]

    def enable(self, which: str) -> list[str]:
        """Offer tools again: a server's, a tool's name or a glob of `server.tool`; the labels of what it names.

        Raises `UsageError` for what is not there, and for what the settings deny.
        """
        known = self._known()
        denied = {one.label for one in known if self._is_denied(one)}
        labels = [label for label in self._switches.on(which, known) if label not in denied]
        if not labels:
            raise UsageError(f"`{which}` is not offered", "`deny` in config.toml names it")
        return labels

    def disable(self, which: str) -> list[str]:
        """Offer them no more."""
        return self._switches.off(which, self._known())

    def _known(self) -> list[Known]:
        return self._catalogue.known(self._host.tools(), self._count)

    def _enabled(self) -> list[Known]:
        """What the model may have; what may never run would only take its context."""
        return [one for one in self._known() if self._may_have(one)]

    def _may_have(self, tool: Known) -> bool:
        return self._switches.is_on(tool) and not self._is_denied(tool)

    def _is_denied(self, tool: Known) -> bool:
        return any(fnmatchcase(tool.label, glob) for glob in self._settings.deny)

    def _budget(self) -> float:
        return self._settings.search_share * self._context_size

    def _must_search(self, known: Sequence[Known]) -> bool:
        if self._settings.search == "auto":
            total = sum(one.tokens for one in known)
            # What takes the place of the tools takes some of the context, too.
            return total > self._budget() and total > self._count(rendered(FIND_TOOLS))
        return self._settings.search == "always" and bool(known)

    def _say_searching(self, known: Sequence[Known]) -> None:
        total = sum(one.tokens for one in known)
        tools = "1 tool" if len(known) == 1 else f"{len(known)} tools"
        self._tell(
            f"{tools} would take {total:,} of the context's {self._context_size:,} tokens, so the model"
            f" searches for tools with `{FIND}`; `search` in config.toml, or disabling some with `/tools`, changes that"
        )

    def _fitting(self, known: Sequence[Known]) -> list[Known]:
        """The tools in use that fit the budget, the latest first to be kept; in the catalogue's order."""
        by_label = {one.label: one for one in known}
        kept: set[str] = set()
        left = self._budget() - self._count(rendered(FIND_TOOLS))
        for label in self._in_use:
            if (one := by_label.get(label)) is not None and (one.tokens <= left or not kept):
                kept.add(label)
                left -= one.tokens
        return [one for one in known if one.label in kept]

    def _use(self, labels: Sequence[str]) -> None:
        self._in_use = list(dict.fromkeys([*labels, *self._in_use]))

    def _find(self, call: ToolCall) -> ToolResult:
        if complaints := self._validation.complaints(FIND_TOOLS.parameters, call.arguments):
            return _refused(call, " ".join(complaints))
        query, known = str(call.arguments["query"]), self._enabled()
        by_name = {one.spec.name: one for one in known}
        found = [by_name[spec.name] for spec in ranked(query, [one.spec for one in known])[:_FOUND]]
        if not found:
            servers = ", ".join(dict.fromkeys(one.remote.server for one in known))
            return _refused(
                call, f"No tool was found. Try other words, in English. The tools come from: {servers}."
            )
        self._use([one.label for one in found])
        offered = self._fitting(known)
        listed = [
            f"- {one.spec.name}: {shorten(one.spec.description, 160)}" for one in found if one in offered
        ]
        return ToolResult(call.name, "\n".join(["These tools can be called now:", *listed]))

    def _complaint(self, known: Known, arguments: Mapping[str, Any]) -> str:
        """What to tell the model about arguments that are not valid."""
        # Before any schema: no server could be told of it, and the attempt would end the connection.
        complaints = halves(arguments) or self._validation.complaints(known.remote.schema, arguments)
        if not complaints:
            return ""
        self._use([known.label])
        said = " ".join(complaints)
        return f"This call of `{known.spec.name}` was not run, for its arguments are not valid. {said}"

    def _decided(self, call: ToolCall, known: Known, cancelled: threading.Event) -> Call | ToolResult:
        verdict = self._approval.decide(known.remote, known.server, call.arguments)
        number = self._record(call, known, allowed=verdict.allowed, by=verdict.by, reason=verdict.reason)
        if not verdict.allowed:
            return _refused(call, verdict.reason)
        if number is None:
            return _refused(call, "This call was not run, because the record of calls cannot be written.")
        self._use([known.label])
        means = Means(
            self._host,
            self._hooks,
            self._audit,
            self._results,
            self._settings.result_share,
            self._count,
            self._tell,
        )
        return Call(call, known, number, means, cancelled)

    def _tell(self, notice: str) -> None:
        self._told.append(notice)

    def _record(self, call: ToolCall, known: Known, *, allowed: bool, by: str, reason: str) -> str | None:
        """The number under which a decision is recorded; None if it could not be."""
        number = uuid.uuid4().hex[:12]
        try:
            self._audit.decided(number, known.label, call.arguments, allowed=allowed, by=by, reason=reason)
        except QwenError as error:
            self._tell(error.message)
            return None
        return number


def _refused(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(call.name, why, is_error=True)
