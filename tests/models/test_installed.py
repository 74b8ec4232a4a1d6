"""Which stored model a reference means."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.models.installed import find_installed
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.store import ModelStore
from tests.models.stored import put

IMPORTED = {
    "eight": "ollama://qwen3:8b",
    "four": "ollama://qwen3:4b-instruct",
    "coder": "ollama://qwen3-coder:30b",
    "newest": "ollama://qwen3:latest",
    "newest-coder": "ollama://qwen3-coder:latest",
    "llama": "ollama://llama3.2:latest",
    "theirs": "ollama://someone/qwen3:8b",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    for name, source in IMPORTED.items():
        put(store, name, tiny_gguf, source)
    return store


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("qwen3:8b", "eight"),
        ("Qwen3:4B-Instruct", "four"),
        ("qwen3-coder:30b", "coder"),
        ("qwen3", "newest"),
        ("qwen3:latest", "newest"),
        ("qwen3-coder", "newest-coder"),
        ("Qwen3-Coder:latest", "newest-coder"),
        ("ollama://qwen3:8b", "eight"),
        ("ollama://qwen3", "newest"),
        ("ollama://llama3.2", "llama"),
        ("ollama://someone/qwen3:8b", "theirs"),
        ("ollama://someone/qwen3", None),
        ("8b", None),
        ("4b-instruct-2507", None),
        ("coder-30b-a3b", None),
        ("qwen3:4b-thinking", None),
        ("qwen3:8b-q4_K_M", None),
        ("qwen3-coder:30b-a3b", None),
        ("llama3.2", None),
        ("someone/qwen3:8b", None),
    ],
)
def test_ollamas_words_mean_what_was_imported_from_there(
    store: ModelStore, text: str, name: str | None
) -> None:
    found = find_installed(store, ModelRef.parse(text))
    assert (found and found.name) == name
