"""Shapes standing for the whole family, in every type: our files and llama.cpp's, byte for byte.

Layers, widths and experts are cut down; what the rules of quantizations ask about is kept: the ratio of query heads
to key-value heads, tied or untied embeddings, experts, and layers enough that eighths and sixteenths differ. Then
a table says which rule of which recipe was put to the test. Run by `make oracle`; exits with 1 on any difference, and
if a rule is left out. Takes a quarter of an hour on two cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from converters import RECIPES, Overrides, RecipeError, Wishes, convert
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.imatrices import write_gguf
from tests.oracle.coverage import Compared, golden_cases, print_coverage, tensors_of
from tests.oracle.differences import differences
from tests.oracle.source import CACHE
from tests.oracle.upstream import convert_upstream, intermediate, quantize_upstream

_THREADS = 2


def _model(
    layers: int, heads: int, kv_heads: int, head: int, feed_forward: int = 256, **further: int
) -> Model:
    return Model(
        layers=layers,
        hidden=256,
        feed_forward=feed_forward,
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        tied=bool(further.get("tied", 0)),
        experts=further.get("experts", 0),
        seed=100 * layers + heads,
    )


SHAPES = {
    "1.7B": _model(16, 4, 2, 64, 512, tied=1),
    "4B": _model(18, 8, 2, 32, tied=1),
    "8B": _model(17, 8, 2, 32, 512),
    "14B": _model(16, 5, 1, 256),
    "32B": _model(32, 8, 1, 32),
    "30B-A3B": _model(16, 8, 1, 32, experts=4),
    "235B-A22B": _model(17, 16, 1, 16, experts=5),
}
# Without an importance matrix IQ3_XXS is refused, unless the tensors that need one are made something else.
_ODD_ONES = {"IQ3_XXS": ("attn_[qk]=q8_0", "ffn_(gate|up)=q8_0")}


@dataclass
class _Run:
    """One checkpoint in all types, with an importance matrix or without."""

    name: str
    model: Model
    checkpoint: Path
    whole: Path
    imatrix: Path | None
    tensors: tuple[str, ...] = ()
    equal: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])

    def check(self, recipe: str) -> None:
        """Makes the file on both roads and notes how they compare."""
        ours, theirs = self.whole.with_suffix(".ours.gguf"), self.whole.with_suffix(".theirs.gguf")
        options = ["--imatrix", str(self.imatrix)] if self.imatrix else []
        options += [word for text in self.tensors for word in ("--tensor-type", text)]
        their_refusal = quantize_upstream(self.whole, theirs, recipe, *options)
        our_refusal = ""
        wishes = Wishes(imatrix=self.imatrix, overrides=Overrides.parse(self.tensors))
        try:
            convert(self.checkpoint, ours, recipe, wishes, threads=_THREADS)
        except RecipeError as error:
            our_refusal = str(error)
        if our_refusal and their_refusal and "imatrix" in their_refusal and "importance" in our_refusal:
            self.refused.append(recipe)
        elif our_refusal or their_refusal:
            self.wrong.append(f"{recipe}: ours {our_refusal or 'made'}; theirs {their_refusal or 'made'}")
        else:
            found = differences(ours, theirs)
            self.wrong += [f"{recipe}: {text}" for text in found]
            self.equal += [] if found else [recipe]
        ours.unlink(missing_ok=True)
        theirs.unlink(missing_ok=True)

    def compared(self) -> Compared:
        """For the table of rules."""
        shapes, overrides = tensors_of(self.checkpoint), Overrides.parse(self.tensors)
        has_imatrix = self.imatrix is not None
        return Compared(self.name, self.model, shapes, tuple(self.equal), has_imatrix, overrides)


def main() -> None:
    """Prints a line per shape, then the table; exits with 1 if anything differs or is left out."""
    CACHE.mkdir(exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        compared: list[Compared] = []
        wrong = 0
        for name, model in SHAPES.items():
            for run in _check_shape(name, model, Path(work)):
                compared.append(run.compared())
                wrong += len(run.wrong)
        print(f"  {_sum(compared)} files are equal byte for byte, {time.monotonic() - started:.0f} s\n")
        golden = golden_cases(Path(work) / "golden")
        complete = print_coverage([*compared, *golden])
    if wrong or not complete:
        sys.exit("files differ from llama.cpp's" if wrong else "rules are not exercised")


def _check_shape(name: str, model: Model, work: Path) -> Iterator[_Run]:
    """Two runs, without and with an importance matrix; a third for the first shape."""
    started = time.monotonic()
    folder = work / name
    checkpoint = make_checkpoint(folder / f"Qwen3-{name}-cut", model)
    whole = folder / "whole"
    convert_upstream(checkpoint, whole, intermediate(model.dtype), None)
    runs = [
        _Run(f"{name}", model, checkpoint, whole, None),
        _Run(f"{name} with imatrix", model, checkpoint, whole, write_gguf(folder / "imatrix.gguf", model)),
    ]
    for run in runs:
        for recipe in RECIPES:
            run.check(recipe)
    if name == next(iter(SHAPES)):
        for recipe, tensors in _ODD_ONES.items():
            runs.append(_Run(f"{name} with overrides", model, checkpoint, whole, None, tensors))
            runs[-1].check(recipe)
    parts = [f"{name:9} {model.layers} layers, heads {model.heads}/{model.kv_heads},"]
    parts.append(f"{model.experts} experts," if model.experts else "tied," if model.tied else "untied,")
    for run in runs:
        kind = run.name.removeprefix(name).strip() or "without imatrix"
        refused = f" + {len(run.refused)} refused by both" if run.refused else ""
        parts.append(f"{kind}: {len(run.equal)} equal{refused};")
    print(f"  {' '.join(parts)} {time.monotonic() - started:.0f} s", flush=True)
    for run in runs:
        print("".join(f"    DIFFERENT, {run.name}, {text}\n" for text in run.wrong), end="", flush=True)
    yield from runs


def _sum(compared: list[Compared]) -> int:
    return sum(Counter(name for one in compared for name in one.recipes).values())


if __name__ == "__main__":
    main()
