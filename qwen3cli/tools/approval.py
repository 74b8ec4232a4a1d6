"""Whether a call may run: nothing runs that nobody agreed to, and what changed is asked for again.

What was approved "always" is in a file, keyed by what the tool is (`identity`); what was approved for the session is
in memory. Globs of the user's settings decide without asking, and among them a denial wins. What a server says of its
tools is shown to the person and believed by nobody. How the asking looks is none of this module's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast

from qwen3cli.private import alone, read_private, write_private
from qwen3cli.tools.identity import Identity
from qwen3cli.tools.kinds import RemoteTool, ServerConfig

_LIMIT = 8 << 20
_KEPT = 64
"""Definitions of one tool that stay approved: one name may stand for several servers, in several projects."""
_REFUSED = "The user denied it."
"""Short and plain: the smallest models repeat what they are told."""
_FORBIDDEN = "The person's settings do not allow this tool. Do not call it again; answer without it."
_NOBODY = "Nobody is there who could allow this call. Do not call it again; answer without it."


@dataclass(frozen=True)
class Question:
    """What a person is asked. All but `changed` comes from elsewhere and is data.

    `changed` names what is different from what was approved earlier under this name; it is empty for what is new.
    """

    server: ServerConfig
    tool: RemoteTool
    arguments: Mapping[str, Any]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the person says; the reason of a denial is told to the model."""

    kind: Literal["once", "session", "always", "deny"]
    reason: str = ""


Ask = Callable[[Question], Answer]


@dataclass(frozen=True)
class Verdict:
    """Whether a call may run, the reason for the model if it may not, and who or what decided."""

    allowed: bool
    reason: str
    by: str


class Approval:
    """Decides on calls; `everything` is the person's word for this one run, `ask` None means that nobody is there."""

    def __init__(
        self,
        store: Path,
        allow: Sequence[str],
        deny: Sequence[str],
        ask: Ask | None,
        everything: bool,
        foreign: Collection[str] = (),
    ) -> None:
        """`foreign` are servers that the user's own file does not name: what the user allows means none of theirs."""
        self._store = store
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._ask = ask
        self._everything = everything
        self._foreign = frozenset(foreign)
        self._session: set[str] = set()
        self._seen: dict[str, Mapping[str, str]] = {}
        self._notices: list[str] = []

    def decide(self, tool: RemoteTool, server: ServerConfig, arguments: Mapping[str, Any]) -> Verdict:
        """Decide on one call, and ask if nothing else decides; whatever the asking raises goes through."""
        verdict = self._settled(tool)
        if verdict is not None:
            return verdict
        identity = Identity.of(tool, server)
        if identity.key in self._session:
            return Verdict(True, "", "session")
        known = self._read().get(tool.label, [])
        if any(one["key"] == identity.key for one in known):
            return Verdict(True, "", "always")
        if self._ask is None:
            of_whom = " of servers in your own mcp.json" if tool.server in self._foreign else ""
            self._notices.append(
                f"`{tool.label}` was denied, because nobody is there to be asked: `--yes` allows every call of a run,"
                f" `allow` in config.toml those of single tools{of_whom}"
            )
            return Verdict(False, _NOBODY, "nobody")
        return self._asked(
            self._ask, Question(server, tool, arguments, self._changes(identity, tool, known)), identity
        )

    def notices(self) -> list[str]:
        """What the person should know since this was asked last."""
        told, self._notices = self._notices, []
        return told

    def _settled(self, tool: RemoteTool) -> Verdict | None:
        """What the settings say, if they say anything."""
        if glob := _matching(tool.label, self._deny):
            return Verdict(False, _FORBIDDEN, f"denied by `{glob}`")
        if self._everything:
            return Verdict(True, "", "--yes")
        # A name in somebody else's file is no promise that it stands for what the user had in mind.
        if tool.server not in self._foreign and (glob := _matching(tool.label, self._allow)):
            return Verdict(True, "", f"allowed by `{glob}`")
        return None

    def _changes(
        self, identity: Identity, tool: RemoteTool, known: Sequence[Mapping[str, Any]]
    ) -> tuple[str, ...]:
        """What is different from what was approved last under this name."""
        earlier = self._seen.get(tool.label) or (known[-1]["parts"] if known else None)
        return identity.differences(earlier) if earlier is not None else ()

    def _asked(self, ask: Ask, question: Question, identity: Identity) -> Verdict:
        answer = ask(question)
        if answer.kind == "deny":
            reason = f"{_REFUSED} Reason: {answer.reason}" if answer.reason else _REFUSED
            return Verdict(False, reason, "person")
        self._seen[question.tool.label] = identity.parts
        if answer.kind != "once":
            self._session.add(identity.key)
        if answer.kind == "always":
            self._keep(question.tool.label, identity)
        return Verdict(True, "", "person" if answer.kind == "once" else f"person, {answer.kind}")

    def _keep(self, label: str, identity: Identity) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        entry: dict[str, Any] = {"key": identity.key, "approved": now, "parts": dict(identity.parts)}
        try:
            with alone(self._store):
                approved = self._load()
                others = [one for one in approved.get(label, []) if one["key"] != identity.key]
                approved[label] = [*others, entry][-_KEPT:]
                write_private(self._store, json.dumps(approved, indent=1).encode())
        except OSError as error:
            self._notices.append(
                f"that `{label}` is always allowed could not be written to {self._store}"
                f" ({error.strerror or error}); it holds for this session"
            )

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        """What was approved for good; a file that cannot be read approves nothing."""
        try:
            return self._load()
        except OSError as error:
            self._say_once(
                f"{self._store} cannot be read ({error.strerror or error}): nothing in it is approved"
            )
            return {}

    def _load(self) -> dict[str, list[dict[str, Any]]]:
        """What the file holds; one that cannot be understood is kept aside, and approves nothing."""
        try:
            return _sound(json.loads(read_private(self._store, _LIMIT)))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            aside = self._store.with_name(f"{self._store.name}.damaged")
            self._store.replace(aside)
            self._say_once(
                f"{self._store} could not be understood ({error}): nothing in it is approved any more,"
                f" and it is kept as {aside.name}"
            )
            return {}

    def _say_once(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.append(notice)


def trusting(servers: Iterable[str]) -> list[str]:
    """The globs that allow every tool of servers which the user's own file trusts."""
    return [f"{name}.*" for name in sorted(servers)]


def _matching(label: str, globs: Sequence[str]) -> str | None:
    return next((glob for glob in globs if fnmatchcase(label, glob)), None)


def _sound(data: Any) -> dict[str, list[dict[str, Any]]]:
    """The file's content if it is what we write; raises `ValueError` otherwise."""
    labels = _object(data)
    for entries in labels.values():
        if not isinstance(entries, list):
            raise ValueError("it holds something that is no list of approvals")
        for entry in map(_object, cast("list[Any]", entries)):
            _object(entry.get("parts"))
            if not isinstance(entry.get("key"), str):
                raise ValueError("it holds an approval of nothing")
    return labels


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it holds something that is no object")
    return cast("dict[str, Any]", value)
