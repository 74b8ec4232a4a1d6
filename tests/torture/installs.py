"""SIGKILL at any moment of `qwen3 pull`: no half model is ever seen, and the next run finishes with the right bytes.

Three roads: one file of 64 MB, shards, and a checkpoint that is converted on the way.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from converters import convert
from qwen3cli.models.store import ModelStore
from tests.converters.checkpoints import Model, make_checkpoint
from tests.hubs.hub import Hub
from tests.hubs.repository import Repository
from tests.models.stored import shards
from tests.torture.kills import spread
from tests.torture.steps import Ran, Strike, run_watched

if TYPE_CHECKING:
    from typing_extensions import Self

PHASES = (
    *("start-up and listing", "claim", "transfer", "verified", "linking", "conversion", "installing"),
    *("in place", "cleaning up"),
)
_HOW = ("before", "after", "half")
_NAME = "model"


@dataclass(frozen=True)
class Road:
    """A repository, and the bytes of each file that a pull of it installs."""

    repository: Repository
    installed: Mapping[str, bytes]
    steps: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def size(self) -> int:
        return sum(map(len, self.repository.files.values()))


@dataclass(frozen=True)
class Killed:
    """In what phase a pull was killed, what the store had then, and how many bytes were sent twice.

    What the kernel holds of connections counts as sent here, some megabytes; pulls.py measures without that.
    """

    phase: str
    found: str
    again: int


class Installs:
    """A hub with the three roads, and a home for each run; a context manager."""

    def __init__(self, folder: Path, megabytes: int = 64) -> None:
        self._folder = folder
        roads = _roads(folder, megabytes)
        self._hub = Hub(*(road.repository for road in roads))
        self._roads = [self._measured(road) for road in roads]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.__exit__()

    def strikes(self, count: int) -> Iterator[tuple[Road, Strike]]:
        """`count` moments over all roads and their phases; a fifth are points in time."""
        for number, road in enumerate(self._roads):
            share = count // 2 if number == 0 else count // 4
            timed = share // 5
            for point in range(timed):
                yield road, Strike(seconds=road.seconds * (point + 0.5) / timed)
            found = list(phases(road.steps))
            for turn, step in enumerate(spread(found, share - timed)):
                yield road, Strike(step, _HOW[turn % len(_HOW)])

    def strike(self, road: Road, strike: Strike, number: int) -> Killed | None:
        """Kills a pull and lets the next one finish; None if the first was faster.

        AssertionError for anything that must not be.
        """
        name = f"run-{number}"
        before = self._sent()
        ran = self._run(road, name, strike)
        assert ran.killed or ran.code == 0, (ran.code, ran.stderr)
        phase = [PHASES[0], *phases(ran.steps)][-1]
        found = "new" if self._look(road, name, phase) else "absent"
        again = self._run(road, name)
        assert again.code == 0, f"{phase}, then exit {again.code}: {again.stderr}"
        assert self._look(road, name, phase), phase
        downloads = self._folder / name / "downloads"
        left = [path.name for path in downloads.rglob("*") if not path.name.endswith(".lock")]
        assert not left, (phase, left)
        hidden = [
            path.name for path in (self._folder / name / "models").iterdir() if path.name.startswith(".unf")
        ]
        assert not hidden, (phase, hidden)
        shutil.rmtree(self._folder / name)
        sent = self._sent() - before - road.size
        return Killed(phase, found, sent) if ran.killed else None

    def _look(self, road: Road, name: str, phase: str) -> bool:
        """Whether the model is there; what is there must be whole."""
        store = ModelStore(self._folder / name / "models")
        entries, unread = store.listing()
        assert not unread, (phase, unread)
        for entry in entries:
            assert {path.name: path.read_bytes() for path in entry.files} == road.installed, phase
            store.facts(entry)
        return bool(entries)

    def _sent(self) -> int:
        """Bytes of files that have left; so one run at a time."""
        return self._hub.storage.server.sent() + self._hub.server.sent("resolve-cache")

    def _measured(self, road: Road) -> Road:
        begin = time.monotonic()
        ran = self._run(road, "undisturbed")
        assert ran.code == 0, ran.stderr
        seconds = time.monotonic() - begin
        shutil.rmtree(self._folder / "undisturbed")
        return Road(road.repository, road.installed, tuple(ran.steps), seconds)

    def _run(self, road: Road, name: str, strike: Strike | None = None) -> Ran:
        home = self._folder / name
        environ = {"QWEN3_HOME": str(home), "HF_ENDPOINT": self._hub.url, "HF_HOME": str(self._folder / "hf")}
        environ |= {
            "HF_HUB_CACHE": str(self._folder / "hf" / "hub"),
            "HF_TOKEN": "",
            "HOME": str(self._folder),
        }
        command = ["qwen3cli", "pull", road.repository.id, "--as", _NAME]
        return run_watched(command, home, strike, self._folder / f"{name}.steps", environ)


def phases(steps: Sequence[str]) -> Iterator[str]:
    """The phase of each step, by what it does to which file."""
    phase = PHASES[0]
    for event, _, text in (step.partition(" ") for step in steps):
        path = Path(text)
        if "downloads" in path.parts:
            phase = _below_downloads(phase, event, path)
        elif "models" in path.parts:
            phase = _below_models(phase, event, path)
        yield phase


def _below_downloads(phase: str, event: str, path: Path) -> str:
    if phase in ("in place", "cleaning up") and event in ("os.remove", "os.rmdir"):
        return "cleaning up"
    if phase in ("installing", "conversion", "in place", "cleaning up"):
        return phase
    if event == "os.link":
        return "linking"
    if any(part.startswith(".unfinished-") for part in path.parts):
        return phase
    if phase in PHASES[:2] and path.suffix != ".part":
        return "claim" if path.suffix == ".lock" else phase
    return "verified" if event == "os.rename" else "transfer"


def _below_models(phase: str, event: str, path: Path) -> str:
    if phase in ("in place", "cleaning up"):
        return phase
    if path.suffix == ".partial":
        return "installing" if event == "os.rename" else "conversion"
    placed = event == "os.rename" and any(part.startswith(".unfinished-") for part in path.parts)
    return "in place" if placed else "installing"


def _roads(folder: Path, megabytes: int) -> list[Road]:
    # Layers of 1024 x 4096 matrices are 12.6 million weights and some.
    large = Model(layers=max(1, megabytes // 32), hidden=1024, feed_forward=4096)
    convert(make_checkpoint(folder / "large", large), folder / "large.gguf", "f16")
    weights = (folder / "large.gguf").read_bytes()
    parts = {path.name: path.read_bytes() for path in shards(folder / "shards")}
    checkpoint = make_checkpoint(folder / "checkpoint" / "tiny", Model(shards=2))
    convert(checkpoint, folder / "converted.gguf", "q8_0")
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    return [
        Road(Repository("a/large-GGUF", {"large-F16.gguf": weights}), {"large-F16.gguf": weights}),
        Road(Repository("a/shards-GGUF", parts), parts),
        Road(Repository("a/tiny", files), {"model.gguf": (folder / "converted.gguf").read_bytes()}),
    ]
