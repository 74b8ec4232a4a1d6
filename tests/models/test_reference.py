from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.models.catalog import FAMILY, find, sibling_of
from qwen3cli.models.reference import ModelRef, is_name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("demo", "demo"),
        ("Demo", "demo"),
        ("8b", "family"),
        ("8B", "family"),
        ("8b:q5_k_m", "family"),
        ("30b-a3b", "family"),
        ("8b-base", "family"),
        ("4b-thinking-2507", "family"),
        ("Qwen/Qwen3-8B", "family"),
        ("Qwen3-8B", "family"),
        ("mine", "name"),
        ("mine-2.0_x", "name"),
        ("./x.gguf", "path"),
        ("x.gguf", "path"),
        ("/abs/folder", "path"),
        ("someone/some-model", "hub"),
        ("ms://a/b", "hub"),
        ("why is the sky blue", "words"),
        ("为什么", "words"),
        ("why?", "words"),
    ],
)
def test_every_form_is_told_apart(text: str, kind: str) -> None:
    assert ModelRef.parse(text).kind == kind


def test_an_existing_folder_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert ModelRef.parse("out/model").kind == "path"
    assert ModelRef.parse("out/other").kind == "hub"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "..", "x" * 97, "名", "a:b", "a."])
def test_names_are_safe_as_folders(name: str) -> None:
    assert not is_name(name)


def test_the_family_is_complete() -> None:
    hybrid = [m.name for m in FAMILY.values() if m.thinking is ThinkingMode.HYBRID]
    assert hybrid == ["0.6b", "1.7b", "4b", "8b", "14b", "32b", "30b-a3b", "235b-a22b"]
    assert sorted(m.name for m in FAMILY.values() if m.base) == sorted(
        ["0.6b-base", "1.7b-base", "4b-base", "8b-base", "14b-base", "30b-a3b-base"]
    )
    assert FAMILY["235b-a22b-thinking-2507"].repository == "Qwen/Qwen3-235B-A22B-Thinking-2507"


def test_names_lead_to_members() -> None:
    assert find("Qwen/Qwen3-8B-GGUF") is FAMILY["8b"]
    assert find("Qwen3-Coder-30B-A3B-Instruct") is FAMILY["coder-30b-a3b"]
    assert find("9b") is None


def test_the_sibling_that_can_be_switched_is_named() -> None:
    assert sibling_of("Qwen3-4B-Thinking-2507-Q4_K_M") == "4b"
    assert sibling_of("Qwen3-235B-A22B-Instruct-2507") == "235b-a22b"
    assert sibling_of("something") is None
