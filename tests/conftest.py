"""What many tests share: the program as a process, a home of its own, the demo as GGUF."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from converters import Wishes
from qwen3cli.models.conversion import convert_checkpoint, demo_facts
from tests.converters.checkpoints import Model, make_checkpoint

# Threads that wait for one another while other tests have their cores would wait by spinning, and get nothing done.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

MOST_WORKERS = 8
"""Processes of tests: each takes up to a gigabyte, and with more of them the longest files alone decide."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """A process for each core that is ours; None leaves it to xdist, which reads what a person set."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    ours = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(ours, MOST_WORKERS)


class Run(Protocol):
    """Runs `qwen3` with arguments."""

    def __call__(
        self,
        *arguments: str,
        input: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the demo is converted once."""
    home = tmp_path_factory.mktemp("home")
    demo_facts(home / "cache")
    return home


@pytest.fixture(scope="session")
def demo_gguf(shared_home: Path) -> Path:
    """The demo model in its own type, as the real converter makes it."""
    return demo_facts(shared_home / "cache").path


@pytest.fixture(scope="session")
def demo_q8_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in Q8_0."""
    from qwen3cli.demo import CHECKPOINT

    path = tmp_path_factory.mktemp("demo") / "demo-q8_0.gguf"
    convert_checkpoint(CHECKPOINT, path, "q8_0", Wishes("demo"))
    return path


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights and a few kilobytes, as the real converter makes it."""
    folder = tmp_path_factory.mktemp("tiny")
    convert_checkpoint(make_checkpoint(folder / "checkpoint", Model()), folder / "tiny.gguf", "f32")
    return folder / "tiny.gguf"


@pytest.fixture
def environ(shared_home: Path) -> dict[str, str]:
    """The environment of a process under test: the shared home, no colours forced, no model chosen."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QWEN3_", "NO_COLOR"))}
    return {**kept, "QWEN3_HOME": str(shared_home), "QWEN3_DEBUG": "1"}


@pytest.fixture
def qwen3(environ: dict[str, str]) -> Run:
    """Runs the program to its end; without `input` there is no stdin."""

    def run(
        *arguments: str,
        input: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "qwen3cli", *arguments],
            # An empty pipe would be an empty prompt.
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**environ, **(env or {})},
            cwd=cwd,
        )
        out, err = process.communicate(input, timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run
