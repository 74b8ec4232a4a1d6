from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.models.sources import ollama
from qwen3cli.models.sources.others import find_models
from tests.models.sources.elsewhere import WEIGHTS, digest_of, layers, manifest, ollama_model, put


def found(root: Path) -> dict[str, str]:
    """The names that the references get."""
    models, _ = find_models("ollama", {"OLLAMA_MODELS": str(root)}, root)
    return {model.reference: model.name for model in models}


def notes(root: Path) -> str:
    return "\n".join(find_models("ollama", {"OLLAMA_MODELS": str(root)}, root)[1])


def test_a_model_is_its_blob(tmp_path: Path) -> None:
    blob = ollama_model(tmp_path, "library/qwen3:8b", WEIGHTS, "template", "params", "license", "projector")
    (model,), passed = find_models("ollama", {"OLLAMA_MODELS": str(tmp_path)}, Path("/nowhere"))
    assert passed == []
    assert (model.program, model.name, model.reference) == ("ollama", "qwen3-8b", "qwen3:8b")
    assert (model.files, model.size) == ((blob,), len(WEIGHTS))
    assert (model.sha256, model.source) == ((digest_of(WEIGHTS),), "ollama://qwen3:8b")


def test_references_are_those_of_ollama_list_and_latest_comes_last(tmp_path: Path) -> None:
    for reference in (
        "library/qwen3:latest",
        "library/qwen3:8b",
        "someone/tuned:latest",
        "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M",
        "localhost:5000/team/model:v1.0",
    ):
        ollama_model(tmp_path, reference)
    assert list(found(tmp_path).items()) == [
        ("hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "Qwen3-8B-Q4_K_M"),
        ("localhost:5000/team/model:v1.0", "model-v1.0"),
        ("qwen3:8b", "qwen3-8b"),
        ("qwen3:latest", "qwen3"),
        ("someone/tuned:latest", "tuned"),
    ]


def test_digests_with_a_hyphen_and_in_upper_case_are_digests(tmp_path: Path) -> None:
    name = digest_of(WEIGHTS).upper()
    put(tmp_path / "blobs" / f"sha256-{name}")
    manifest(tmp_path, "library/a:1", layers(("model", f"sha256-{name}")))
    (model,), _ = find_models("ollama", {"OLLAMA_MODELS": str(tmp_path)}, tmp_path)
    assert model.sha256 == (digest_of(WEIGHTS),)


def test_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama, "SERVICE", tmp_path / "service")
    ollama_model(tmp_path / "home" / ".ollama" / "models", "library/mine:1")
    ollama_model(tmp_path / "service", "library/ours:1")
    ollama_model(tmp_path / "chosen", "library/chosen:1")

    def references(environ: dict[str, str]) -> list[str]:
        return [model.reference for model in find_models("ollama", environ, tmp_path / "home")[0]]

    assert references({}) == references({"OLLAMA_MODELS": ""}) == ["mine:1", "ours:1"]
    assert references({"OLLAMA_MODELS": str(tmp_path / "chosen")}) == ["chosen:1"]
    assert references({"OLLAMA_MODELS": "~/.ollama/models"}) == ["mine:1"]
    assert references({"OLLAMA_MODELS": str(tmp_path / "nowhere")}) == []


def test_downloads_that_are_not_finished_are_no_models(tmp_path: Path) -> None:
    blob = ollama_model(tmp_path, "library/qwen3:8b")
    blob.rename(f"{blob}-partial")
    put(Path(f"{blob}-partial-0"))
    assert found(tmp_path) == {}
    assert notes(tmp_path) == "`qwen3:8b` of Ollama is passed over: its file is missing"


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (("tensor", "tensor", "json"), "tensor by tensor, which is not GGUF"),
        (("model", "tensor"), "tensor by tensor"),
        (("license",), "no weights on this machine"),
        ((), "no weights on this machine"),
        (("model", "model"), "in 2 files"),
        (("model", "adapter"), "an adapter on top"),
    ],
)
def test_what_is_not_one_gguf_file_is_said(tmp_path: Path, kinds: tuple[str, ...], words: str) -> None:
    blob = put(tmp_path / "blobs" / f"sha256-{digest_of(WEIGHTS)}")
    manifest(tmp_path, "library/odd:1", layers(*((kind, blob.name) for kind in kinds)))
    assert found(tmp_path) == {}
    assert notes(tmp_path).startswith("`odd:1` of Ollama is passed over: ")
    assert words in notes(tmp_path)


def test_a_system_prompt_that_is_left_out_is_said(tmp_path: Path) -> None:
    ollama_model(tmp_path, "library/mario:1", WEIGHTS, "system")
    assert list(found(tmp_path)) == ["mario:1"]
    assert notes(tmp_path) == "`mario:1` of Ollama has a system prompt of its own, which is not taken over"


def test_files_that_are_no_manifests_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "manifests" / ".DS_Store")
    put(tmp_path / "manifests" / "registry.ollama.ai" / "library" / "qwen3" / ".DS_Store")
    put(tmp_path / "manifests" / "a" / "b" / "c" / "d" / "too-deep")
    assert (found(tmp_path), notes(tmp_path)) == ({}, "")
