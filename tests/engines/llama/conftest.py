"""Engines with a small model beside a large one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import Wishes
from qwen3cli.chat.ports import Engine
from qwen3cli.demo import CHECKPOINT
from qwen3cli.engines import open_engine
from qwen3cli.machine import Drafts, Placement
from qwen3cli.models.conversion import convert_checkpoint
from tests.engines.conftest import facts_of
from tests.engines.drafted import Converted, Open


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The demo model in a type."""
    folder = tmp_path_factory.mktemp("demo")

    def converted(kind: str) -> Path:
        path = folder / f"demo-{kind}.gguf"
        if not path.exists():
            convert_checkpoint(CHECKPOINT, path, kind, Wishes("demo"))
        return path

    return converted


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens engines with a model and one that drafts for it, and closes them."""
    engines: list[Engine] = []

    def open_both(large: Path, small: Path, context: int = 2048) -> Engine:
        placement = Placement(context, threads=1)
        drafts = Drafts(model=facts_of(small), placement=placement)
        engines.append(open_engine(facts_of(large), placement, drafts=drafts))
        return engines[-1]

    yield open_both
    for engine in engines:
        engine.close()
