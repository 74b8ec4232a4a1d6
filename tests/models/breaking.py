"""Changes a store and breaks the change at each of its steps: by a kill, a Ctrl-C, or an error of the system.

`python -m tests.models.breaking FOLDER GGUF SHARD ACTION` does so in a process of its own, which forks
for every step, and prints what came of it. A step is a change of the file system, a write or a sync.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qwen3cli.errors import QwenError
from qwen3cli.models.manifest import Origin
from qwen3cli.models.problems import problem_of
from qwen3cli.models.store import ModelStore
from qwen3cli.models.workshop import translated, write_whole
from tests.converters.watched import ROOT

REMOVALS = ("os.remove", "os.rmdir")
_CHANGES = (*REMOVALS, "os.rename", "os.mkdir", "os.link", "os.truncate")
_WRITING = os.O_CREAT | os.O_WRONLY | os.O_RDWR
_DONE, _REFUSED, _BUG, _THROUGH, _INTERRUPTED = 0, 1, 2, 100, 130

State = dict[str, tuple[str, bool, tuple[bytes, ...]]]


class Scene:
    """A store with models of one file and of three, and with one of somebody else; and files to come."""

    def __init__(self, folder: Path, gguf: Path, shard: Path) -> None:
        self.store = ModelStore(folder / "models")
        self.folder = folder
        self.downloads = self._shards(shard, folder / "downloads")
        for file in self.downloads:
            # Other weights than in the model of the same file names that they may replace.
            file.write_bytes(file.read_bytes()[:-1] + b"@")
        self.theirs = self._shards(shard, folder / "theirs")
        self._gguf = gguf
        self.store.add("one", Origin("old"), self.write)
        self.store.install("three", self._shards(shard, folder / "first"), Origin("old"))
        self.store.register("external", self.theirs, Origin("old"))

    def write(self, target: Path) -> None:
        with translated(target):
            write_whole(target, self._gguf.read_bytes())

    def state(self) -> State:
        """The models by name: where from, whose, and their bytes; AssertionError for anything unsound."""
        entries, unread = self.store.listing()
        assert unread == [], unread
        for entry in entries:
            assert problem_of(entry) is None
            self.store.facts(entry)
        return {
            one.name: (one.origin.source, one.external, tuple(path.read_bytes() for path in one.files))
            for one in entries
        }

    def rubbish(self) -> set[str]:
        """What is in the store and belongs to no model, locks aside."""
        own = {path for entry in self.store.entries() for path in entry.files}
        own |= {self.store.folder / entry.name / "manifest.json" for entry in self.store.entries()}
        there = {path for path in self.store.folder.rglob("*") if not path.is_dir()}
        return {str(path) for path in there - own if path != self.store.folder / ".lock"}

    @staticmethod
    def _shards(first: Path, folder: Path) -> list[Path]:
        folder.mkdir(parents=True)
        return [Path(shutil.copy2(path, folder)) for path in sorted(first.parent.glob("m-*.gguf"))]


BREAKS: dict[str, tuple[int | None, bool]] = {
    "kill": (None, False),
    "interrupt": (0, False),
    "ENOSPC": (errno.ENOSPC, False),
    "EIO": (errno.EIO, False),
    "EINTR": (errno.EINTR, False),
    "ENOSPC from then on": (errno.ENOSPC, True),
    "EIO from then on": (errno.EIO, True),
}
"""What a step fails with (None for a kill, 0 for Ctrl-C), and whether all later ones do, too."""
_WHOLE = ("kill", "ENOSPC", "EIO", "EINTR")
_FAILING = ("interrupt", "ENOSPC", "EIO", "EINTR")


@dataclass(frozen=True)
class Action:
    """A change of a store, and the breaks after which it is done or not done at all.

    Where there are no links, a kill can cost a download; and nothing removes two folders in one step.
    """

    run: Callable[[Scene], object]
    breaks: Sequence[str] = _WHOLE
    links: bool = True


ACTIONS = {
    "add": Action(lambda scene: scene.store.add("new", Origin("new"), scene.write)),
    "add over one": Action(lambda scene: scene.store.add("one", Origin("new"), scene.write)),
    "add over external": Action(lambda scene: scene.store.add("external", Origin("new"), scene.write)),
    "install": Action(lambda scene: scene.store.install("new", scene.downloads, Origin("new"))),
    "install over three": Action(
        lambda scene: scene.store.install("three", scene.downloads, Origin("new")), tuple(BREAKS)
    ),
    "install over three, without links": Action(
        lambda scene: scene.store.install("three", scene.downloads, Origin("new")), _FAILING, links=False
    ),
    "register": Action(lambda scene: scene.store.register("new", scene.theirs, Origin("new"))),
    "register over three": Action(lambda scene: scene.store.register("three", scene.theirs, Origin("new"))),
    "copy": Action(lambda scene: scene.store.copy("three", "new")),
    "copy external": Action(lambda scene: scene.store.copy("external", "new")),
    "remove": Action(lambda scene: scene.store.remove(["three"])),
    "remove external": Action(lambda scene: scene.store.remove(["external"])),
    "remove two": Action(lambda scene: scene.store.remove(["three", "one"]), _FAILING),
}


@dataclass
class Told:
    """How many steps there were, how the action ended when one broke, and what was wrong afterwards."""

    steps: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])
    old: int = 0
    new: int = 0
    problems: list[str] = field(default_factory=list[str])


def break_everywhere(folder: Path, gguf: Path, shard: Path, action: str) -> dict[str, Told]:
    """What came of each kind of break, from a process of its own."""
    command = [sys.executable, "-m", __name__, str(folder), str(gguf), str(shard), action]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return {how: Told(**told) for how, told in json.loads(done.stdout).items()}


class _Breaker:
    """Counts steps, and breaks one of them."""

    def __init__(self, folder: Path, at: int, code: int | None, lasting: bool) -> None:
        self._folder = str(folder)
        self.left = at
        self._code = code
        self._lasting = lasting
        sys.addaudithook(self._watch)
        os.write = self._wrapped(os.write)
        os.fsync = self._wrapped(os.fsync)

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES or (event == "open" and self._writes(*arguments)):
            self._step(event)

    def _writes(self, path: object, mode: object, flags: int) -> bool:
        return flags & _WRITING != 0 and isinstance(path, str) and path.startswith(self._folder)

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._step("write")
            return function(*arguments)

        return counted

    def _step(self, event: str) -> None:
        self.left -= 1
        if self.left >= 0 or (self.left < -1 and not self._lasting):
            return
        if self._code is None:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._code == 0:
            raise KeyboardInterrupt
        # A full disk lets files go.
        elif not (self._code == errno.ENOSPC and event in REMOVALS):
            raise OSError(self._code, os.strerror(self._code))


def _no_link(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def _attempt(scene: Scene, action: str, at: int, how: str) -> int | str:
    """The exit status of a child that does it; "kill" if it was killed, "through" if it came to no such step."""
    child = os.fork()
    if child == 0:
        code = _BUG
        try:
            if not ACTIONS[action].links:
                os.link = _no_link
            breaker = _Breaker(scene.folder, at, *BREAKS[how])
            try:
                ACTIONS[action].run(scene)
                code = _DONE
            except QwenError:
                code = _REFUSED
            except KeyboardInterrupt:
                code = _INTERRUPTED
            if breaker.left >= 0:
                code = _THROUGH
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "kill"
    ended = os.waitstatus_to_exitcode(status)
    return "through" if ended == _THROUGH else ended


def _run(folder: Path, gguf: Path, shard: Path, action: str, how: str) -> Told:
    told = Told()
    undisturbed = Scene(folder / "undisturbed", gguf, shard)
    before = undisturbed.state()
    ACTIONS[action].run(undisturbed)
    after = undisturbed.state()
    shutil.rmtree(undisturbed.folder)
    while True:
        scene = Scene(folder / f"{told.steps}", gguf, shard)
        ended = _attempt(scene, action, told.steps, how)
        if ended == "through":
            shutil.rmtree(scene.folder)
            return told
        told.ends[str(ended)] = told.ends.get(str(ended), 0) + 1
        try:
            found = scene.state()
            assert found in (before, after), f"{found.keys()}"
            told.new += found == after
            told.old += found == before
            _check_afterwards(scene, installed=found == after)
        except (AssertionError, QwenError) as error:
            told.problems.append(f"step {told.steps}, {ended}: {error}")
        told.steps += 1
        shutil.rmtree(scene.folder)


def _check_afterwards(scene: Scene, *, installed: bool) -> None:
    """AssertionError for lost files of others, and where the next one to work there is blocked or leaves rubbish."""
    assert all(path.is_file() for path in scene.theirs), "a file of others is lost"
    if not installed:
        assert all(path.is_file() for path in scene.downloads), "a download is lost"
    found = scene.state()
    scene.store.add("next", Origin("next"), scene.write)
    assert scene.rubbish() == set(), scene.rubbish()
    assert {**found, "next": scene.state()["next"]} == scene.state()


def _main(folder: Path, gguf: Path, shard: Path, action: str) -> None:
    # What prepares a scene may lie in memory; the children count every sync.
    os.fsync = lambda _: None  # type: ignore[assignment]
    told = {how: asdict(_run(folder, gguf, shard, action, how)) for how in ACTIONS[action].breaks}
    print(json.dumps(told))


if __name__ == "__main__":
    _folder, _gguf, _shard = map(Path, sys.argv[1:4])
    _main(_folder, _gguf, _shard, sys.argv[4])
