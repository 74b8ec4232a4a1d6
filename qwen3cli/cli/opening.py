"""From what a person typed to a model in memory: reference, facts, trial load, placement, engine."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.chat.ports import Engine
from qwen3cli.cli.checkpoint import checkpoint_facts
from qwen3cli.cli.session import Session
from qwen3cli.config import CacheSettings
from qwen3cli.engines.prefixes import Keeping
from qwen3cli.errors import Interrupted, InvalidFile, ModelNotFound, NetworkError, NotEnough, UsageError
from qwen3cli.machine import ModelFacts, Placement
from qwen3cli.models import fit
from qwen3cli.models.conversion import demo_facts
from qwen3cli.models.facts import read_facts
from qwen3cli.models.installed import find_installed
from qwen3cli.models.machines import this_machine
from qwen3cli.models.offload import Split
from qwen3cli.models.reference import DEMO, ModelRef, candidates, is_folder
from qwen3cli.models.sizes import needs_of_file
from qwen3cli.models.trust import check_once
from qwen3cli.terminal import figures
from qwen3cli.terminal.ask import can_ask
from qwen3cli.terminal.interrupts import cancelling
from qwen3cli.terminal.progress import Progress

PREFERRED = "0.6b"
ALL = 1 << 16
"""More layers than any model has."""
HOW_TO_GET_ONE = f"`qwen3 pull {PREFERRED}` installs a model; `qwen3 chat demo PROMPT` uses the built-in demo"


@dataclass(frozen=True)
class RunOptions:
    """How a model is to be run; None is our choice."""

    context: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    cpu_moe: int | None = None
    kv_type: str = "f16"


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


def _to_chat_with(session: Session, text: str) -> ModelFacts:
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


def open_model(session: Session, facts: ModelFacts, options: RunOptions) -> Engine:
    """Load a model, showing progress; Ctrl-C gives up cleanly."""
    import threading

    from qwen3cli.engines import open_engine

    placement = placed(session, facts, options)
    stop = threading.Event()
    with Progress(session.console, f"loading {facts.name}", unit="share") as bar, cancelling(stop.set):
        engine = open_engine(facts, placement, progress=bar.update, stop=stop, keeping=_keeping(session))
    if stop.is_set():  # Pressed when the last byte was in memory already.
        engine.close()
        raise Interrupted("loading was interrupted")
    if 0 < facts.context_length < placement.context_size:
        session.notice(_beyond(facts, placement))
    return engine


def placed(session: Session, facts: ModelFacts, options: RunOptions) -> Placement:
    """How a model is to be run here, after a trial load of one that nobody has tried; what is unusual is said."""
    from qwen3cli.engines import devices, engine_version, physical_cores, trial_load

    cache = session.config.paths.cache
    # The cache holds what this program made of its own parts. A checkpoint that it converted is another's.
    if facts.path.resolve().parent != cache.resolve():
        check_once(facts.path, cache, engine_version(), trial_load, facts.further)
    wish = fit.Wish(
        options.context,
        options.threads or physical_cores(),
        options.gpu_layers,
        options.cpu_moe,
        options.kv_type,
    )
    fitted = fit.place(facts, this_machine(devices()), wish, lambda: needs_of_file(facts))
    if fitted.split is not None and (said := _shared_out(fitted.split)):
        session.notice(said)
    size = fitted.placement.context_size
    if options.context is None and size < fit.default_context(facts):
        session.notice(
            f"the context is {size:,} tokens, not {fit.default_context(facts):,}:"
            " more does not fit the free memory (`--ctx` asks for more)"
        )
    return fitted.placement


def _beyond(facts: ModelFacts, placement: Placement) -> str:
    """What a person should know of a context longer than the model was trained for."""
    if placement.stretch == 1:
        return (
            f"`{facts.name}` was trained for {facts.context_length:,} tokens: beyond them answers get worse"
        )
    said = (
        f"`{facts.name}` was trained for {placement.native:,} tokens: YaRN stretches that {placement.stretch:g} times,"
        " which costs a little on short texts"
    )
    return f"{said}, and beyond 4 times a lot" if placement.stretch > 4 else said


def _shared_out(split: Split) -> str:
    """What a person should know of a model that is not all on the GPU."""
    if split.whole:
        return ""
    where = f"{figures.size(split.gpu)} there, {figures.size(split.main)} in main memory"
    if split.experts_left:
        return f"the experts of {split.experts_left} layers are in main memory, all else on the GPU: {where}"
    return f"{split.layers} of {split.all_layers} layers are on the GPU: {where}"


def _keeping(session: Session) -> Keeping | None:
    paths = session.config.paths
    limit = CacheSettings.of(paths.config).limit
    return Keeping(paths.prefixes, limit) if limit else None


def opener(session: Session, options: RunOptions) -> Callable[[str], tuple[ModelFacts, Engine]]:
    """Opens models by reference with these options."""

    def open_by_name(text: str) -> tuple[ModelFacts, Engine]:
        facts = _to_chat_with(session, text)
        return facts, open_model(session, facts, options)

    return open_by_name


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
