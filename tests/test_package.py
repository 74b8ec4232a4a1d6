"""The wheel: what it holds, and that it runs without the source tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("qwen3cli-*.whl"))


def test_the_wheel_holds_the_program_the_converters_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "qwen3cli/__main__.py",
        "converters/__init__.py",
        "qwen3cli/demo/checkpoint/model.safetensors",
        "qwen3cli/demo/checkpoint/tokenizer.json",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_runs_alone(wheel: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    # The editable install in this environment is found through a .pth file; PYTHONPATH comes before it.
    environ = {**environ, "PYTHONPATH": str(tmp_path / "site"), "QWEN3_HOME": str(tmp_path / "home")}
    where = [
        sys.executable,
        "-c",
        "import qwen3cli, converters; print(qwen3cli.__file__, converters.__file__)",
    ]
    found = subprocess.run(where, capture_output=True, text=True, env=environ, cwd=tmp_path, check=True)
    assert found.stdout.count(str(tmp_path / "site")) == 2
    command = [
        sys.executable,
        "-m",
        "qwen3cli",
        "chat",
        "demo",
        "-p",
        "Hello!",
        "--no-think",
        "--temperature",
        "0",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr
