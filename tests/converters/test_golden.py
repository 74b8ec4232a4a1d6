"""Our files against those that llama.cpp's own converter and quantizer wrote (golden.json, by `make oracle`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converters import RECIPES, convert
from tests.converters.cases import CASES
from tests.converters.checkpoints import make_checkpoint
from tests.converters.golden import GOLDEN, digest, metadata

RECORDED: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]


def test_every_case_is_recorded() -> None:
    recorded = {key: tuple(one["files"]) for key, one in RECORDED.items()}
    assert recorded == {key: tuple(case.types) for key, case in CASES.items()}


def test_every_type_is_covered() -> None:
    assert {name for case in CASES.values() for name in case.types} == set(RECIPES)


@pytest.mark.parametrize("key", CASES)
def test_files_equal_those_of_llama_cpp(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[key]
    checkpoint = make_checkpoint(tmp_path / case.folder, case.model)
    monkeypatch.chdir(tmp_path)
    for quantization in case.types:
        output = tmp_path / f"{quantization}.gguf"
        convert(checkpoint, output, quantization, case.wishes(tmp_path), threads=2)
        assert metadata(output) == RECORDED[key]["metadata"]
        ours, theirs = digest(output), RECORDED[key]["files"][quantization]
        assert ours["types"] == theirs["types"]
        assert ours["tensors"] == theirs["tensors"]
        assert ours["file"] == theirs["file"], "equal parts, but another file type, padding or order"
        output.unlink()
