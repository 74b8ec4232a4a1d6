from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from qwen3cli.errors import UsageError
from qwen3cli.models.manifest import Origin
from qwen3cli.models.problems import problem_of
from qwen3cli.models.sources.found import Found
from qwen3cli.models.sources.others import find_models
from qwen3cli.models.sources.registry import Registry
from qwen3cli.models.store import ModelStore
from tests.models.sources.elsewhere import COMMIT, cached, ollama_model, tree


@pytest.fixture
def weights(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "home" / "models")


def found(tmp_path: Path, program: str) -> list[Found]:
    environ = {"OLLAMA_MODELS": str(tmp_path / "ollama"), "HF_HUB_CACHE": str(tmp_path / "hub")}
    return find_models(program, environ, tmp_path)[0]


def test_a_registered_model_stays_where_it_is(tmp_path: Path, store: ModelStore, weights: bytes) -> None:
    ollama_model(tmp_path / "ollama", "library/qwen3:8b", weights)
    cached(tmp_path / "hub", "Qwen/Tiny", "tiny.gguf", weights + bytes(32))
    before = tree(tmp_path / "ollama", tmp_path / "hub")
    for program, source, revision in (
        ("ollama", "ollama://qwen3:8b", ""),
        ("hf", "Qwen/Tiny:tiny.gguf", COMMIT),
    ):
        (model,) = found(tmp_path, program)
        entry = Registry(store).register(model)
        assert (entry.name, entry.external, entry.files) == (model.name, True, model.files)
        assert (entry.origin.source, entry.origin.revision) == (source, revision)
        assert entry.origin.sha256 == model.sha256
        assert store.facts(entry).architecture == "qwen3"
    store.remove([entry.name for entry in store.entries()])
    assert tree(tmp_path / "ollama", tmp_path / "hub") == before


def test_what_is_registered_is_installed(tmp_path: Path, store: ModelStore, weights: bytes) -> None:
    ollama_model(tmp_path / "ollama", "library/qwen3:8b", weights)
    ollama_model(tmp_path / "ollama", "library/qwen3:latest", weights)
    cached(tmp_path / "hub", "Qwen/Tiny", "tiny.gguf", weights)
    models = [*found(tmp_path, "ollama"), *found(tmp_path, "hf")]
    registry = Registry(store)
    assert [registry.installed(model) for model in models] == [None] * 3
    registry.register(models[0])
    for known in (registry, Registry(store)):
        assert [known.installed(model) for model in models] == ["qwen3-8b"] * 3


def test_the_same_bytes_in_the_store_itself_are_installed(
    tmp_path: Path, store: ModelStore, weights: bytes, tiny_gguf: Path
) -> None:
    ollama_model(tmp_path / "ollama", "library/qwen3:8b", weights)
    (model,) = found(tmp_path, "ollama")
    origin = Origin("somewhere", sha256=model.sha256)
    store.add("pulled", origin, lambda target: shutil.copyfile(tiny_gguf, target) and None)
    assert Registry(store).installed(model) == "pulled"


def test_another_model_of_that_name_stays(
    tmp_path: Path, store: ModelStore, weights: bytes, tiny_gguf: Path
) -> None:
    store.add("Qwen3-8b", Origin("somewhere"), lambda target: shutil.copyfile(tiny_gguf, target) and None)
    (store.folder / "qwen3-8b-ollama").mkdir()
    ollama_model(tmp_path / "ollama", "library/qwen3:8b", weights)
    (model,) = found(tmp_path, "ollama")
    assert Registry(store).installed(model) is None
    assert Registry(store).register(model).name == "qwen3-8b-ollama-2"
    assert store.get("Qwen3-8b").origin.source == "somewhere"
    for name in ("qwen3-8B", "qwen3-8b-ollama", "demo", "a/b"):
        with pytest.raises(UsageError):
            Registry(store).register(model, name)


def test_a_file_that_its_owner_replaced_is_registered_anew_under_its_name(
    tmp_path: Path, store: ModelStore, weights: bytes
) -> None:
    link = cached(tmp_path / "hub", "Qwen/Tiny", "tiny.gguf", weights)
    (model,) = found(tmp_path, "hf")
    entry = Registry(store).register(model, "mine")
    os.utime(link, (1, 1))
    (model,) = found(tmp_path, "hf")
    assert problem_of(entry) is not None
    assert Registry(store).installed(model) is None
    entry = Registry(store).register(model)
    assert (entry.name, problem_of(entry)) == ("mine", None)
    assert len(store.entries()) == 1
