"""Converting for the rest of the program: `converters` with its errors translated, and the demo's GGUF."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.errors import InvalidFile, NotEnough, QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.catalog import FAMILY, Member
from qwen3cli.models.facts import read_facts
from qwen3cli.models.reference import DEMO
from qwen3cli.models.room import free_bytes
from qwen3cli.models.sizes import wants_imatrix
from qwen3cli.models.workshop import translated

if TYPE_CHECKING:
    from converters import Overrides, Progress, Wishes
    from converters.plan import Plan

DEMO_RECIPE = "bf16"
"""The checkpoint's own type: the weights stay exactly what was trained."""

OTHER_HOME = "set `QWEN3_HOME`"
_TICK_S, _PATIENCE = 0.1, 600
"""Seconds between looks at what another process writes, and how many looks; writing takes half a second."""


def convert_checkpoint(
    source: Path,
    output: Path,
    recipe: str,
    wishes: Wishes | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    elsewhere: str = OTHER_HOME,
) -> tuple[str, ...]:
    """Convert `source` to the GGUF file `output`, with our errors only; gives notices for the person.

    `elsewhere` says how to have it written where the disk has room.
    """
    import converters

    with converting(output.parent, elsewhere):
        done = converters.convert(source, output, recipe, wishes, progress=progress, threads=threads)
    return done.notices


def check_recipe(name: str) -> str:
    """The name of the recipe as it is written; raises `UsageError` if there is none."""
    from converters.recipes import find_recipe

    with converting(Path()):
        return find_recipe(name).name


def check_wishes(recipe: str, wishes: Wishes, output: Path | None) -> None:
    """Raise what can be wrong with a conversion whose checkpoint is not here yet."""
    from converters.adapter import read_adapter
    from converters.imatrix import Imatrix
    from converters.writer import check_target

    with converting(output.parent if output is not None else Path()):
        if output is not None:
            check_target(Path(os.path.realpath(output)))
        if wishes.adapter is not None:
            read_adapter(wishes.adapter)
        if wishes.imatrix is not None:
            Imatrix(wishes.imatrix)
        elif wants_imatrix(recipe, FAMILY["8b"], wishes.overrides):
            hint = "give one with `--imatrix FILE`, or choose a larger quantization"
            raise UsageError(f"{recipe} needs an importance matrix for these types", hint)


def check_folder(folder: Path, weights: Sequence[str] = (), member: Member | None = None) -> list[str]:
    """Raise `InvalidFile` unless config.json in `folder` is that of a checkpoint that can be converted.

    `weights` names the weight files that are still to come: then everything else must be there, and fit them and the
    `member`. Gives those of them that the index names, or all without an index.
    """
    from converters.checkpoint import indexed, read_config
    from converters.fp8 import find_blocks
    from converters.registry import find_architecture
    from converters.tokenizer import tokenizer_entries

    with converting(folder):
        config = read_config(folder)
        find_architecture(config)
        find_blocks(config)
        if not weights:
            return []
        if member is not None and config.architecture != member.checkpoint_class:
            raise InvalidFile(
                f"`{folder}` is no {member.name}: it is a {config.architecture}",
                "name the repository instead of the family member if that is what you want",
            )
        tokenizer_entries(folder, config)
        named = indexed(folder)
        for name in named:
            if name not in weights:
                raise InvalidFile(
                    f"`{folder}` has no {name}, which its index names", "look for a whole copy of the model"
                )
        return named or list(weights)


def plan_conversion(
    source: Path, recipe: str, wishes: Wishes | None = None, output: Path | None = None
) -> Plan:
    """What a conversion would write, with our errors only; of an `output` too that it could not be written to."""
    import converters

    with converting(source):
        plan = converters.prepare(source, recipe, wishes)
        if output is not None:
            from converters.stream import check_output

            check_output(plan, output)
        return plan


def check_room(plan: Plan, folder: Path) -> None:
    """Raise `NotEnough` if the disk of `folder`, which need not be there yet, cannot take what is planned."""
    missing = plan.size - free_bytes(folder)
    if missing > 0:
        sizes = f"{plan.size / 1e9:,.1f} GB, and {missing / 1e9:,.1f} GB of it have no room in {folder}"
        raise NotEnough(f"the converted model takes {sizes}", "free some space or set `QWEN3_HOME`")


def parse_overrides(tensors: Sequence[str], output: str | None, embedding: str | None) -> Overrides:
    """Types that a person wants for some tensors; raises `UsageError`."""
    from converters.wishes import Overrides

    with converting(Path()):
        return Overrides.parse(tensors, output=output, embedding=embedding)


@contextmanager
def converting(folder: Path, elsewhere: str = OTHER_HOME) -> Generator[None]:
    """Raises the converters' errors, and the system's about `folder`, as ours."""
    from converters.errors import ConversionError, OutputError, RecipeError

    try:
        with translated(folder):
            yield
    except RecipeError as error:
        raise UsageError(str(error), error.hint) from None
    except OutputError as error:
        if error.missing_bytes is None:
            raise QwenError(str(error), error.hint) from None
        raise NotEnough(str(error), f"{error.hint}, or {elsewhere}") from None
    except ConversionError as error:
        raise InvalidFile(str(error), error.hint) from None


def demo_facts(cache: Path) -> ModelFacts:
    """The demo model as a GGUF file in `cache`, converted from its checkpoint if it is not there yet.

    The file's name carries a hash of the checkpoint, so that a new release never runs an old demo.
    """
    from qwen3cli.demo import CHECKPOINT

    digest = hashlib.sha256()
    for path in sorted(CHECKPOINT.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache / f"demo-{digest.hexdigest()[:16]}.gguf"
    with translated(cache):
        made = target.exists()
        cache.mkdir(parents=True, exist_ok=True)
    if not made:
        _convert_demo(target)
    return read_facts(target, DEMO)


def _convert_demo(target: Path) -> None:
    """Convert the demo, or wait until another first start has done it."""
    import converters
    from converters.errors import OutputError
    from qwen3cli.demo import CHECKPOINT

    with converting(target.parent):
        for _ in range(_PATIENCE):
            try:
                converters.convert(CHECKPOINT, target, DEMO_RECIPE, converters.Wishes(name=DEMO))
            except OutputError as error:
                if not error.busy:
                    raise
                time.sleep(_TICK_S)
            if target.exists():
                return
        raise OutputError(f"`{target}` is not finished by another start of this program", hint="end that one")
