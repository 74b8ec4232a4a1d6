"""How a chat begins: anew, or with what was said in a session; and where it is written down."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from qwen3cli.chat.ports import ChatSettings, Engine
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import hard_switch
from qwen3cli.cli.described import age, turns
from qwen3cli.cli.opening import RunOptions
from qwen3cli.cli.session import Session
from qwen3cli.config import SessionSettings
from qwen3cli.errors import ModelNotFound, UsageError
from qwen3cli.models.reference import ModelRef
from qwen3cli.sessions.folder import SessionFolder
from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.names import checked
from qwen3cli.sessions.snapshot import Snapshot


@dataclass(frozen=True)
class Start:
    """With what a chat begins; `journal` is where it is written down, None if nowhere.

    `old_model` and `old_thinking` say that these are the session's, and nobody has given them now.
    """

    model: str | None
    options: RunOptions
    settings: ChatSettings
    system: str | None
    journal: Journal | None = None
    old_model: bool = False
    old_thinking: bool = False

    @property
    def before(self) -> Snapshot | None:
        """What was said earlier."""
        return self.journal.before if self.journal is not None else None


@contextmanager
def started(
    session: Session, start: Start, name: str | None, *, latest: bool, repl: bool
) -> Generator[Start]:
    """The start of a chat in the session `name`, in the latest one, or in none; what it goes on with is said.

    Raises a `QwenError` for a session that cannot be had, and at the end for one that could not be written.
    """
    journal = _journal(session, name, latest=latest, repl=repl, raw=start.settings.raw)
    if journal is None:
        yield start
        return
    named = journal.name is not None
    try:
        _tell(session, journal)
        yield replace(_with(start, journal.before), journal=journal)
        if not named and journal.name is not None:
            session.console.talk(f"kept as `{journal.name}`; `qwen3 chat --continue` goes on with it")
    finally:
        try:
            journal.close()
        finally:
            # What the disk refuses only now is told, too.
            _tell_notices(session, journal)


def _journal(session: Session, name: str | None, *, latest: bool, repl: bool, raw: bool) -> Journal | None:
    if name is not None and latest:
        raise UsageError("`--session` and `--continue` exclude each other", "leave one of them out")
    paths = session.config.paths
    if name is None and not latest:
        kept = repl and not raw and SessionSettings.of(paths.config).keep
        return Journal(paths.sessions) if kept else None
    if raw:
        raise UsageError("`--raw` completes text, and a session is a conversation", "leave one of them out")
    if name is None:
        name = SessionFolder(paths.sessions).latest()
    if name is None:
        raise UsageError("there is no session to go on with", "`qwen3 chat --session NAME` begins one")
    return Journal.open(paths.sessions, checked(name))


def _tell(session: Session, journal: Journal) -> None:
    """Say in one line what a person, or a script, goes on with."""
    if journal.name is None:
        return
    text = f"new session `{journal.name}`"
    if journal.before is not None:
        text = f"session `{journal.name}`: {turns(journal.before.turns)}, used {age(journal.used)}"
    if session.as_json:
        session.notice(text)
    else:
        session.console.talk(text)
    _tell_notices(session, journal)


def _tell_notices(session: Session, journal: Journal) -> None:
    for line in journal.notices():
        session.notice(line)


def _with(start: Start, before: Snapshot | None) -> Start:
    """What was given now, and for the rest what the session has."""
    if before is None:
        return start
    given, kept = start.settings, before.settings
    budget = kept.chat.think_budget
    if given.thinking and budget == 0:
        # That is thinking turned off in other words, and now it is turned on.
        budget = None
    sampling = {
        key: now if now is not None else getattr(kept.chat.sampling, key)
        for key, now in asdict(given.sampling).items()
    }
    settings = replace(
        given,
        thinking=kept.chat.thinking if given.thinking is None else given.thinking,
        think_budget=budget if given.think_budget is None else given.think_budget,
        sampling=SamplingChoice(**sampling),
        max_tokens=kept.chat.max_tokens if given.max_tokens is None else given.max_tokens,
        stop=given.stop or kept.chat.stop,
        when_full=given.when_full or kept.chat.when_full,
    )
    options = replace(
        start.options,
        context=start.options.context or kept.context,
        kv_type=start.options.kv_type or kept.kv_type,
    )
    return replace(
        start,
        model=start.model or before.model,
        options=options,
        settings=settings,
        system=before.system if start.system is None else start.system,
        old_model=start.model is None,
        old_thinking=given.thinking is None,
    )


def reference_of(model: str) -> str:
    """What opens this model from any folder."""
    if ModelRef.parse(model).kind == "path":
        return str(Path(model).expanduser().absolute())
    return model


@contextmanager
def or_another(start: Start) -> Generator[None]:
    """Where a session's model is gone, the error says how to go on with another one."""
    try:
        yield
    except ModelNotFound as error:
        if start.old_model and start.journal is not None:
            name = shlex.quote(start.journal.name or "")
            error.hint = f"{error.hint}; `qwen3 chat MODEL --session {name}` goes on with another model"
        raise


def fitting(session: Session, start: Start, engine: Engine) -> ChatSettings:
    """The settings, without a switch that was set for a model of another kind."""
    if start.old_thinking:
        try:
            hard_switch(engine.thinking_mode, start.settings.thinking)
        except UsageError as error:
            session.notice(f"{error.message}, so what the session has set for that is not used")
            return replace(start.settings, thinking=None)
    return start.settings
