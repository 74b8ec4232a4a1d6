"""Converting for the rest of the program: `converters` with its errors translated, and the demo's GGUF."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.errors import InvalidFile, NotEnough, QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.facts import read_facts
from qwen3cli.models.reference import DEMO
from qwen3cli.models.store import storage_error

if TYPE_CHECKING:
    from converters import Progress

DEMO_RECIPE = "bf16"
"""The checkpoint's own type: the weights stay exactly what was trained."""


def convert_checkpoint(
    source: Path,
    output: Path,
    recipe: str,
    *,
    name: str | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[str, ...]:
    """Convert `source` to the GGUF file `output`, with our errors only; gives notices for the person."""
    import converters
    from converters.errors import ConversionError, OutputError, RecipeError

    try:
        done = converters.convert(source, output, recipe, progress=progress, threads=threads, name=name)
    except RecipeError as error:
        raise UsageError(str(error), error.hint) from None
    except OutputError as error:
        kind = QwenError if error.missing_bytes is None else NotEnough
        raise kind(str(error), error.hint) from None
    except ConversionError as error:
        raise InvalidFile(str(error), error.hint) from None
    except OSError as error:
        raise storage_error(error, output.parent) from None
    return done.notices


def demo_facts(cache: Path) -> ModelFacts:
    """The demo model as a GGUF file in `cache`, converted from its checkpoint if it is not there yet.

    The file's name carries a hash of the checkpoint, so that a new release never runs an old demo.
    """
    from qwen3cli.demo import CHECKPOINT

    digest = hashlib.sha256()
    for path in sorted(CHECKPOINT.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache / f"demo-{digest.hexdigest()[:16]}.gguf"
    if not target.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, cache) from None
        # Two first starts at once convert twice, into files of their own; both are whole.
        fresh = cache / f"demo-{os.getpid()}.tmp.gguf"
        try:
            convert_checkpoint(CHECKPOINT, fresh, DEMO_RECIPE, name=DEMO)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    return read_facts(target, DEMO)
