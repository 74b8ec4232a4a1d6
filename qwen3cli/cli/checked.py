"""What `qwen3 mcp check` does: starts the servers, all at once, and tells what became of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from qwen3cli.cli.addresses import Addresses
from qwen3cli.cli.consent import input_question, project_question, url_shower
from qwen3cli.cli.servers import is_narrow, show_narrow, where
from qwen3cli.cli.session import Session
from qwen3cli.errors import ExitCode, Interrupted, QwenError, ToolsFailed, UsageError
from qwen3cli.tools.config import Candidate, find
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.offers import ServerStatus

_PATIENCE_S = 600.0
"""The host gives servers their time; a login takes a person as long as it takes."""
_LOOK_S = 0.1


@dataclass(frozen=True)
class _Outcome:
    """What became of one server; `tools` are the names that it offers."""

    status: ServerStatus
    source: Path
    tools: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        return self.status.state == "ready"


def check_servers(session: Session, names: Sequence[str], extra: Path | None) -> None:
    """Start the servers and show what they offer; raises `ToolsFailed` if one does not work."""
    console = session.console
    asks = not session.as_json
    surroundings = replace(where(session), ask=input_question(console) if asks else None)
    ask_project = project_question(console) if asks else None
    found = find(session.config.paths, surroundings, extra, ask_project)
    for notice in found.notices:
        console.notice(notice)
    chosen = _chosen(found.candidates, names, refused=ask_project is not None)
    configs, failed = _resolved(session, chosen)
    outcomes = {**failed, **_started(session, configs)}
    ordered = [outcomes[one.name] for one in chosen]
    _show(session, ordered)
    broken = [outcome.status.name for outcome in ordered if not outcome.works]
    if broken and session.as_json:
        # The list says it; an event behind it would make it two values.
        raise typer.Exit(int(ExitCode.TOOLS_FAILED))
    if broken:
        listed = ", ".join(f"`{name}`" for name in broken)
        do = "does" if len(broken) == 1 else "do"
        raise ToolsFailed(f"{len(broken)} of {len(ordered)} servers {do} not work: {listed}")


def _chosen(candidates: Sequence[Candidate], names: Sequence[str], *, refused: bool) -> list[Candidate]:
    """The servers that are on, or those of these names, even if they are disabled.

    With `refused`, what is not accepted is what the person has just said no to.
    """
    if not names:
        return [one for one in candidates if one.state == "on"]
    known = {one.name: one for one in candidates if one.state != "overridden"}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no server `{name}`", "`qwen3 mcp list` shows which there are")
        if known[name].state == "not accepted":
            raise UsageError(
                f"the server `{name}` is this folder's, and you have not accepted it",
                None if refused else f"`qwen3 mcp check {name}` in a terminal shows it and asks",
            )
    return [known[name] for name in dict.fromkeys(names)]


def _resolved(
    session: Session, chosen: Sequence[Candidate]
) -> tuple[list[ServerConfig], dict[str, _Outcome]]:
    """The configurations; a server whose variables are missing has failed, and keeps no other from its check."""
    configs: list[ServerConfig] = []
    failed: dict[str, _Outcome] = {}
    for one in chosen:
        try:
            configs.append(one.resolver.resolve(one.listed))
        except Interrupted:
            raise
        except QwenError as error:
            session.console.notice(f"{error.message}; {error.hint}" if error.hint else error.message)
            status = ServerStatus(one.name, "failed", reason=error.message)
            failed[one.name] = _Outcome(status, one.listed.config.source)
    return configs, failed


def _started(session: Session, configs: Sequence[ServerConfig]) -> Mapping[str, _Outcome]:
    if not configs:
        return {}
    console = session.console
    console.talk(f"starting {len(configs)} {'server' if len(configs) == 1 else 'servers'}")
    addresses = Addresses(None if session.as_json else url_shower(console))
    host = McpHost(configs, session.config.paths.tools, open_url=addresses.take)
    with closing(host):
        host.start()
        _wait(host, addresses)
        outcomes = {
            config.name: _Outcome(
                status,
                config.source,
                tuple(tool.name for tool in host.tools() if tool.server == config.name),
            )
            for config, status in zip(configs, host.status(), strict=True)
        }
        for news in host.news():
            console.notice(news)
    return outcomes


def _wait(host: McpHost, addresses: Addresses) -> None:
    """Until all servers are ready or have failed; where one wants a login, the person is shown where."""
    deadline = time.monotonic() + _PATIENCE_S
    while any(one.state == "starting" for one in host.status()) and time.monotonic() < deadline:
        host.wait(_LOOK_S)
        addresses.show()


def _show(session: Session, outcomes: Sequence[_Outcome]) -> None:
    if session.as_json:
        session.console.json([_as_json(outcome) for outcome in outcomes])
        return
    if not outcomes:
        session.console.talk("there are no servers to check; `qwen3 mcp list` shows which there are")
        return
    rows = [_row(outcome) for outcome in outcomes]
    if is_narrow(session.console):
        for name, *beside, tools in rows:
            show_narrow(session.console, name, beside, (tools,))
    else:
        session.console.table(rows, ("NAME", "STATE", "PROTOCOL", "TIME", "TOOLS"), right=(3,))
    for outcome in outcomes:
        status = outcome.status
        if not outcome.works and status.lines:
            session.console.talk(f"What `{status.name}` wrote is in {status.log}")


def _row(outcome: _Outcome) -> tuple[str, ...]:
    status = outcome.status
    tools = f"{len(outcome.tools)}: {', '.join(outcome.tools)}" if outcome.tools else "none"
    time = f"{status.seconds:.1f} s" if status.seconds else ""
    state = "works" if outcome.works else "failed"
    return status.name, state, status.protocol, time, tools if outcome.works else ""


def _as_json(outcome: _Outcome) -> dict[str, object]:
    status = outcome.status
    return {
        "name": status.name,
        "works": outcome.works,
        "protocol": status.protocol or None,
        "tools": list(outcome.tools),
        "seconds": round(status.seconds, 3),
        "reason": status.reason or None,
        "log": str(status.log) if status.lines else None,
        "log_lines": list(status.lines),
        "source": str(outcome.source),
    }
