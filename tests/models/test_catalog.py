"""What tells a member of the family from another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen3cli.machine import ModelFacts
from qwen3cli.models.catalog import FAMILY


def facts(architecture: str, **more: Any) -> ModelFacts:
    return ModelFacts("m", Path("m.gguf"), architecture, 1, 1, "Q8_0", True, 1, 1, **more)


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("8b", facts("qwen3"), ""),
        ("8b", facts("qwen3", thinking="hybrid"), ""),
        ("30b-a3b", facts("qwen3moe"), ""),
        ("30b-a3b", facts("qwen3"), "a dense model"),
        ("8b", facts("qwen3moe"), "a mixture of experts"),
        ("8b", facts("llama"), "of the architecture `llama`"),
        ("30b-a3b", facts("llama"), "of the architecture `llama`"),
        ("8b", facts("qwen3", base=True), "a base model"),
        ("8b-base", facts("qwen3"), "no base model"),
        ("8b", facts("qwen3", thinking="never"), "one whose thinking is `never`"),
    ],
)
def test_another_model_is_called_what_it_is(name: str, found: ModelFacts, said: str) -> None:
    assert FAMILY[name].unlike(found) == said
