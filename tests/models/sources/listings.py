"""What tests of hubs' listings share: an environment without settings, and hubs that list what a test wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import QwenError
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Hub, Listing
from qwen3cli.models.sources.huggingface import HuggingFace
from qwen3cli.models.sources.kaggle import Kaggle
from qwen3cli.models.sources.modelscope import ModelScope
from tests.hubs.serving import App, Request, Response, json_response
from tests.models.fetching import HASTE
from tests.models.sources.elsewhere import COMMIT, WEIGHTS

TOKEN = "hf_secret"
NAME = "Qwen/Qwen3-8B-GGUF"
LARGE = "Qwen3-8B-Q8_0.gguf"
FILES = {LARGE: WEIGHTS, "config.json": b"{}", **{f"more/{n}.txt": b"%d" % n for n in range(7)}}


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING_FACE", "MODELSCOPE_", "KAGGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


def answers(tree: Any = (), about: Any = None, **headers: str) -> App:
    """A hub that lists what a test wants."""

    def app(request: Request) -> Response:
        if "/revision/" in request.path:
            return json_response({"sha": COMMIT, "tags": []} if about is None else about)
        return json_response(tree, headers=headers)

    return app


def file(path: Any, size: Any = 1, **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": size, **more}


def modelscope(paths: tuple[str, ...]) -> App:
    entries = [{"Type": "blob", "Path": path, "Size": 1, "Sha256": "a" * 64} for path in paths]
    return lambda _: json_response({"Data": {"Files": entries}})


def kaggle(paths: tuple[str, ...]) -> App:
    files = [{"name": path, "size": 1} for path in paths]
    return lambda _: json_response({"versionNumber": 1, "files": files})


def hugging(paths: tuple[str, ...]) -> App:
    return answers([file(path) for path in paths])


HUBS: Mapping[str, tuple[str, Callable[[Http], Hub], Callable[[tuple[str, ...]], App]]] = {
    "hf": ("HF_ENDPOINT", lambda http: HuggingFace("a/b", http), hugging),
    "modelscope": ("MODELSCOPE_ENDPOINT", lambda http: ModelScope("a/b", http), modelscope),
    "kaggle": ("KAGGLE_API_ENDPOINT", lambda http: Kaggle("a/b/c/d", http), kaggle),
}


def listed(name: str = NAME) -> Listing:
    """What Hugging Face lists, or what stands in its place."""
    with Http(HASTE) as http:
        return HuggingFace(name, http).listing()


def failing(name: str = NAME) -> QwenError:
    """The error with which that fails, which is a sentence without secrets."""
    with pytest.raises(QwenError) as error:
        listed(name)
    assert error.value.hint
    assert "\n" not in error.value.message
    assert TOKEN not in f"{error.value.message} {error.value.hint}"
    return error.value
