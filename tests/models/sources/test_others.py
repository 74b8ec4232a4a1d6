from __future__ import annotations

import random
from pathlib import Path

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, QwenError, UsageError
from qwen3cli.models import catalog
from qwen3cli.models.reference import is_name
from qwen3cli.models.sources.found import Found, free_name
from qwen3cli.models.sources.others import choose, find_at, find_models, program_named
from tests.models.sources.elsewhere import WEIGHTS, cached, ollama_model, put, tree


def everywhere(home: Path) -> dict[str, str]:
    """A home in which every program has models, and its environment."""
    ollama_model(home / "ollama", "library/qwen3:8b", WEIGHTS + b"o")
    put(home / ".lmstudio" / "models" / "p" / "m" / "Qwen3-8B-Q4_K_M.gguf")
    cached(home / ".cache" / "huggingface" / "hub", "Qwen/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf")
    put(home / ".cache" / "llama.cpp" / "qwen3-8b.gguf")
    return {"OLLAMA_MODELS": str(home / "ollama")}


def test_all_programs_together_have_unique_names(tmp_path: Path) -> None:
    environ = everywhere(tmp_path)
    models, passed = find_models(None, environ, tmp_path)
    assert passed == []
    assert [(model.program, model.name) for model in models] == [
        ("ollama", "qwen3-8b"),
        ("lmstudio", "Qwen3-8B-Q4_K_M"),
        ("hf", "Qwen3-8B-Q4_K_M-hf"),
        ("llama.cpp", "qwen3-8b-llama.cpp"),
    ]


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    environ = everywhere(tmp_path)
    before = tree(tmp_path)
    for program in (None, "ollama", "lmstudio", "hf", "llama.cpp"):
        assert find_models(program, environ, tmp_path)[0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("ollama", "ollama"),
        ("Ollama", "ollama"),
        ("lmstudio", "lmstudio"),
        ("LM-Studio", "lmstudio"),
        ("llama.cpp", "llama.cpp"),
        ("llamacpp", "llama.cpp"),
        ("llama-cpp", "llama.cpp"),
        ("hf", "hf"),
        ("HuggingFace", "hf"),
        ("./ollama", None),
        ("qwen3:8b", None),
        ("", None),
    ],
)
def test_spellings_of_programs(text: str, program: str | None) -> None:
    assert program_named(text) == program


def model(reference: str, name: str) -> Found:
    return Found("ollama", name, reference, (Path("/x") / name,), 1)


MODELS = [
    model("qwen3:8b", "qwen3-8b"),
    model("qwen3:latest", "qwen3"),
    model("someone/tuned:q8", "tuned-q8"),
    model("Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-Q4_K_M"),
    model("Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q8_0.gguf", "Qwen3-8B-Q8_0"),
]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ("qwen3:8b", 0),
        ("QWEN3:8B", 0),
        ("qwen3-8b", 0),
        ("8b", 0),
        ("qwen3", 1),
        ("tuned", 2),
        ("tuned:q8", 2),
        ("someone/tuned", 2),
        ("Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q4_K_M.gguf", 3),
        ("qwen3-8b-q4_k_m", 3),
        ("Qwen3-8B-Q8_0.gguf", 4),
        ("Q8_0", 4),
        ("8b-q4_k_m", 3),
    ],
)
def test_a_model_is_chosen_by_reference_name_or_part(wanted: str, number: int) -> None:
    assert choose(MODELS, wanted, "Ollama") == MODELS[number]


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ("Qwen/Qwen3-8B-GGUF", UsageError, "could be `Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q4_K_M.gguf`, `"),
        ("qwen", UsageError, "could be"),
        ("gguf", UsageError, "could be"),
        ("q4_k_", ModelNotFound, "there is no"),
        ("qwen3-8", ModelNotFound, "there is no `qwen3-8` in Ollama"),
        (".*", ModelNotFound, "there is no"),
        ("", ModelNotFound, "there is no"),
        ("../x", ModelNotFound, "there is no"),
    ],
)
def test_what_names_none_or_several_is_said(wanted: str, error: type[QwenError], words: str) -> None:
    with pytest.raises(error) as caught:
        choose(MODELS, wanted, "Ollama")
    assert type(caught.value) is error
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("qwen3-8b", "qwen3-8b"),
        ("通义千问-8b", "ollama-8b"),
        ("30b-A3B", "ollama-30b-A3B"),
        ("demo", "ollama-demo"),
        ("con", "ollama-con"),
        ("con.x", "ollama-con.x"),
        ("", "ollama-model"),
        ("...", "ollama-model"),
        ("--help", "help"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\x1b[31mb\nc", "a-31mb-c"),
        ("x.gguf.GGUF", "x"),
        (".gguf", "gguf"),
        ("y" * 500, "y" * 80),
        ("taken", "taken-ollama"),
        ("Twice", "Twice-ollama-2"),
    ],
)
def test_names_are_made_safe(wanted: str, name: str) -> None:
    assert free_name(wanted, "ollama", {"taken", "twice", "twice-ollama"}) == name


def test_any_text_becomes_a_name() -> None:
    chance = random.Random(4)
    taken: set[str] = set()
    for _ in range(3_000):
        letters = chance.choices("aB0.-_/\\ :\x00\x1b\n é千\udc80", k=chance.randrange(12))
        name = free_name("".join(letters) + chance.choice(["", ".gguf", ".GGUF."]), "llama.cpp", taken)
        assert is_name(name)
        assert name.lower() not in {*taken, "demo", *catalog.FAMILY}
        taken.add(name.lower())


def test_a_path_is_a_file_a_folder_or_the_folder_of_a_program(tmp_path: Path) -> None:
    environ = everywhere(tmp_path)
    file = put(tmp_path / "mine" / "deep" / "er" / "Own.gguf")
    (one,), _ = find_at(file)
    assert (one.name, one.reference, one.source, one.files) == ("Own", "Own.gguf", str(file), (file,))
    (one,), _ = find_at(tmp_path / "mine")
    assert (one.reference, one.files) == ("deep/er/Own.gguf", (file,))
    for path, program in (
        (Path(environ["OLLAMA_MODELS"]), "ollama"),
        (tmp_path / ".cache/huggingface/hub", "hf"),
    ):
        (one,), _ = find_at(path)
        assert one.program == program
    blob = next((tmp_path / "ollama" / "blobs").iterdir())
    assert find_at(blob)[0][0].files == (blob,)


def test_any_part_stands_for_the_whole_model(tmp_path: Path) -> None:
    parts = tuple(put(tmp_path / f"Big-0000{number}-of-00003.gguf") for number in (1, 2, 3))
    put(tmp_path / "Big-00001-of-00002.gguf")
    put(tmp_path / "Other-00001-of-00003.gguf")
    for part in parts:
        (one,), _ = find_at(part)
        assert (one.files, one.name) == (parts, "Big")
    parts[1].unlink()
    with pytest.raises(InvalidFile, match="of its 3 parts, 2 are there"):
        find_at(parts[0])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mmproj-x.gguf", WEIGHTS, "goes with a model"),
        ("x.bin", WEIGHTS, "does not end in `.gguf`"),
        ("x.gguf", b"GGU", "is no GGUF file"),
        ("x.gguf", b"", "is no GGUF file"),
    ],
)
def test_files_that_are_no_models_are_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(InvalidFile, match=words):
        find_at(put(tmp_path / name, content))


def test_a_folder_of_too_many_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3cli.models.sources.looking.MOST", 3)
    for number in range(5):
        put(tmp_path / f"{number}.gguf")
    assert "not all were looked at" in find_at(tmp_path)[1][0]
