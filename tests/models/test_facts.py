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


def is_base(folder: Path, file: str, name: str, finetune: str) -> bool:
    """Of a file with a chat template, which base models ship, too."""
    writer = gguf.GGUFWriter(folder / file, "qwen3")
    writer.add_chat_template("{{ messages }}")
    for add, value in ((writer.add_name, name), (writer.add_finetune, finetune)):
        if value:
            add(value)
    writer.add_tensor("t", np.zeros((2, 32), np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    facts = read_facts(folder / file, thinking=lambda _: "hybrid")
    assert facts.thinking == ("never" if facts.base else "hybrid")
    return facts.base


@pytest.mark.parametrize(
    ("file", "name", "finetune"),
    [
        ("m.gguf", "m", "Base"),
        ("m.gguf", "m", "base-i1"),
        ("m.gguf", "m", "30b-Base"),
        ("m.gguf", "Qwen3-8B-Base", ""),
        ("m.gguf", "Qwen3 0.6B Base", ""),
        ("m.gguf", "Qwen3 30B A3B Base", ""),
        ("Qwen3-8B-Base-UD-Q4_K_XL.gguf", "m", ""),
        ("Qwen_Qwen3-30B-A3B-Base-IQ3_XXS.gguf", "m", ""),
        ("Qwen3-8B-Base.i1-Q4_K_M.gguf", "", ""),
        ("qwen3_8b_base_q4_k_m.gguf", "", ""),
    ],
)
def test_a_base_model_is_known_as_the_family_writes_it(
    tmp_path: Path, file: str, name: str, finetune: str
) -> None:
    assert is_base(tmp_path, file, name, finetune)


@pytest.mark.parametrize(
    ("file", "name", "finetune"),
    [
        ("knowledge-base-8b-Q8_0.gguf", "knowledge-base-8b", ""),
        ("Qwen3-8B-knowledge-base-Q8_0.gguf", "Qwen3 8B Knowledge Base", "knowledge-base"),
        ("base-camp-4b.gguf", "my base", ""),
        ("mine-base.gguf", "Base", ""),
        ("Qwen3-8B-Base-SFT-Q8_0.gguf", "Qwen3 8B Base SFT", ""),
        ("m.gguf", "m", "Base-SFT"),
        ("Qwen3-8B-Base-Q8_0.gguf", "Qwen3-8B-Base", "Instruct"),
    ],
)
def test_the_word_base_alone_makes_no_base_model(tmp_path: Path, file: str, name: str, finetune: str) -> None:
    assert not is_base(tmp_path, file, name, finetune)


def test_a_name_of_any_length_is_judged_at_once(tmp_path: Path) -> None:
    for piece in ("8b-", "-8b-base", "_q4", "-q4_0", "a3b-8b-", "base-q4_q4-"):
        assert not is_base(tmp_path, "m.gguf", "8b-base" + piece * 15_000 + "!", "")
        assert not is_base(tmp_path, "n.gguf", "m", "8b-" + piece * 15_000 + "!")


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
