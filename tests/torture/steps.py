"""Runs programs step by step; for `python -m qwen3cli convert`, what phase each step belongs to.

hooks/sitecustomize.py counts the steps inside of the process, and strikes at the one that is asked for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.converters.watched import ROOT

HOOKS = Path(__file__).parent / "hooks"
PHASES = (
    *("start-up", "preparing the store", "reading the checkpoint", "making the file", "header"),
    *("early pieces", "middle pieces", "late pieces", "sync of the file", "rename of the file"),
    *("sync of its folder", "checking the model", "manifest", "installing", "cleaning up"),
)


@dataclass(frozen=True)
class Strike:
    """What happens to a run: `how` at the step `at`, or a kill after some `seconds`."""

    at: int = -1
    how: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Ran:
    """How a run ended, and the steps that it came to."""

    code: int
    stderr: str
    steps: Sequence[str]

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def run_convert(
    arguments: Sequence[str],
    home: Path,
    watched: Path,
    strike: Strike | None = None,
    *,
    log: Path | None = None,
) -> Ran:
    """`qwen3 convert` with the store in `home`; its steps are those below `watched`, told by way of `log`."""
    command = ["qwen3cli", "convert", *arguments]
    return run_watched(command, watched, strike, log or home.with_name("steps"), {"QWEN3_HOME": str(home)})


def run_watched(
    arguments: Sequence[str],
    watched: Path,
    strike: Strike | None,
    log: Path,
    environ: Mapping[str, str] | None = None,
) -> Ran:
    """`python -m` with arguments; its steps are those below `watched`, told by way of `log`."""
    log.unlink(missing_ok=True)
    strike = strike or Strike()
    torture = {"TORTURE_WATCH": str(watched), "TORTURE_LOG": str(log)}
    torture |= {"TORTURE_AT": str(strike.at), "TORTURE_HOW": strike.how}
    python_path = os.pathsep.join([str(HOOKS), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **(environ or {}), "PYTHONPATH": python_path, **torture},
    ) as child:
        try:
            _, stderr = child.communicate(timeout=120 if strike.seconds is None else strike.seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            _, stderr = child.communicate()
    steps = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return Ran(child.returncode, stderr, steps)


def phases(steps: Sequence[str], checkpoint: Path) -> Iterator[str]:
    """The phase of each step of a run that nobody disturbed."""
    writes = sum(step.startswith("write") for step in steps)
    written, phase = 0, PHASES[0]
    for event, _, path in (step.partition(" ") for step in steps):
        name = Path(path).name
        if event == "write":
            phase = (
                "header" if not written else f"{('early', 'middle', 'late')[3 * written // writes]} pieces"
            )
            written += 1
        else:
            phase = _next(phase, event, name, path.startswith(str(checkpoint)))
        yield phase


def _next(phase: str, event: str, name: str, read: bool) -> str:
    """The phase of a step that is no write, after one of `phase`."""
    if read:
        # The weights are opened once more when the file is made.
        return "making the file" if phase == "making the file" else "reading the checkpoint"
    if name.endswith(".partial"):
        return "rename of the file" if event == "os.rename" else "making the file"
    if name == "manifest.json" and event == "open":
        return "cleaning up" if phase in ("installing", "cleaning up") else "manifest"
    if event == "os.rename":
        return "installing"
    if event in ("os.remove", "os.rmdir"):
        return "cleaning up"
    following = {
        "start-up": "preparing the store",
        "reading the checkpoint": "making the file",
        "late pieces": "sync of the file",
        "rename of the file": "sync of its folder",
    }
    if phase == "sync of its folder" and name == "model.gguf":
        return "checking the model"
    return following.get(phase, phase)
