"""A person's home for tests of `qwen3 pull`, with hubs that cannot be reached unless a test says where one is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from qwen3cli.models.store import ModelStore
from tests.conftest import Run
from tests.hubs.repository import Repository

NOWHERE = "http://127.0.0.1:9"
GGUF = "Qwen/Qwen3-8B-GGUF"
FILE = "Qwen3-8B-Q8_0.gguf"


class Home:
    """A person's home and hubs: runs the program there."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self.folder = folder
        self.environ = {
            "HOME": str(folder),
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_CACHE": str(folder / "hf" / "hub"),
            "QWEN3_HOME": str(folder / "qwen3"),
            **dict.fromkeys(("HF_TOKEN", "MODELSCOPE_API_TOKEN", "KAGGLE_API_TOKEN"), ""),
            "HF_ENDPOINT": NOWHERE,
            "MODELSCOPE_ENDPOINT": NOWHERE,
            "KAGGLE_API_ENDPOINT": NOWHERE,
        }

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self._run(*arguments, env={**self.environ, **environ})

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "qwen3" / "models")

    def left(self) -> list[str]:
        """What lies in the downloads folder, but locks."""
        folder = self.folder / "qwen3" / "downloads"
        return sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock")
        )

    def bytes_of(self, name: str) -> bytes:
        return self.store.get(name).facts.path.read_bytes()


def repository_of(folder: Path, identity: str) -> Repository:
    hostile = {"../evil.safetensors": b"x", "sub/other.safetensors": b"y", "pytorch_model.bin": b"z"}
    return Repository(identity, {path.name: path.read_bytes() for path in folder.iterdir()} | hostile)
