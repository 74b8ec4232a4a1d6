"""Sessions as `qwen3 sessions list` and `show` present them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qwen3cli.chat.events import Text, Thinking
from qwen3cli.chat.messages import ERROR_MARK, Message, ToolResult
from qwen3cli.cli.described import age, turns
from qwen3cli.cli.servers import is_narrow, show_narrow
from qwen3cli.cli.session import Session
from qwen3cli.sessions.folder import Saved
from qwen3cli.sessions.snapshot import Snapshot
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.figures import call_text, result_text
from qwen3cli.terminal.renderer import turn_renderer
from qwen3cli.terminal.repl import CONTINUATION, PROMPT
from qwen3cli.terminal.wrap import clip

_BEGINNING = 60
"""Columns of what was said first."""


def show_list(session: Session, found: Sequence[Saved]) -> None:
    """Write the table, or the JSON."""
    console = session.console
    for problem in (one.problem for one in found if one.problem is not None):
        console.notice(f"{problem.message}; {problem.hint}")
    if session.as_json:
        console.json([_listed(one) for one in found])
        return
    rows = [_row(one, console.out.glyph("…", "...")) for one in found]
    if not rows:
        console.talk("there are no sessions; `qwen3 chat --session NAME` begins one")
    elif is_narrow(console):
        for one, (name, used, _, *below) in zip(found, rows, strict=True):
            said = turns(one.snapshot.turns) if one.snapshot else ""
            show_narrow(console, name, (used, said), below)
    else:
        header = ("NAME", "USED", "TURNS", "MODEL", "BEGINS")
        console.table(rows, header, right=(2,), squeezed=(0, 3, 4))


def _row(one: Saved, mark: str) -> tuple[str, ...]:
    said = one.snapshot
    if said is None:
        return one.name, age(one.used), "", "", "(cannot be read)"
    model = Path(said.model).name if Path(said.model).is_absolute() else said.model
    return one.name, age(one.used), f"{said.turns:,}", model, _beginning(said, mark)


def _beginning(said: Snapshot, mark: str) -> str:
    return clip(" ".join(said.begins[: 8 * _BEGINNING].split()), _BEGINNING, mark)


def _listed(one: Saved) -> dict[str, Any]:
    said = one.snapshot
    return {
        "name": one.name,
        "file": str(one.path),
        "turns": said.turns if said else None,
        "model": said.model if said else None,
        "used": datetime.fromtimestamp(one.used, timezone.utc).isoformat(timespec="seconds"),
        "begins": _beginning(said, "…") if said else None,
        "problem": one.problem.message if one.problem else None,
    }


def show_one(session: Session, saved: Saved) -> None:
    """Write what was said, or the JSON of it; raises `InvalidFile` if it cannot be read."""
    said, console = saved.snapshot, session.console
    if said is None:
        assert saved.problem is not None
        raise saved.problem
    if session.as_json:
        console.json({**_listed(saved), "system": said.system, "messages": [*map(_message, said.messages)]})
        return
    if said.system:
        console.result(f"System prompt: {said.system}\n\n")
    for message in said.messages:
        _show(console, message)


def _message(message: Message) -> dict[str, Any]:
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
    return {
        "role": message.role,
        "content": message.content,
        **({"thinking": message.thinking} if message.thinking else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _show(console: Console, message: Message) -> None:
    """One message as it was on the screen."""
    if message.role == "user":
        console.result(PROMPT + message.content.replace("\n", f"\n{CONTINUATION}") + "\n")
    elif message.role == "tool":
        result = ToolResult("", message.content, message.content.startswith(ERROR_MARK))
        console.result(f"{result_text(result, console.out)}\n")
    else:
        renderer = turn_renderer(console, repl=True)
        renderer.show(Thinking(message.thinking))
        renderer.show(Text(message.content))
        renderer.close()
        for call in message.tool_calls:
            console.result(f"{call_text(call, console.out)}\n")
