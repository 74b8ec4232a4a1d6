"""From measurements to a report in Markdown, and to the aims that were missed. Computes; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.measure import PERIOD, Run

MEMORY_AIM: Final = 500_000_000
SPREAD_AIM: Final = 1.10
TWO_STEPS_AIM: Final = 0.65
QUANTIZE_AIM: Final = 1.05


@dataclass(frozen=True, slots=True)
class Round:
    """One run of every road: ours, the two steps, and the second step alone on a file that was there."""

    ours: Run
    first: Run
    second: Run
    alone: Run

    @property
    def both(self) -> Run:
        """The two steps as one."""
        return self.first.then(self.second)


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion by ours: how many bytes were read and written, and what it took."""

    name: str
    read: int
    written: int
    run: Run


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure that should not be above its limit, or with `at_least` not below it."""

    text: str
    value: float
    limit: float
    each: tuple[float, ...] = ()
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is not."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def bound(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:.2f}"

    def row(self) -> list[str]:
        """The aim as a row of a table."""
        each = " ".join(f"{one:.3f}" for one in self.each)
        return [self.text, f"{self.value:.3f}", each, self.bound, "met" if self.met else "missed"]


def time_aims(rounds: Sequence[Round]) -> list[Aim]:
    """Ratios within each round, so that what slows a while down slows both sides."""
    steps = tuple(one.ours.seconds / one.both.seconds for one in rounds)
    alone = tuple(one.ours.seconds / one.alone.seconds for one in rounds)
    return [
        Aim("time: ours / both steps", median(steps), TWO_STEPS_AIM, steps),
        Aim("time: ours / llama-quantize alone", median(alone), QUANTIZE_AIM, alone),
    ]


def memory_aims(conversions: Sequence[Conversion]) -> list[Aim]:
    """Little memory, and as much for a large model as for a small one."""
    memory = [one.run.memory for one in conversions]
    shares = tuple(one / MEMORY_AIM for one in memory)
    aims = [Aim(f"memory: ours / {_megabytes(MEMORY_AIM)} MB", max(shares), 1.0, shares)]
    if len(memory) > 1:
        aims.append(Aim("memory: the largest / the smallest", max(memory) / min(memory), SPREAD_AIM))
    return aims


def typical(runs: Sequence[Run]) -> Run:
    """Medians of times and peaks of memory."""
    return Run(
        median(run.seconds for run in runs),
        median(run.work for run in runs),
        max(run.memory for run in runs),
        max(run.resident for run in runs),
    )


def times(rounds: Sequence[Round]) -> str:
    """A table of the roads: medians of seconds, peaks of memory."""
    roads = {
        "`qwen3 convert`": [one.ours for one in rounds],
        "both steps": [one.both for one in rounds],
        "· `convert_hf_to_gguf.py`": [one.first for one in rounds],
        "· `llama-quantize`": [one.second for one in rounds],
        "`llama-quantize` alone, on a file that is there": [one.alone for one in rounds],
    }
    rows: list[list[str]] = []
    for name, runs in roads.items():
        one, seconds = typical(runs), [run.seconds for run in runs]
        figures = [f"{one.seconds:.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}", f"{one.work:.2f}"]
        rows.append([name, *figures, _megabytes(one.memory), _megabytes(one.resident)])
    head = ["", "seconds, median", "from, to", "CPU seconds", "peak memory, MB", "with file pages, MB"]
    return table(head, rows)


def sizes(conversions: Sequence[Conversion]) -> str:
    """A table of our conversions of models of several sizes."""
    rows = [
        [
            one.name,
            f"{one.read / 1e9:.2f}",
            f"{one.written / 1e9:.2f}",
            f"{one.run.seconds:.1f}",
            f"{one.read / one.run.seconds / 1e6:,.0f}",
            _megabytes(one.run.memory),
            _megabytes(one.run.resident),
        ]
        for one in conversions
    ]
    head = [
        "shape",
        "read, GB",
        "written, GB",
        "seconds",
        "read, MB/s",
        "peak memory, MB",
        "with file pages, MB",
    ]
    return table(head, rows)


def aims_table(aims: Sequence[Aim]) -> str:
    """All aims and what came of them."""
    return table(["aim", "found", "each", "wanted", ""], [aim.row() for aim in aims])


def missed(aims: Sequence[Aim]) -> str:
    """A sentence for each aim that was missed."""
    sentences = (f"missed: {aim.text} is {aim.value:.3f}, not {aim.bound}" for aim in aims if not aim.met)
    return "\n".join(sentences)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def explanation() -> str:
    """What the figures mean."""
    return (
        "Whole processes, 2 threads each, in turn (ours, both steps, llama-quantize alone), after one round that"
        " does not count; in every round the files were equal byte for byte. Each process starts once the disk has"
        " what others wrote; ours ends once the disk has its own file, llama.cpp's tools do not wait for that.\n\n"
        "Peak memory is what a process has for itself (RssAnon + RssShmem of /proc/PID/status, looked at every"
        f" {PERIOD * 1000:.0f} ms); pages of memory-mapped files, which the system takes back as it likes, are in"
        " the other column (ru_maxrss).\n"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}"
