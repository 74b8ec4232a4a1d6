"""The true shapes of the whole family, in every type: what each tensor becomes, here and by llama-quantize.

The checkpoints are sparse files that have their full size and take no room: headers are all that is read. llama.cpp's
side is `llama-quantize --dry-run`. Run by `make oracle`; exits with 1 on any difference. Takes half a minute.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from converters import RECIPES, Overrides, prepare
from converters.choose import OUTPUT, Chooser
from converters.rules import Traits
from tests.converters.checkpoints import Model, make_sparse_checkpoint, write_sparse
from tests.converters.imatrices import write_dat
from tests.oracle.source import CACHE
from tests.oracle.upstream import Planned, dry_run_upstream

_VOCABULARY = 151936


def _model(layers: int, hidden: int, feed_forward: int, heads: int, kv_heads: int, **further: int) -> Model:
    return Model(
        layers=layers,
        hidden=hidden,
        feed_forward=feed_forward,
        heads=heads,
        kv_heads=kv_heads,
        head=128,
        padding=_VOCABULARY - Model(padding=0).vocabulary,
        tied=bool(further.get("tied", 0)),
        stored_head=bool(further.get("stored", 0)),
        experts=further.get("experts", 0),
    )


SHAPES = {
    "0.6B": _model(28, 1024, 3072, 16, 8, tied=1),
    "0.6B with its stored output": _model(28, 1024, 3072, 16, 8, tied=1, stored=1),
    "1.7B": _model(28, 2048, 6144, 16, 8, tied=1),
    "4B": _model(36, 2560, 9728, 32, 8, tied=1),
    "8B": _model(36, 4096, 12288, 32, 8),
    "14B": _model(40, 5120, 17408, 40, 8),
    "32B": _model(64, 5120, 25600, 64, 8),
    "30B-A3B": _model(48, 2048, 768, 32, 4, experts=128),
    "235B-A22B": _model(94, 4096, 1536, 64, 4, experts=128),
}


def main() -> None:
    """Prints a line per shape; exits with 1 if a tensor becomes something else."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        wrong = [text for name, model in SHAPES.items() for text in _check(name, model, Path(work) / name)]
    if wrong:
        sys.exit("".join(f"    DIFFERENT, {text}\n" for text in wrong))


def _check(name: str, model: Model, folder: Path) -> list[str]:
    """In every type, with an importance matrix and without."""
    started = time.monotonic()
    plan = prepare(make_sparse_checkpoint(folder, model), "BF16")
    whole = folder / "whole.gguf"
    write_sparse(whole, plan.header, plan.size)
    # A dry run does not look into it: that there is one is all that rules ask.
    imatrix = write_dat(folder / "imatrix.dat", Model(layers=1))
    shapes = [(one.placed.name, one.placed.shape) for one in plan.tensors]
    wrong: list[str] = []
    for recipe in RECIPES:
        for options in ([], ["--imatrix", str(imatrix)]):
            ours = _ours(recipe, model, shapes, has_imatrix=bool(options))
            theirs = dry_run_upstream(whole, recipe, *options)
            if ours != theirs:
                first = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), "")
                words = f"{len(ours)} tensors here, {len(theirs)} there; first {first}"
                wrong.append(f"{name}, {recipe} {' '.join(options)}: {words}")
    sizes = f"{plan.parameters / 1e9:5.1f} G parameters, {len(shapes):4} tensors"
    figures = f"{2 * len(RECIPES) - len(wrong)} of {2 * len(RECIPES)} equal"
    print(f"  {name:28} {sizes}: {figures}, {time.monotonic() - started:.0f} s", flush=True)
    return wrong


def _ours(
    recipe: str, model: Model, shapes: list[tuple[str, tuple[int, ...]]], *, has_imatrix: bool
) -> list[Planned]:
    traits = Traits(model.layers, model.heads // model.kv_heads, model.experts, has_imatrix)
    tied = all(name != OUTPUT for name, _ in shapes)
    chooser = Chooser(RECIPES[recipe], traits, Overrides(), tied=tied)
    return [Planned(name, shape, chooser.choose(name, shape).kind.name) for name, shape in shapes]


if __name__ == "__main__":
    main()
