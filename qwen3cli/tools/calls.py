"""One call from its decision to its result: recorded, run, seen by hooks, cut to what the model has room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from qwen3cli.chat.messages import ERROR_MARK, ToolCall, ToolResult
from qwen3cli.errors import Interrupted, QwenError
from qwen3cli.tools.audit import Audit
from qwen3cli.tools.catalogue import Known
from qwen3cli.tools.hooks import HookedCall, Hooks
from qwen3cli.tools.identity import Identity
from qwen3cli.tools.kinds import RawResult, RemoteTool
from qwen3cli.tools.results import Count, Results
from qwen3cli.tools.wording import harmless

_CHANGED = "This call was not run, because its server has changed the tool since it was allowed."


class Host(Protocol):
    """Where the servers are."""

    def tools(self) -> list[RemoteTool]:
        """The tools of all servers that are ready."""
        ...

    def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        watch: Callable[[str], None],
        cancelled: threading.Event,
    ) -> RawResult:
        """Call a tool; raises `Interrupted` when cancelled, another `QwenError` when the server failed."""
        ...

    def news(self) -> list[str]:
        """What the person should know since this was asked last."""
        ...


@dataclass(frozen=True)
class Means:
    """What a call needs to run; `tell` takes notices from any thread, `count` gives tokens of a text."""

    host: Host
    hooks: Hooks
    audit: Audit
    results: Results
    share: float
    count: Count
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """A call that may run: a `PreparedCall`. `number` names it in the record."""

    call: ToolCall
    known: Known
    number: str
    means: Means = field(repr=False)
    cancelled: threading.Event = field(repr=False)

    def run(self, room: int, watch: Callable[[str], None]) -> ToolResult:
        """Run it; the result takes its share of `room`, which is in tokens."""
        started = time.monotonic()
        outcome, is_error, content = "interrupted", True, ""
        try:
            if self._is_another():
                outcome = "not run"
                return ToolResult(self.call.name, _CHANGED, is_error=True)
            content, is_error, outcome = self._text(watch)
            means = self.means
            fitting = means.results.fitting(self.known.label, content, int(room * means.share), means.count)
            return ToolResult(self.call.name, fitting, is_error=is_error)
        finally:
            self._record(outcome, is_error, len(content), time.monotonic() - started)

    def drop(self) -> None:
        """Record that it never ran."""
        self._record("not run", True, 0, 0.0)

    def _is_another(self) -> bool:
        """Whether the tool is not any more what was decided on: somebody may have been asked for long."""
        remote = self.known.remote
        now = next((one for one in self.means.host.tools() if one.label == remote.label), remote)
        # In a folder that is gone no identity is like another.
        return now != remote and len({Identity.of(one, self.known.server).key for one in (remote, now)}) > 1

    def _text(self, watch: Callable[[str], None]) -> tuple[str, bool, str]:
        """The whole result as text, whether it is an error, and how that came about."""
        remote, means = self.known.remote, self.means
        try:
            raw = means.host.call(
                remote.server, remote.name, self.call.arguments, watch=watch, cancelled=self.cancelled
            )
            content, is_error, outcome = means.results.text(remote.label, raw), raw.is_error, "done"
        except Interrupted:
            raise
        except QwenError as error:
            content, is_error, outcome = harmless(f"The call failed: {error.message}."), True, "failed"
        seen = HookedCall(remote.server, remote.name, self.call.arguments, content, is_error)
        hooked = means.hooks.after(seen, self.cancelled)
        for notice in hooked.notices:
            means.tell(notice)
        if hooked.blocked:
            means.tell(f"the result of `{remote.label}` was withheld by a {hooked.by}")
            return hooked.blocked, True, f"withheld by {hooked.by}"
        if hooked.call != seen:
            means.tell(f"a hook changed the result of `{remote.label}`")
        content, is_error = harmless(hooked.call.content), hooked.call.is_error
        marked = is_error and outcome == "done" and not content.lower().startswith("error")
        return f"{ERROR_MARK}{content}" if marked else content, is_error, outcome

    def _record(self, outcome: str, is_error: bool, size: int, duration_s: float) -> None:
        try:
            self.means.audit.returned(
                self.number,
                self.known.label,
                outcome=outcome,
                is_error=is_error,
                size=size,
                duration_s=duration_s,
            )
        except QwenError as error:
            # It has run: what came of it is not lost because the record is.
            self.means.tell(error.message)
