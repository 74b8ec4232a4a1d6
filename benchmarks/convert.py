"""Conversion to Q4_K_M: ours in one pass, llama.cpp's in two steps; `python -m benchmarks.convert`.

Options:
  --rounds N       how often each road is measured (5)
  --layers N       shapes of N layers instead of their own, to try the benchmark out
  --sizes [NAME…]  further shapes that ours converts once, of zeros: 8B, 30B-A3B; nothing for none (both)
  --write FILE     the report goes to that file too

Compares at Qwen3-0.6B's true shape with random weights (1.2 GB, made once in .oracle/). The report is Markdown
on stdout; what is going on is told on stderr. Exits with 1 if an aim was missed. Needs Linux, the extra
`oracle`, a C++ compiler, npm, and 25 GB of free disk for all sizes.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import report, roads
from benchmarks.checkpoints import cached_checkpoint, sparse_checkpoint
from benchmarks.machine import machine, programs
from benchmarks.measure import Run, measure
from benchmarks.part import CACHE, at_least_one, say
from benchmarks.report import Conversion, Round
from benchmarks.shapes import LARGE, SMALL, Shape

_BITS: Final = 5.2
"""More than a number takes in Q4_K_M, on the average of a whole model."""
_SPARE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder for files that do not outlive the benchmark."""

    folder: Path

    def run(self, command: Sequence[str]) -> Run:
        """Measures a command; its words go to a log."""
        return measure(command, self.folder / "log", roads.environment(self.folder / "home"))

    def file(self, name: str) -> Path:
        """A file of that name."""
        return self.folder / f"{name}.gguf"


def main() -> None:
    """Measures, reports, and exits with 1 if an aim was missed."""
    options = _options()
    CACHE.mkdir(parents=True, exist_ok=True)
    chosen = (SMALL, *(LARGE[name] for name in options.sizes))
    small, *large = (_reduced(shape, options.layers) for shape in chosen)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        shop = Workshop(Path(work))
        _check_disk(shop.folder, [small, *large])
        checkpoint = cached_checkpoint(CACHE / f"{small.layers} layers" / small.name, small)
        rounds, written = compare(shop, checkpoint, options.rounds)
        read = (checkpoint / "model.safetensors").stat().st_size
        first = Conversion(small.title, read, written, report.typical([one.ours for one in rounds]))
        conversions = [first, *(convert_once(shop, shape) for shape in large)]
    aims = report.time_aims(rounds) + report.memory_aims(conversions)
    text = _report(rounds, conversions, aims)
    sys.stdout.write(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
    if missed := report.missed(aims):
        sys.exit(missed)


def compare(shop: Workshop, checkpoint: Path, count: int) -> tuple[list[Round], int]:
    """Measures all roads in turn `count` times; and the size of what they write."""
    whole = shop.file("whole")
    say("making ready: one round that does not count")
    # It brings the programs and the checkpoint into memory, and makes what llama-quantize alone works on.
    shop.run(roads.first_step(checkpoint, whole))
    _read([checkpoint / "model.safetensors", whole])
    _, written = _round(shop, checkpoint, whole)
    rounds: list[Round] = []
    for number in range(1, count + 1):
        one, _ = _round(shop, checkpoint, whole)
        rounds.append(one)
        figures = f"{one.ours.seconds:.2f}, {one.both.seconds:.2f}, {one.alone.seconds:.2f} s"
        say(f"round {number} of {count}: ours, both steps, llama-quantize alone: {figures}")
    whole.unlink()
    return rounds, written


def convert_once(shop: Workshop, shape: Shape) -> Conversion:
    """Ours on a checkpoint of zeros."""
    checkpoint = sparse_checkpoint(shop.folder / shape.name, shape)
    output = shop.file("ours")
    run = shop.run(roads.ours(checkpoint, output))
    size = output.stat().st_size
    read = (checkpoint / "model.safetensors").stat().st_size
    output.unlink()
    shutil.rmtree(checkpoint)
    say(f"{shape.name}: {run.seconds:.1f} s, {run.memory / 1e6:.0f} MB of memory")
    return Conversion(shape.title, read, size, run)


def _round(shop: Workshop, checkpoint: Path, whole: Path) -> tuple[Round, int]:
    """One run of every road, the size of what they wrote, and nothing left of it."""
    outputs = [shop.file(name) for name in ("ours", "theirs", "alone")]
    between = shop.file("between")
    ours = shop.run(roads.ours(checkpoint, outputs[0]))
    first = shop.run(roads.first_step(checkpoint, between))
    second = shop.run(roads.second_step(between, outputs[1]))
    alone = shop.run(roads.second_step(whole, outputs[2]))
    size = outputs[0].stat().st_size
    if not all(filecmp.cmp(outputs[0], other, shallow=False) for other in outputs[1:]):
        sys.exit("the files that the roads wrote are not equal")
    for file in (*outputs, between):
        file.unlink()
    return Round(ours, first, second, alone), size


def _report(rounds: Sequence[Round], conversions: Sequence[Conversion], aims: Sequence[report.Aim]) -> str:
    parts = [
        f"{machine()}.\n{programs()}.\n",
        f"The shape of {conversions[0].name}, to {roads.QUANTIZATION}; rounds: {len(rounds)}:\n",
        report.times(rounds),
        report.explanation(),
        "Ours at several sizes; the larger checkpoints are all zeros, so their times say little of real ones:\n",
        report.sizes(conversions),
        report.aims_table(aims),
    ]
    return "\n".join(parts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description="see the docstring")
    parser.add_argument("--rounds", type=at_least_one, default=5, metavar="N")
    parser.add_argument("--layers", type=at_least_one, metavar="N")
    parser.add_argument("--sizes", nargs="*", choices=list(LARGE), default=list(LARGE))
    parser.add_argument("--write", type=Path, metavar="FILE")
    return parser.parse_args()


def _reduced(shape: Shape, layers: int | None) -> Shape:
    return shape if layers is None else replace(shape, layers=layers)


def _check_disk(folder: Path, shapes: Sequence[Shape]) -> None:
    """Ends the program unless the disk holds what it needs at once."""
    quantized = [int(shape.parameters * _BITS / 8) for shape in shapes]
    # The checkpoint, two whole files beside it, and three quantized ones.
    comparison = 3 * 2 * shapes[0].parameters + 3 * quantized[0]
    needed = max(comparison, *quantized) + _SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(f"{needed / 1e9:.0f} GB of free disk are needed in {folder}, and there are {free / 1e9:.0f}")


def _read(paths: Sequence[Path]) -> None:
    """Reads files to the end, which leaves them in memory if there is room."""
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass


if __name__ == "__main__":
    main()
