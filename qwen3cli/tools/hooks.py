"""Commands of the user that run before and after tool calls: they may block a call, or rewrite what it takes or gives.

A hook gets one JSON object on its stdin: `event` ("before" or "after"), `server`, `tool`, `arguments`, and after a call
`result` (`content`, `is_error`). Exit 0 lets it go on; an object on stdout may have `arguments` (before) or `result`
(after), which take the place of those. Exit 2 blocks, for the reason on stderr. Anything else is a failure: before a
call it is refused then, after it the result stays as it is and the person is told. No shell is involved.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

from qwen3cli.config import HookSettings
from qwen3cli.tools.commands import CommandFailed, run_command

_BLOCKED = 2
_LONGEST_REASON = 2_000


@dataclass(frozen=True)
class HookedCall:
    """What hooks see of a call; `content` and `is_error` once it has come back."""

    server: str
    tool: str
    arguments: Mapping[str, Any]
    content: str = ""
    is_error: bool = False


@dataclass(frozen=True)
class Hooked:
    """A call after its hooks: `blocked` is the reason why it, or its result, does not go on."""

    call: HookedCall
    blocked: str = ""
    by: str = ""
    notices: tuple[str, ...] = ()


class Hooks:
    """The hooks of the settings, in their order; callable from any thread."""

    def __init__(self, settings: Sequence[HookSettings]) -> None:
        self._settings = tuple(settings)

    def before(self, call: HookedCall, cancelled: threading.Event) -> Hooked:
        """Run what comes before a call; a hook that fails blocks it. Raises `Interrupted` when cancelled."""
        for hook in self._of("before", call):
            name = hook.command[0]
            try:
                answer, blocked = _run(hook, call, cancelled)
                arguments = answer.get("arguments", call.arguments)
                if not isinstance(arguments, dict) and "arguments" in answer:
                    raise CommandFailed("answered with arguments that are no object")
            except CommandFailed as error:
                notice = f"the hook `{name}` {error}; `{call.server}.{call.tool}` was not called"
                reason = "A check on this machine failed, so this call was not run."
                return Hooked(call, reason, f"hook `{name}` failed", (notice,))
            if blocked is not None:
                return Hooked(call, f"A check on this machine blocked this call: {blocked}", f"hook `{name}`")
            call = replace(call, arguments=cast("Mapping[str, Any]", arguments))
        return Hooked(call)

    def after(self, call: HookedCall, cancelled: threading.Event) -> Hooked:
        """Run what comes after a call; what a hook that fails would have done is left undone, and said."""
        notices: list[str] = []
        for hook in self._of("after", call):
            name = hook.command[0]
            try:
                answer, blocked = _run(hook, call, cancelled)
                changed = _changed(call, answer)
            except CommandFailed as error:
                notices.append(f"the hook `{name}` {error}; the result of `{call.server}.{call.tool}` stands")
                continue
            if blocked is not None:
                reason = f"A check on this machine withheld the result of this call: {blocked}"
                return Hooked(call, reason, f"hook `{name}`", tuple(notices))
            call = changed
        return Hooked(call, notices=tuple(notices))

    def _of(self, when: Literal["before", "after"], call: HookedCall) -> list[HookSettings]:
        label = f"{call.server}.{call.tool}"
        return [hook for hook in self._settings if hook.when == when and fnmatchcase(label, hook.match)]


def same_json(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are the same to a server: `True` equals `1` in Python only."""
    first, second = (json.dumps(dict(each), sort_keys=True) for each in (one, other))
    return first == second


def _run(
    hook: HookSettings, call: HookedCall, cancelled: threading.Event
) -> tuple[dict[str, Any], str | None]:
    """What one hook answered, and why it blocks if it does; raises `CommandFailed`."""
    said: dict[str, Any] = {
        "event": hook.when,
        "server": call.server,
        "tool": call.tool,
        "arguments": call.arguments,
    }
    if hook.when == "after":
        said["result"] = {"content": call.content, "is_error": call.is_error}
    ended = run_command(hook.command, json.dumps(said).encode() + b"\n", hook.timeout_s, cancelled)
    complaint = ended.stderr.decode(errors="replace").strip()
    if ended.status == _BLOCKED:
        return {}, complaint[:_LONGEST_REASON] or "it gave no reason"
    if ended.status != 0:
        last = f": {complaint.splitlines()[-1][:200]}" if complaint else ""
        raise CommandFailed(f"ended with status {ended.status}{last}")
    return _answer(ended.stdout), None


def _answer(output: bytes) -> dict[str, Any]:
    if not output.strip():
        return {}
    try:
        value: Any = json.loads(output)
        # Python reads numbers and texts that JSON has not, and that nobody could be sent.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise CommandFailed("wrote something that is no JSON") from None
    if not isinstance(value, dict):
        raise CommandFailed("wrote JSON that is no object")
    answer = cast("dict[str, Any]", value)
    # Whoever edits what it was given, as `jq` does, gives the rest back, too.
    unknown = answer.keys() - {"event", "server", "tool", "arguments", "result"}
    if unknown:
        raise CommandFailed(f"wrote the key `{min(unknown)}`, which means nothing")
    return answer


def _changed(call: HookedCall, answer: Mapping[str, Any]) -> HookedCall:
    """The call with the result that a hook puts in the place of its own, which may be text alone."""
    if "result" not in answer:
        return call
    value = answer["result"]
    result = cast("dict[str, Any]", value) if isinstance(value, dict) else {"content": value}
    content, is_error = result.get("content", call.content), result.get("is_error", call.is_error)
    if not isinstance(content, str) or not isinstance(is_error, bool):
        raise CommandFailed("answered with a result that is none")
    return replace(call, content=content, is_error=is_error)
