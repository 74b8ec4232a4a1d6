from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3cli.models.sources.others import find_models
from tests.models.sources.elsewhere import WEIGHTS, put

FOLDER = "lmstudio-community/Qwen3-8B-GGUF"


def references(home: Path) -> list[str]:
    return [model.reference for model in find_models("lmstudio", {}, home)[0]]


def test_a_model_is_known_by_its_path(tmp_path: Path) -> None:
    path = put(tmp_path / ".lmstudio" / "models" / FOLDER / "Qwen3-8B-Q4_K_M.gguf")
    (model,), passed = find_models("lmstudio", {}, tmp_path)
    assert passed == []
    assert (model.reference, model.name) == (f"{FOLDER}/Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-Q4_K_M")
    assert (model.files, model.size, model.source) == ((path,), len(WEIGHTS), str(path))


def test_shards_are_one_model_and_a_set_with_a_gap_is_said(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / FOLDER
    for number in (2, 1, 3):
        put(folder / f"Big-Q8_0-0000{number}-of-00003.gguf")
    for number in (1, 3):
        put(folder / f"Gap-0000{number}-of-00003.gguf")
    (model,), passed = find_models("lmstudio", {}, tmp_path)
    assert (model.name, model.size) == ("Big-Q8_0", 3 * len(WEIGHTS))
    assert [path.name[9:14] for path in model.files] == ["00001", "00002", "00003"]
    assert passed == [
        f"`{FOLDER}/Gap-00001-of-00003.gguf` of LM Studio is passed over: of its 3 parts, 2 are there"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "mmproj-Qwen3-VL-F16.gguf",
        "Qwen3-VL.mmproj-f16.gguf",
        "Qwen3.imatrix.gguf",
        "mtp-Qwen3.gguf",
        "eagle3-Qwen3.gguf",
        "dflash-Qwen3.gguf",
        "dspark-Qwen3.gguf",
        "README.md",
        "model.safetensors",
        "Qwen3.gguf.part",
    ],
)
def test_what_goes_with_a_model_is_none(tmp_path: Path, name: str) -> None:
    put(tmp_path / ".lmstudio" / "models" / FOLDER / name)
    assert find_models("lmstudio", {}, tmp_path) == ([], [])


def test_the_folders_of_today_and_of_before(tmp_path: Path) -> None:
    put(tmp_path / ".lmstudio" / "models" / "p" / "m" / "new.gguf")
    put(tmp_path / ".cache" / "lm-studio" / "models" / "p" / "m" / "old.gguf")
    assert references(tmp_path) == ["p/m/new.gguf", "p/m/old.gguf"]


def test_folders_that_a_person_has_moved(tmp_path: Path) -> None:
    put(tmp_path / "disk" / "p" / "m" / "moved.gguf")
    put(tmp_path / "other" / "models" / "p" / "m" / "pointed.gguf")
    settings = {"downloadsFolder": str(tmp_path / "disk")}
    put(tmp_path / ".lmstudio" / "settings.json", json.dumps(settings).encode())
    put(tmp_path / ".lmstudio-home-pointer", f"{tmp_path / 'other'}\n".encode())
    assert references(tmp_path) == ["p/m/pointed.gguf", "p/m/moved.gguf"]


def test_one_folder_under_two_names_is_looked_into_once(tmp_path: Path) -> None:
    put(tmp_path / ".lmstudio" / "models" / "p" / "m" / "new.gguf")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "lm-studio").symlink_to(tmp_path / ".lmstudio")
    assert references(tmp_path) == ["p/m/new.gguf"]


@pytest.mark.parametrize("settings", [b"", b"[1]", b"{}", b'{"downloadsFolder": 5}', b"\xff", b"[" * 100_000])
def test_settings_that_make_no_sense_are_none(tmp_path: Path, settings: bytes) -> None:
    put(tmp_path / ".lmstudio" / "settings.json", settings)
    put(tmp_path / ".lmstudio" / "models" / "p" / "m" / "a.gguf")
    assert references(tmp_path) == ["p/m/a.gguf"]
