from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.models.catalog import FAMILY, find, find_in_repository, sibling_of
from qwen3cli.models.reference import ModelRef, candidates, is_name


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
        ("Qwen3-8B", "family"),
        ("8b:Qwen3-8B-Q8_0.gguf", "family"),
        ("mine", "name"),
        ("mine-2.0_x", "name"),
        ("./x.gguf", "path"),
        ("x.gguf", "path"),
        ("folder/x.gguf", "path"),
        (r"C:\x.gguf", "path"),
        ("/abs/folder", "path"),
        ("~/x", "path"),
        ("someone/some-model", "hf"),
        ("a/b/c", "unknown"),
        ("ms://a", "unknown"),
        ("a/..", "unknown"),
        ("../x", "path"),
        ("kaggle://a/b", "unknown"),
        ("mine:q8_0", "unknown"),
        ("why is the sky blue", "words"),
        ("为什么", "words"),
        ("why?", "words"),
    ],
)
def test_every_form_is_told_apart(text: str, kind: str) -> None:
    assert ModelRef.parse(text).kind == kind


@pytest.mark.parametrize(
    ("text", "kind", "place", "wanted"),
    [
        ("8B:Q5_K_M", "family", "8b", "Q5_K_M"),
        ("Qwen3-4B-Thinking-2507", "family", "4b-thinking-2507", ""),
        ("qwen3:8b", "family", "8b", ""),
        ("Qwen3:30B-A3B", "family", "30b-a3b", ""),
        ("qwen3:8b-q4_K_M", "family", "8b", "q4_K_M"),
        ("qwen3:4b-thinking-2507-q8_0", "family", "4b-thinking-2507", "q8_0"),
        ("qwen3:30b", "family", "30b-a3b", ""),
        ("qwen3:30b-q4_K_M", "family", "30b-a3b", "q4_K_M"),
        ("qwen3:30b-a3b-thinking-2507-fp16", "family", "30b-a3b-thinking-2507", "fp16"),
        ("qwen3:235B", "family", "235b-a22b", ""),
        ("qwen3:235b-a22b-iq2_xxs", "family", "235b-a22b", "iq2_xxs"),
        ("qwen3:4b-instruct-2507-q4_K_M", "family", "4b-instruct-2507", "q4_K_M"),
        ("qwen3-coder:30b", "family", "coder-30b-a3b", ""),
        ("Qwen3-Coder:30b-a3b-q8_0", "family", "coder-30b-a3b", "q8_0"),
        ("qwen3-coder:480b", "unknown", "", ""),
        ("qwen3-coder:8b", "unknown", "", ""),
        ("qwen3:latest", "unknown", "", ""),
        ("qwen3:", "unknown", "", ""),
        ("qwen3:q8_0", "unknown", "", ""),
        ("qwen3:8b-", "unknown", "", ""),
        ("qwen3:8b-instruct", "unknown", "", ""),
        ("qwen3:32b-thinking-q8_0", "unknown", "", ""),
        ("qwen3:235b-base", "unknown", "", ""),
        ("qwen3:4b-2507", "unknown", "", ""),
        ("qwen3", "name", "", ""),
        ("qwen3:4b", "family", "4b", ""),
        ("qwen3:4b-instruct", "family", "4b-instruct-2507", ""),
        ("Qwen3:4B-Instruct-q8_0", "family", "4b-instruct-2507", "q8_0"),
        ("qwen3:30b-thinking", "family", "30b-a3b-thinking-2507", ""),
        ("qwen3:235b-instruct", "family", "235b-a22b-instruct-2507", ""),
        ("qwen3:30b-a3b-instruct", "family", "30b-a3b-instruct-2507", ""),
        ("qwen3-coder", "family", "coder-30b-a3b", ""),
        ("Qwen3-Coder:Latest", "family", "coder-30b-a3b", ""),
        ("qwen3-coder:", "unknown", "", ""),
        ("qwen3-coder:30b-base", "unknown", "", ""),
        ("Qwen/Qwen3-8B", "hf", "Qwen/Qwen3-8B", ""),
        ("Qwen/Qwen3-8B-GGUF:q8_0", "hf", "Qwen/Qwen3-8B-GGUF", "q8_0"),
        ("Qwen/Qwen3-8B-GGUF:sub/a.gguf", "hf", "Qwen/Qwen3-8B-GGUF", "sub/a.gguf"),
        ("hf.co/a/b:c", "hf", "a/b", "c"),
        ("HF://a/b", "hf", "a/b", ""),
        ("huggingface.co/a/b", "hf", "a/b", ""),
        ("https://huggingface.co/a/b", "hf", "a/b", ""),
        ("https://hf.co/a/b/tree/main", "hf", "a/b", ""),
        ("https://huggingface.co/a/b/blob/main/x/y%20z.gguf", "hf", "a/b", "x/y z.gguf"),
        ("https://huggingface.co/a/b/resolve/main/y.gguf?download=true", "hf", "a/b", "y.gguf"),
        ("ms://a/b:q4_0", "modelscope", "a/b", "q4_0"),
        ("modelscope.cn/models/a/b", "modelscope", "a/b", ""),
        ("https://www.modelscope.cn/models/a/b/file/view/master/x.gguf", "modelscope", "a/b", "x.gguf"),
        ("https://modelscope.cn/models/a/b/resolve/master/x.gguf", "modelscope", "a/b", "x.gguf"),
        ("kaggle://a/b/gguf/c", "kaggle", "a/b/gguf/c", ""),
        ("kaggle://a/b/gguf/c/2:q8_0", "kaggle", "a/b/gguf/c/2", "q8_0"),
        ("ollama://qwen3:8b", "ollama", "qwen3:8b", ""),
        ("ollama://hf.co/a/b:Q4_K_M", "ollama", "hf.co/a/b:Q4_K_M", ""),
        ("https://example.org/x.gguf", "url", "https://example.org/x.gguf", ""),
    ],
)
def test_forms_are_taken_apart(text: str, kind: str, place: str, wanted: str) -> None:
    parsed = ModelRef.parse(text)
    assert (parsed.kind, parsed.place, parsed.wanted) == (kind, place, wanted)


SIZES = "`0.6b`, `1.7b`, `4b`, `8b`, `14b`, `32b`, `30b-a3b`, `235b-a22b`"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("qwen3", SIZES),
        ("Qwen3:latest", SIZES),
        ("qwen3:7b", SIZES),
        ("qwen3:", SIZES),
        ("qwen3:8b-instruct", "`8b`, `8b-base`"),
        ("qwen3:32B-thinking", "`32b`"),
        ("qwen3:235b-base", "`235b-a22b`, `235b-a22b-instruct-2507`, `235b-a22b-thinking-2507`"),
        ("qwen3-coder:480b", "`coder-30b-a3b`"),
        ("qwen3-coder:30b-base", "`coder-30b-a3b`"),
    ],
)
def test_where_a_name_of_ollamas_leaves_a_choice_the_members_are_named(text: str, names: str) -> None:
    assert candidates(text) == f"the family has {names}"
    for other in (f"a/{text}", f"x{text}", text.lower().replace("qwen3", "llama3")):
        assert candidates(other) == ""


@pytest.mark.parametrize(
    "text",
    [
        "http://[::1",
        "http://",
        "https:///x.gguf",
        "http://a:99999/x.gguf",
        "http://a:b/x.gguf",
        "http://a/\0.gguf",
    ],
)
def test_a_url_that_cannot_be_is_of_no_kind(text: str) -> None:
    assert ModelRef.parse(text) == ModelRef("unknown", text)
    assert ModelRef.parse("http://[::1]:80/x.gguf").kind == "url"


def test_an_existing_folder_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert ModelRef.parse("out/model").kind == "path"
    assert ModelRef.parse("out/other").kind == "hf"


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
    assert find("Qwen3-8B-GGUF") is FAMILY["8b"]
    assert find_in_repository("Qwen/Qwen3-8B-GGUF") is FAMILY["8b"]
    assert find_in_repository("bartowski/Qwen_Qwen3-8B-GGUF") is FAMILY["8b"]
    assert find("Qwen3-Coder-30B-A3B-Instruct") is FAMILY["coder-30b-a3b"]
    assert find("9b") is None


def test_the_sibling_that_can_be_switched_is_named() -> None:
    assert sibling_of("Qwen3-4B-Thinking-2507-Q4_K_M") == "4b"
    assert sibling_of("Qwen3-235B-A22B-Instruct-2507") == "235b-a22b"
    assert sibling_of("something") is None
