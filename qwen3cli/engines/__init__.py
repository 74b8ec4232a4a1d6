"""The engines; `open_engine` loads the one that is asked for, and everything heavy only then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.chat.ports import Engine
from qwen3cli.errors import Interrupted
from qwen3cli.machine import LOOKED_UP, Device, Drafts, Measured, ModelFacts, Placement

if TYPE_CHECKING:
    from qwen3cli.engines.prefixes import Keeping


def open_engine(
    facts: ModelFacts,
    placement: Placement,
    *,
    progress: Callable[[float], None] | None = None,
    stop: threading.Event | None = None,
    keeping: Keeping | None = None,
    drafts: Drafts = LOOKED_UP,
) -> Engine:
    """Load a model; `progress` gets 0 to 1. Evaluated prefixes are kept where `keeping` says.

    Raises `InvalidFile` when llama.cpp cannot load the file, `NotEnough` without the memory for it, `UsageError`
    when the model of `drafts` cannot draft for it, and `Interrupted` after `stop` was set.
    """
    from qwen3cli.engines.llama.engine import LlamaEngine

    return LlamaEngine(
        facts, placement, progress or (lambda _fraction: None), stop or threading.Event(), keeping, drafts
    )


def measure(
    facts: ModelFacts,
    placement: Placement,
    *,
    drafts: Drafts = LOOKED_UP,
    depths: Sequence[int],
    rounds: int,
    tell: Callable[[str], None],
    stop: threading.Event,
) -> Measured:
    """Load a model and measure how fast it is; `tell` hears what is measured now.

    Raises like `open_engine`.
    """
    from qwen3cli.engines.llama.context import Cancelled
    from qwen3cli.engines.llama.measure import measure

    try:
        return measure(facts, placement, drafts, depths, rounds, tell, stop)
    except Cancelled:
        raise Interrupted from None


def trial_load(path: Path) -> str | None:
    """Why llama.cpp cannot load `path`, found out in a child process that it may abort; None when it can."""
    from qwen3cli.engines.llama.trial import trial_load

    return trial_load(path)


def physical_cores() -> int:
    """How many threads computing pays for."""
    from qwen3cli.engines.llama.threads import physical_cores

    return physical_cores()


def engine_version() -> str:
    """Name and version of the engine's package, without loading it."""
    from importlib.metadata import version

    return f"llama-cpp-python {version('llama-cpp-python')}"


def llama_cpp_build() -> str:
    """Version and commit of ggml in the installed llama.cpp, which has no version of its own in the library."""
    from qwen3cli.engines.llama.library import build

    return build()


def system_info() -> str:
    """The CPU features llama.cpp was built with and found here."""
    from qwen3cli.engines.llama.library import system_info

    return system_info()


def devices() -> list[Device]:
    """The devices that llama.cpp can compute on."""
    from qwen3cli.engines.llama.library import devices

    return devices()
