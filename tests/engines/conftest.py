"""Engines on models that a test writes itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.chat.ports import Engine
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.constraint import Tokens
from qwen3cli.engines.llama.library import expect
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.machine import ModelFacts, Placement
from tests.engines.models import HYBRID, Script, write_scripted
from tests.engines.random_model import write_random

OpenScripted = Callable[..., Engine]


def facts_of(path: Path) -> ModelFacts:
    """Facts as far as the engine reads them."""
    return ModelFacts(path.stem, path, "qwen3", path.stat().st_size, 0, "F32", False, 32768, 0)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[OpenScripted]:
    """Opens engines on scripted models, and closes them."""
    opened: list[Engine] = []

    def open_scripted(
        script: Script,
        *,
        context: int = 2048,
        template: str | None = HYBRID,
        missing: Collection[str] = (),
    ) -> Engine:
        path = tmp_path / f"scripted-{len(opened)}.gguf"
        write_scripted(path, script, template=template, missing=missing)
        opened.append(open_engine(facts_of(path), Placement(context, threads=1)))
        return opened[-1]

    yield open_scripted
    for engine in opened:
        engine.close()


@pytest.fixture(scope="module")
def random_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on random weights."""
    path: Path = write_random(tmp_path_factory.mktemp("random") / "random.gguf")
    engine = open_engine(facts_of(path), Placement(16384, threads=1))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    """A vocabulary that has every byte."""
    path: Path = write_random(tmp_path_factory.mktemp("grammar") / "random.gguf")
    params = C.llama_model_default_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(str(path).encode(), params)
    vocabulary = C.llama_vocab_p(expect(model and C.llama_model_get_vocab(model), "read the vocabulary"))
    yield Tokens(Vocabulary(vocabulary, "qwen2"))
    assert model
    C.llama_model_free(model)
