"""A disk that is full, or fills up while a model is written: exit code 6, figures, and nothing left behind.

The disk is a real one, a file system in memory. Mounting it takes a space of names of one's own, or root; so
`python -m tests.torture.full_disk FOLDER` runs there, and `run_cases` runs that.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.watched import ROOT
from tests.torture.steps import Ran, Strike, run_convert

MODEL = Model(layers=4, hidden=256, feed_forward=512)
_NAME = "tiny"
_SPARE = 1 << 20
"""What `converters` wants to stay free."""
_WEIGHTS = r"needs [\d,]+ MB, and the disk has [\d,]+ MB free.*free [\d,]+ MB"
_ENTRY = r"no room for 1 more file"
_MANIFEST = r"is full: it has 0 kB free.*free 1 MB"


@dataclass(frozen=True)
class Case:
    """A disk with room for so many models, and the step before which it fills up: its event, and which of them.

    `old` says that a model is there already; `said` is a pattern of how much is missing.
    """

    name: str
    store: bool
    room: float
    step: tuple[str, int] | None = None
    old: bool = False
    files: int = 0
    said: str = _WEIGHTS


CASES = (
    *(
        Case(f"{place} {name}", store, room, step, old)
        for store, place in ((False, "-o:"), (True, "--as:"))
        for name, room, step, old in (
            ("too small", 0.5, None, False),
            ("too small for a second one", 1.9, None, True),
            ("full at the header", 2.5, ("write", 0), False),
            ("full in the middle", 2.5, ("write", 20), False),
            ("full at the last piece", 2.5, ("write", -1), False),
            ("full in the middle of a second one", 3.5, ("write", 20), True),
        )
    ),
    Case("-o: no room for one more file", False, 2.5, files=1, said=_ENTRY),
    Case("--as: no room for one more file", True, 2.5, files=6, said=_ENTRY),
    Case("--as: full at the manifest", True, 2.5, ("open manifest.json", 0), said=_MANIFEST),
)


@dataclass(frozen=True)
class Told:
    """What the program said in a case, and what is wrong with that, if anything is."""

    case: str
    said: str
    problem: str | None


def run_cases(folder: Path, cases: Sequence[Case] = CASES) -> list[Told] | str:
    """What came of them; or why this machine lets nobody mount a disk."""
    names = json.dumps([case.name for case in cases])
    ways = [["unshare", "--user", "--map-root-user", "--mount"]] if shutil.which("unshare") else []
    reason = ""
    for number, way in enumerate([*ways, []]):
        own = folder / f"{number}"
        own.mkdir()
        command = [*way, sys.executable, "-m", __name__, str(own), names]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
        if done.returncode == 0:
            return [Told(**one) for one in json.loads(done.stdout)]
        reason = (done.stderr.strip().splitlines() or ["?"])[-1]
        if "mount" not in reason and "unshare" not in reason:
            raise AssertionError(done.stderr)
    return reason


class _Room:
    """Where cases run: a checkpoint outside of the disk, which is mounted anew for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._checkpoint = make_checkpoint(folder / "model", MODEL)
        self._convert(folder / "undisturbed", store=False)
        self._size = (folder / "undisturbed" / "out.gguf").stat().st_size
        self._steps = {
            store: self._convert(folder / f"steps {store}", store=store).steps for store in (False, True)
        }

    def run(self, case: Case) -> Told:
        with self._mounted(int(case.room * self._size) + _SPARE, case.files):
            if case.old:
                assert self._convert(self._disk, store=case.store).code == 0
            before = self._contents()
            ran = self._convert(self._disk, store=case.store, strike=self._strike(case))
            (self._disk / "filler").unlink(missing_ok=True)
            return Told(case.name, ran.stderr.strip(), self._problem(case, ran, before))

    def _problem(self, case: Case, ran: Ran, before: dict[str, bytes]) -> str | None:
        after = self._contents()
        if ran.code != 6 or not ran.stderr.startswith("error: ") or "Traceback" in ran.stderr:
            return f"exit {ran.code}"
        if not re.search(case.said, ran.stderr, re.DOTALL):
            return "no figures"
        if after != before:
            return f"left behind or changed: {sorted(set(after) ^ set(before)) or 'what was there'}"
        return None

    def _strike(self, case: Case) -> Strike | None:
        if case.step is None:
            return None
        event, number = case.step
        begin, _, name = event.partition(" ")
        steps = [
            n
            for n, step in enumerate(self._steps[case.store])
            if step.startswith(begin) and step.endswith(name)
        ]
        return Strike(steps[number], "fill")

    def _convert(self, folder: Path, *, store: bool, strike: Strike | None = None) -> Ran:
        folder.mkdir(exist_ok=True)
        place = ["--as", _NAME] if store else ["-o", str(folder / "out.gguf")]
        # The log of steps lies beside the home, and must not be on the disk.
        home = folder / "home" if store else self._folder / "home"
        arguments = [str(self._checkpoint), *place, "-q", "q8_0", "--threads", "1"]
        return run_convert(arguments, home, folder, strike, log=self._folder / "steps")

    def _contents(self) -> dict[str, bytes]:
        """Every file on the disk but locks, which stay and are empty."""
        found = (path for path in self._disk.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path): path.read_bytes() for path in found}

    @contextmanager
    def _mounted(self, size: int, files: int) -> Generator[None]:
        options = f"size={size},mode=700" + (f",nr_inodes={files}" if files else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._disk)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(self._disk)], check=True)


def _main(folder: Path, names: Sequence[str]) -> None:
    room = _Room(folder)
    told = [room.run(case) for case in CASES if case.name in names]
    print(json.dumps([{"case": one.case, "said": one.said, "problem": one.problem} for one in told]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), json.loads(sys.argv[2]))
