"""Our files against those that llama.cpp's own converter wrote (golden.json, recorded by `make oracle`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converters import convert
from tests.converters.cases import CASES
from tests.converters.checkpoints import make_checkpoint
from tests.converters.golden import GOLDEN, digest

FILES: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))["files"]


def test_every_case_is_recorded() -> None:
    assert set(FILES) == {f"{key} {kind}" for key, case in CASES.items() for kind in case.types}


@pytest.mark.parametrize("key", CASES)
def test_files_equal_those_of_llama_cpp(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    checkpoint = make_checkpoint(tmp_path / case.folder, case.model)
    for quantization in case.types:
        output = tmp_path / f"{quantization}.gguf"
        convert(checkpoint, output, quantization, name=case.name, threads=2)
        ours, theirs = digest(output), FILES[f"{key} {quantization}"]
        assert ours["tensors"] == theirs["tensors"]
        assert ours["metadata"] == theirs["metadata"]
        assert ours["file"] == theirs["file"], "equal parts, but other padding or order"
