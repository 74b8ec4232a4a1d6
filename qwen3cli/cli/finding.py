"""From what a person typed to the facts of a model: what is installed, what a path leads to, what can be pulled."""

from __future__ import annotations

import shlex
from pathlib import Path

from qwen3cli.cli.checkpoint import checkpoint_facts
from qwen3cli.cli.session import Session
from qwen3cli.errors import InvalidFile, ModelNotFound, NetworkError, NotEnough, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.conversion import demo_facts
from qwen3cli.models.facts import read_facts
from qwen3cli.models.installed import find_installed
from qwen3cli.models.reference import DEMO, ModelRef, candidates, is_folder
from qwen3cli.terminal.ask import can_ask

PREFERRED = "0.6b"
HOW_TO_GET_ONE = f"`qwen3 pull {PREFERRED}` installs a model; `qwen3 chat demo PROMPT` uses the built-in demo"


def default_model(session: Session) -> str:
    """The model nobody named: `QWEN3_MODEL`, the only installed one, 0.6b, or for a person the demo.

    Raises `ModelNotFound` in a pipe with nothing installed, `UsageError` when there is a choice to make.
    """
    if session.config.model:
        return session.config.model
    names = [entry.name for entry in session.store.entries()]
    if len(names) == 1:
        return names[0]
    if any(name.lower() == PREFERRED for name in names):
        return PREFERRED
    if names:
        raise UsageError(
            f"several models are installed: {', '.join(names)}",
            "say which one, as in `qwen3 chat NAME`, or set `QWEN3_MODEL`",
        )
    if not (session.console.stdin_is_terminal and session.console.stdout_is_terminal):
        raise ModelNotFound("no model is installed", HOW_TO_GET_ONE)
    return _first_model(session)


def _first_model(session: Session) -> str:
    """What a person without any model gets: the smallest one if they want it and it can be had, else the demo."""
    try:
        if _offered(session, PREFERRED, "no model is installed (n opens the demo)"):
            return PREFERRED
    except (NetworkError, ModelNotFound, NotEnough) as error:
        session.show_error(error)
    session.console.notice(f"this is the built-in demo; `qwen3 pull {PREFERRED}` installs a real model")
    return DEMO


def _offered(session: Session, text: str, question: str) -> bool:
    """Whether the person wants a model pulled, and it was."""
    if session.as_json or not can_ask(session.console):
        return False
    from qwen3cli.cli.pulls import run_pull
    from qwen3cli.models.pull import Request

    return run_pull(session, Request(ModelRef.parse(text)), ask=question) is not None


def is_model(session: Session, text: str) -> bool:
    """Whether a lone word is meant as a model: by its form, or because the store has it."""
    return ModelRef.parse(text).kind != "words" or session.store.find(text) is not None


def find_facts(session: Session, text: str) -> ModelFacts:
    """The facts of the model that `text` refers to; raises `ModelNotFound` or `InvalidFile`."""
    reference = ModelRef.parse(text)
    if reference.kind == "demo":
        return demo_facts(session.config.paths.cache)
    if reference.kind == "path":
        return _facts_of_path(text)
    entry = session.store.find(text) or find_installed(session.store, reference)
    if entry is not None:
        return session.store.facts(entry)
    raise ModelNotFound(*_absence(text, reference))


def _absence(text: str, reference: ModelRef) -> tuple[str, str]:
    """What to say of a model that is not there."""
    if reference.is_remote:
        return f"`{text}` is not installed", f"`qwen3 pull {shlex.quote(text)}` installs it"
    if reference.kind == "ollama":
        return f"`{text}` is not registered", f"`qwen3 import {shlex.quote(text)}` does that"
    names = candidates(text) or HOW_TO_GET_ONE
    hint = f"`qwen3 list` shows what is installed; {names}"
    if is_folder(text):
        hint = f"to chat with the folder, write `./{text}`"
    return f"there is no model `{text}`", hint


def to_chat_with(session: Session, text: str) -> ModelFacts:
    """As `find_facts`, but a checkpoint is converted, and a person may have what is missing pulled."""
    reference = ModelRef.parse(text)
    if reference.kind == "path" and is_folder(text):
        return checkpoint_facts(session, Path(text).expanduser())
    try:
        return find_facts(session, text)
    except ModelNotFound as error:
        if not reference.is_remote:
            raise
        if not _offered(session, text, error.message):
            raise
    return find_facts(session, text)


def _facts_of_path(text: str) -> ModelFacts:
    hint = "check the path; `qwen3 list` shows what is installed"
    try:
        path = Path(text).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise ModelNotFound(f"`{text}` cannot be opened: {reason}", hint) from None
    if is_folder:
        folder = shlex.quote(text)
        hint = f"`qwen3 convert {folder} --as NAME` makes it a model; `qwen3 chat {folder}` does so too"
        raise InvalidFile(f"`{path}` is a folder, not a GGUF file", hint)
    if not exists:
        raise ModelNotFound(f"there is no file `{path}`", hint)
    return read_facts(path)
