"""`qwen3 chat ./folder`: converted once, known by its content, shared between folders and processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3cli.demo import CHECKPOINT
from qwen3cli.models.checkpoints import one_at_a_time
from tests.conftest import Run
from tests.converters.checkpoints import write_json

ASK = ("What is 2 + 3?", "--temperature", "0", "--no-think")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"QWEN3_HOME": str(tmp_path / "home")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(CHECKPOINT, tmp_path / "My finetune")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def installed(qwen3: Run, home: dict[str, str]) -> list[str]:
    return [model["name"] for model in json.loads(qwen3("list", "--json", env=home).stdout)]


def test_it_is_converted_once(qwen3: Run, home: dict[str, str], folder: Path, tmp_path: Path) -> None:
    first = qwen3("chat", "./My finetune", *ASK, env=home, cwd=tmp_path)
    assert (first.returncode, "5" in first.stdout) == (0, True)
    (name,) = installed(qwen3, home)
    assert name.startswith("My-finetune-")
    assert f"is now `{name}`" in first.stderr
    second = qwen3("chat", str(folder), *ASK, env=home)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    assert qwen3("chat", name, *ASK, env=home).stdout == first.stdout
    assert installed(qwen3, home) == [name]


def test_the_content_counts_not_the_place(
    qwen3: Run, home: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    qwen3("chat", str(folder), *ASK, env=home)
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert qwen3("chat", str(copy), *ASK, env=home).stderr == ""
    weights = copy / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1  # As long as before, and another number.
    weights.write_bytes(raw)
    assert "elsewhere-" in qwen3("chat", str(copy), *ASK, env=home).stderr
    assert len(installed(qwen3, home)) == 2


def test_two_at_once_convert_one_time(
    qwen3: Run, home: dict[str, str], environ: dict[str, str], folder: Path
) -> None:
    command = [sys.executable, "-m", "qwen3cli", "chat", str(folder), *ASK]
    running = [
        subprocess.Popen(
            command,
            env={**environ, **home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    done = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len({out for out, _ in done}) == 1
    assert sum("is now" in err for _, err in done) == 1
    assert len(installed(qwen3, home)) == 1


def test_json_stays_what_the_contract_says(qwen3: Run, home: dict[str, str], folder: Path) -> None:
    done = qwen3("chat", str(folder), *ASK, "--json", env=home)
    kinds = {json.loads(line)["event"] for line in done.stdout.splitlines()}
    assert kinds == {"notice", "text", "end"}


def test_a_folder_that_changes_meanwhile_is_known_by_what_it_became(
    qwen3: Run, home: dict[str, str], environ: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "home" / "cache"
    weights = folder / "model.safetensors"
    old = weights.read_bytes()
    with one_at_a_time(cache):
        waiting = subprocess.Popen(
            [sys.executable, "-m", "qwen3cli", "chat", str(folder), *ASK],
            env={**environ, **home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(lambda: (cache / "fingerprints.json").exists())
        weights.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
    assert waiting.wait(120) == 0
    (changed,) = installed(qwen3, home)
    weights.write_bytes(old)
    assert qwen3("chat", str(folder), *ASK, env=home).returncode == 0
    assert len(installed(qwen3, home)) == 2
    assert changed in installed(qwen3, home)


def test_a_file_that_is_gone_is_made_again(
    qwen3: Run, home: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    qwen3("chat", str(folder), *ASK, env=home)
    (name,) = installed(qwen3, home)
    next((tmp_path / "home" / "models" / name).glob("*.gguf")).unlink()
    assert qwen3("chat", str(folder), *ASK, env=home).returncode == 0
    assert installed(qwen3, home) == [name]


def test_what_cannot_be_converted_is_refused_before_it_is_read(
    qwen3: Run, home: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "quantization_config": {"quant_method": "gptq"}})
    done = qwen3("chat", str(folder), *ASK, env=home)
    assert done.returncode == 4
    assert "GPTQ" in done.stderr
    assert not (tmp_path / "home" / "cache" / "fingerprints.json").exists()


def test_what_is_no_checkpoint_is_refused(qwen3: Run, home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = qwen3("chat", "./empty", *ASK, env=home, cwd=tmp_path)
    assert done.returncode == 4
    assert "no config.json" in done.stderr
    bare = qwen3("chat", "empty", *ASK, env=home, cwd=tmp_path)
    assert bare.returncode == 3
    assert "`./empty`" in bare.stderr
    shown = qwen3("show", "./empty", env=home, cwd=tmp_path)
    assert shown.returncode == 4
    assert installed(qwen3, home) == []
