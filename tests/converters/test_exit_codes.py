"""What the program makes of the converters' errors: a sentence and an exit code, never a traceback, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.converters.adapters import lora, make_adapter
from tests.converters.breakages import (
    NORM,
    WEIGHTS,
    Breakage,
    config,
    content,
    cut,
    header,
    one,
    remove,
    tensors,
)
from tests.converters.checkpoints import Model, Stored, encode, make_checkpoint, random_floats

MODEL = Model(layers=1)


def nan(folder: Path) -> None:
    numbers = random_floats((64,), 1) * float("nan")
    tensors(lambda made: made.update({NORM: Stored(encode(numbers, "BF16"), "BF16")}))(folder)


BROKEN: dict[str, Breakage] = {
    "no config": remove("config.json"),
    "another architecture": config(architectures=["LlamaForCausalLM"]),
    "a context of 41 bits": config(
        rope_scaling={"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 1 << 40}
    ),
    "no weights": remove(WEIGHTS),
    "weights cut off": cut(WEIGHTS, -1),
    "a header of nonsense": content(WEIGHTS, b"\xff" * 64),
    "an overlap": header(lambda value: value[NORM].update(data_offsets=[0, 128])),
    "numbers of 4,000 digits": one(NORM, data_offsets=[10**4000, 10**4000 + 128]),
    "AWQ": config(quantization_config={"quant_method": "awq"}),
    "NaN": nan,
}


@pytest.mark.parametrize(
    ("name", "place"), [*((name, "-o") for name in BROKEN), ("NaN", "--as"), ("no weights", "--as")]
)
def test_an_invalid_checkpoint_is_four(name: str, place: str, qwen3: Run, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", MODEL)
    BROKEN[name](folder)
    check(qwen3, tmp_path, 4, str(folder), place, str(tmp_path / "out.gguf") if place == "-o" else "broken")


def test_what_is_given_beside_it_is_four_too(qwen3: Run, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", MODEL)
    adapter = make_adapter(tmp_path / "lora", lora("model.layers.7.mlp.up_proj", (96, 64), 4))
    (tmp_path / "imatrix").write_bytes(b"no matrix")
    output = str(tmp_path / "out.gguf")
    check(qwen3, tmp_path, 4, str(folder), "-o", output, "--adapter", str(adapter))
    check(qwen3, tmp_path, 4, str(folder), "-o", output, "--imatrix", str(tmp_path / "imatrix"))
    check(qwen3, tmp_path, 4, "./" + "x" * 300, "-o", output)


def test_a_type_that_cannot_be_is_two(qwen3: Run, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", Model(layers=1, hidden=256))
    output = str(tmp_path / "out.gguf")
    check(qwen3, tmp_path, 2, str(folder), "-o", output, "-q", "q9_9")
    check(qwen3, tmp_path, 2, str(folder), "-o", output, "--embedding-type", "iq2_xxs")
    check(qwen3, tmp_path, 2, str(folder), "-o", output, "-q", "iq2_xxs")


def check(qwen3: Run, folder: Path, code: int, *arguments: str) -> None:
    home = folder / "home"
    before = {path for path in folder.rglob("*") if home not in (path, *path.parents)}
    done = qwen3("convert", *arguments, env={"QWEN3_HOME": str(home)})
    first, *further = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert first.startswith("error: ")
    assert all(line.startswith("hint: ") for line in further)
    assert {path for path in folder.rglob("*") if home not in (path, *path.parents)} == before
    assert not [path for path in home.rglob("*") if path.is_file() and path.name != ".lock"]
