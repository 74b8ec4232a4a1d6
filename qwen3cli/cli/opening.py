"""From a model on the disk to one in memory: trial load, placement, engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qwen3cli.chat.ports import Engine
from qwen3cli.cli.finding import to_chat_with
from qwen3cli.cli.session import Session
from qwen3cli.config import CacheSettings
from qwen3cli.engines.prefixes import Keeping
from qwen3cli.errors import Interrupted, NotEnough, UsageError
from qwen3cli.machine import Drafts, ModelFacts, Placement
from qwen3cli.models import fit
from qwen3cli.models.machines import available_memory, this_machine
from qwen3cli.models.offload import Split
from qwen3cli.models.sizes import needs_of_file
from qwen3cli.models.trust import check_once
from qwen3cli.terminal import figures
from qwen3cli.terminal.interrupts import cancelling
from qwen3cli.terminal.progress import Progress

ALL = 1 << 16
"""More layers than any model has."""
OFF, PROMPT = "off", "prompt"
"""What `--draft` takes besides a model: no drafts at all, or those that are looked up in the context."""


@dataclass(frozen=True)
class RunOptions:
    """How a model is to be run; None is our choice. `draft` is `OFF`, `PROMPT`, or a model that drafts for it."""

    context: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    cpu_moe: int | None = None
    kv_type: str | None = None
    draft: str = PROMPT

    @property
    def drafts_by_model(self) -> bool:
        """Whether `draft` is a model."""
        return self.draft.lower() not in (OFF, PROMPT)


def open_model(session: Session, facts: ModelFacts, options: RunOptions, draft: ModelFacts | None) -> Engine:
    """Load a model, and one that drafts for it, showing progress; Ctrl-C gives up cleanly."""
    import threading

    from qwen3cli.engines import open_engine

    placement, drafts = placed(session, facts, options, draft)
    stop = threading.Event()
    with Progress(session.console, f"loading {facts.name}", unit="share") as bar, cancelling(stop.set):
        engine = open_engine(
            facts, placement, progress=bar.update, stop=stop, keeping=_keeping(session), drafts=drafts
        )
    if stop.is_set():  # Pressed when the last byte was in memory already.
        engine.close()
        raise Interrupted("loading was interrupted")
    if 0 < facts.context_length < placement.context_size:
        session.notice(_beyond(facts, placement))
    return engine


def placed(
    session: Session, facts: ModelFacts, options: RunOptions, draft: ModelFacts | None
) -> tuple[Placement, Drafts]:
    """How a model is to be run here, after a trial load of one that nobody has tried; what is unusual is said."""
    from qwen3cli.engines import devices, physical_cores

    for one in (facts, draft):
        if one is not None:
            _try(session, one)
    wish = fit.Wish(
        options.context,
        options.threads or physical_cores(),
        options.gpu_layers,
        options.cpu_moe,
        options.kv_type or "f16",
    )
    fitted = fit.place(facts, this_machine(devices()), wish, needs_of_file, draft)
    if fitted.split is not None and (said := _shared_out(fitted.split)):
        session.notice(said)
    size = fitted.placement.context_size
    if options.context is None and size < fit.default_context(facts):
        session.notice(
            f"the context is {size:,} tokens, not {fit.default_context(facts):,}:"
            " more does not fit the free memory (`--ctx` asks for more)"
        )
    if draft is not None and (said := _in_vain(facts, draft, fitted)):
        session.notice(said)
    return fitted.placement, Drafts(options.draft.lower() != OFF, draft, fitted.draft)


def _try(session: Session, facts: ModelFacts) -> None:
    from qwen3cli.engines import engine_version, trial_load

    cache = session.config.paths.cache
    # The cache holds what this program made of its own parts. A checkpoint that it converted is another's.
    if facts.path.resolve().parent != cache.resolve():
        check_once(facts.path, cache, engine_version(), trial_load, facts.further)


def _in_vain(facts: ModelFacts, draft: ModelFacts, fitted: fit.Fitted) -> str:
    """What a person should know of a model whose drafts will hardly make anything faster."""
    if draft.file_bytes >= facts.file_bytes:
        return f"`{draft.name}` is not smaller than `{facts.name}`: its drafts gain nothing"
    if fitted.split is not None and fitted.split.layers and fitted.draft and fitted.draft.gpu_layers == 0:
        return (
            f"`{draft.name}` drafts in main memory, which is slow: beside `{facts.name}` the GPU has no room for it"
            " (a smaller `--ctx` makes some)"
        )
    return ""


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
    return Keeping(paths.prefixes, limit, available_memory) if limit else None


class Open(Protocol):
    """Opens a model by reference."""

    def __call__(self, text: str, *, again: bool = False) -> tuple[ModelFacts, Engine]:
        """`again`, in the place of another one, it opens without the drafts of a model that does not suit it."""
        ...


def opener(session: Session, options: RunOptions) -> Open:
    """Opens models with these options; what is to draft is found now."""
    draft = to_chat_with(session, options.draft) if options.drafts_by_model else None

    def open_by_name(text: str, *, again: bool = False) -> tuple[ModelFacts, Engine]:
        facts = to_chat_with(session, text)
        try:
            return facts, open_model(session, facts, options, draft)
        except (UsageError, NotEnough) as refusal:
            if not again or draft is None:
                raise
            engine = open_model(session, facts, options, None)
            session.notice(f"{refusal.message}; drafts are looked up in the context only")
            return facts, engine

    return open_by_name
