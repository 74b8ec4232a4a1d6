from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from qwen3cli.errors import InvalidFile
from qwen3cli.models.facts import read_facts
from qwen3cli.models.trust import check_once


def split_model(folder: Path) -> Path:
    """Three files as llama.cpp's gguf-split makes them; the path of the first."""
    writer = gguf.GGUFWriter(folder / "m.gguf", "qwen3", split_max_tensors=2)
    writer.add_block_count(1)
    for number in range(5):
        writer.add_tensor(f"t{number}", np.zeros((2, 32), np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    return folder / "m-00001-of-00003.gguf"


def test_all_parts_of_a_split_model_count(tmp_path: Path) -> None:
    facts = read_facts(split_model(tmp_path))
    assert facts.parameters == 5 * 64
    assert facts.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert [path.name for path in facts.further] == ["m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]


def test_a_split_model_needs_all_its_parts_whole_and_under_their_names(tmp_path: Path) -> None:
    first = split_model(tmp_path)
    with pytest.raises(InvalidFile, match="one of 3 parts"):
        read_facts(tmp_path / "m-00002-of-00003.gguf")
    last = tmp_path / "m-00003-of-00003.gguf"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(InvalidFile, match=r"00003-of-00003\.gguf` ends in the middle"):
        read_facts(first)
    last.unlink()
    with pytest.raises(InvalidFile, match=r"lacks its part `m-00003-of-00003\.gguf`"):
        read_facts(first)
    with pytest.raises(InvalidFile, match="one of 3 parts"):
        read_facts(first.rename(tmp_path / "renamed.gguf"))


def test_a_verdict_ends_with_a_change_of_any_part(tmp_path: Path) -> None:
    facts, tried = read_facts(split_model(tmp_path)), list[Path]()

    def trial(path: Path) -> None:
        tried.append(path)

    for change in (b"", b"", b"x"):
        facts.further[1].write_bytes(facts.further[1].read_bytes() + change)
        check_once(facts.path, tmp_path / "cache", "1", trial, facts.further[:1])
    assert len(tried) == 1
    facts.further[0].write_bytes(facts.further[0].read_bytes() + b"x")
    check_once(facts.path, tmp_path / "cache", "1", trial, facts.further[:1])
    assert len(tried) == 2
