"""SIGKILL at any moment of `qwen3 convert`: a model is there whole or not at all, and the next run succeeds.

A moment is a step of the process, or a point in time. In what phase it was is told by the steps that it came to.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from converters.header import read_header
from tests.converters.checkpoints import Model, make_checkpoint
from tests.torture.steps import PHASES, Strike, phases, run_convert

# Many small tensors: each is a piece of its own, and so a step.
MODEL = Model(layers=8)
NAME = "tiny"
_HOW = ("before", "after", "half")


@dataclass(frozen=True)
class Mode:
    """Where the model goes, and whether one is there already."""

    store: bool
    over: bool

    def __str__(self) -> str:
        return f"{'--as' if self.store else '-o'}{' over an old one' if self.over else ''}"


MODES = tuple(Mode(store, over) for store in (False, True) for over in (False, True))


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    mode: Mode
    strike: Strike


@dataclass(frozen=True)
class Killed:
    """In what phase a run was killed, and what was there afterwards: `absent`, `old` or `new`."""

    moment: Moment
    phase: str
    found: str


@dataclass(frozen=True)
class Undisturbed:
    """A run to its end: the phase of each step, how long it took, what it wrote and what was there before."""

    phases: Sequence[str]
    seconds: float
    new: bytes
    old: bytes


class Scene:
    """A checkpoint, and a folder for each run."""

    def __init__(self, folder: Path, modes: Sequence[Mode] = MODES) -> None:
        self._folder = folder
        self._checkpoint = make_checkpoint(folder / "model", MODEL)
        self._runs = {mode: self._undisturbed(mode) for mode in modes}

    def moments(self, count: int) -> Iterator[Moment]:
        """`count` for each mode, spread over the phases; a fifth of them are points in time."""
        for mode, run in self._runs.items():
            timed = count // 5
            for number in range(timed):
                yield Moment(mode, Strike(seconds=run.seconds * (number + 0.5) / timed))
            for number, step in enumerate(spread(run.phases, count - timed)):
                yield Moment(mode, Strike(step, _HOW[number % len(_HOW)]))

    def phase(self, moment: Moment) -> str | None:
        """The phase of its step; None for a point in time."""
        step = moment.strike.at
        return None if step < 0 else self._runs[moment.mode].phases[step]

    def strike(self, moment: Moment, number: int) -> Killed | None:
        """Kills a run, looks at what is left, and lets the next run finish; None if the run was faster.

        AssertionError for anything that must not be.
        """
        folder, mode = self._folder / f"{number}", moment.mode
        self._prepare(folder, mode)
        run = self._runs[mode]
        ran = run_convert(self._arguments(folder, mode), folder / "home", self._folder, moment.strike)
        assert ran.killed or ran.code == 0, (ran.code, ran.stderr)
        phase = run.phases[min(len(ran.steps), len(run.phases)) - 1] if ran.steps else PHASES[0]
        found = self._look(folder, mode)
        where = f"{mode}, {phase}: {found}"
        assert found in ("new", "old" if mode.over else "absent"), where
        again = run_convert(self._arguments(folder, mode), folder / "home", self._folder)
        assert again.code == 0, f"{where}, then exit {again.code}: {again.stderr}"
        assert self._look(folder, mode) == "new", where
        assert _files(folder) == self._tidy(folder, mode), (where, _files(folder))
        shutil.rmtree(folder)
        return Killed(moment, phase, found) if ran.killed else None

    def _undisturbed(self, mode: Mode) -> Undisturbed:
        folder = self._folder / f"undisturbed {MODES.index(mode)}"
        (folder / "home").mkdir(parents=True)
        if mode.over:
            assert run_convert(self._arguments(folder, mode, "f16"), folder / "home", folder).code == 0
            shutil.copytree(folder, self._old(mode))
        old = _target(folder, mode)
        before = old.read_bytes() if old else b""
        begin = time.monotonic()
        ran = run_convert(self._arguments(folder, mode), folder / "home", self._folder)
        seconds = time.monotonic() - begin
        assert ran.code == 0, ran.stderr
        target = _target(folder, mode)
        assert target
        read_header(target)
        found = tuple(phases(ran.steps, self._checkpoint))
        return Undisturbed(found, seconds, target.read_bytes(), before)

    def _old(self, mode: Mode) -> Path:
        return self._folder / f"old {MODES.index(mode)}"

    def _prepare(self, folder: Path, mode: Mode) -> None:
        if mode.over:
            shutil.copytree(self._old(mode), folder)
        (folder / "home").mkdir(parents=True, exist_ok=True)

    def _arguments(self, folder: Path, mode: Mode, kind: str = "q8_0") -> list[str]:
        place = ["--as", NAME] if mode.store else ["-o", str(folder / "out.gguf")]
        return [str(self._checkpoint), *place, "-q", kind, "--threads", "2"]

    def _look(self, folder: Path, mode: Mode) -> str:
        """What is there, by its bytes; AssertionError if a listing shows something broken."""
        if mode.store:
            listed = _listed(folder / "home")
            assert listed in ([], [NAME]), listed
            if not listed:
                return "absent"
        target, run = _target(folder, mode), self._runs[mode]
        if target is None:
            return "absent"
        found = {run.new: "new", run.old: "old"}.get(target.read_bytes(), "something else")
        read_header(target)
        return found

    def _tidy(self, folder: Path, mode: Mode) -> set[str]:
        """The files that a run leaves when nothing happens to it."""
        if not mode.store:
            return {"out.gguf"}
        target = _target(folder, mode)
        assert target
        return {"home/models/.lock", f"home/models/{NAME}/manifest.json", str(target.relative_to(folder))}


def _target(folder: Path, mode: Mode) -> Path | None:
    """The model's file, if there is one."""
    if not mode.store:
        path = folder / "out.gguf"
        return path if path.exists() else None
    manifest = folder / "home" / "models" / NAME / "manifest.json"
    return (
        manifest.with_name(json.loads(manifest.read_text())["files"][0]["name"])
        if manifest.exists()
        else None
    )


def _listed(home: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "qwen3cli", "list", "--json"],
        env={**os.environ, "QWEN3_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [entry["name"] for entry in json.loads(done.stdout)]


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def spread(found: Sequence[str], count: int) -> list[int]:
    """`count` steps: from each phase the same number, as far as it has as many, and evenly within it."""
    steps: dict[str, list[int]] = {}
    for step, phase in enumerate(found):
        steps.setdefault(phase, []).append(step)
    turns = chain.from_iterable(zip_longest(*(_scattered(own) for own in steps.values())))
    return [step for step in turns if step is not None][:count]


def _scattered(steps: Sequence[int]) -> list[int]:
    """The first, the last, the middle one, the middles of the halves, and so on."""
    order: list[int] = []
    spans = [(0, len(steps) - 1)]
    while spans:
        first, last = spans.pop(0)
        middle = (first + last) // 2
        order += [n for n in (first, last, middle) if n not in order]
        spans += [(a, b) for a, b in ((first, middle), (middle, last)) if b - a > 1]
    return [steps[n] for n in order]
