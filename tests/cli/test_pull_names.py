"""Names that say too little, mislead, or that no model can have: what a person reads, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.homes import Home
from tests.converters.checkpoints import Model, make_checkpoint
from tests.hubs.hub import Hub
from tests.hubs.repository import Repository
from tests.models.stored import put


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("qwen3", "the family has `0.6b`, `1.7b`, `4b`, `8b`"),
        ("qwen3:latest", "the family has `0.6b`, `1.7b`, `4b`, `8b`"),
        ("qwen3:14b-instruct", "the family has `14b`, `14b-base`"),
        ("qwen3-coder:480b", "the family has `coder-30b-a3b`"),
    ],
)
def test_a_name_of_ollamas_that_leaves_a_choice_lists_it(home: Home, text: str, names: str) -> None:
    for arguments, code in ((("pull", text), 2), (("show", text), 3), (("plan", text), 3)):
        done = home(*arguments)
        assert done.returncode == code, done.stderr
        assert names in done.stderr, arguments


def test_a_name_of_ollamas_that_leaves_none_is_a_member(home: Home) -> None:
    for text, title in (("qwen3-coder", "Coder-30B-A3B"), ("qwen3:4b-thinking", "4B-Thinking-2507")):
        done = home("plan", text, "--ram", "64G")
        assert done.returncode == 0, done.stderr
        assert title in done.stdout
        assert f"`qwen3 pull {text}` installs it" in home("show", text).stderr


def test_what_was_imported_from_ollama_is_found_as_ollama_calls_it(home: Home, tiny_gguf: Path) -> None:
    put(home.store, "mine", tiny_gguf, "ollama://qwen3-coder:30b")
    for text in ("qwen3-coder:30b", "ollama://qwen3-coder:30b"):
        done = home("show", text)
        assert done.returncode == 0, done.stderr
        assert "mine" in done.stdout


def test_a_name_that_systems_reserve_says_so(home: Home) -> None:
    done = home("pull", "8b", "--as", "con")
    assert done.returncode == 2
    assert "`con` cannot name a model" in done.stderr
    assert "Windows reserves `con`" in done.stderr
    assert "96 letters" not in done.stderr


def test_a_repository_about_bases_has_a_chat_model(home: Home, tmp_path: Path, demo_gguf: Path) -> None:
    folder = make_checkpoint(tmp_path / "Tiny", Model())
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    gguf = Repository("a/knowledge-base-8b-GGUF", {"knowledge-base-8b-Q8_0.gguf": demo_gguf.read_bytes()})
    with Hub(gguf, Repository("a/knowledge-base-qwen3", files)) as hub:
        done = home("pull", gguf.id, "--as", "one", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        done = home("pull", "a/knowledge-base-qwen3", "-q", "f16", "--as", "two", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
    assert [home.store.get(name).facts.base for name in ("one", "two")] == [False, False]
    assert home.store.get("one").facts.thinking == "hybrid"
