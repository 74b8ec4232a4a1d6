"""`qwen3 convert` on the real program: the plan, types, importance matrix, adapter, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from converters.header import read_header
from tests.conftest import Run
from tests.converters.adapters import lora, make_adapter
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.imatrices import write_dat, write_gguf

MODEL = Model(layers=9, hidden=256, feed_forward=256, heads=4, kv_heads=2, head=64, tied=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "Tiny", MODEL)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_plan_is_what_is_written(qwen3: Run, checkpoint: Path, tmp_path: Path) -> None:
    wanted = (str(checkpoint), "-q", "q4_k_m", "-o", str(tmp_path / "out.gguf"))
    plan = qwen3("convert", *wanted, "--dry-run", "--json")
    assert (plan.returncode, plan.stderr, list(tmp_path.iterdir())) == (0, "", [])
    (planned,) = events(plan.stdout)
    assert qwen3("convert", *wanted).returncode == 0
    header = read_header(tmp_path / "out.gguf")
    assert header.file_size == planned["bytes"] == planned["disk_bytes"]
    assert header.parameters == planned["parameters"]
    assert header.bytes_by_type == {name: one["bytes"] for name, one in planned["types"].items()}
    assert (
        sum(one["tensors"] for one in planned["types"].values()) == planned["tensors"] == len(header.tensors)
    )
    bits = 8 * sum(header.bytes_by_type.values()) / header.parameters
    assert planned["bits_per_weight"] == round(bits, 4)
    assert planned["memory_bytes"] > 40e6
    assert planned["disk_free_bytes"] > 0


def test_a_plan_refuses_what_the_conversion_would(qwen3: Run, checkpoint: Path, tmp_path: Path) -> None:
    base = ("convert", str(checkpoint), "--dry-run")
    for mistake, code, words in (
        (("--as", "a/b"), 2, "cannot name a model"),
        (("--as", "a", "-o", "b.gguf"), 2, "exclude each other"),
        (("-o", str(tmp_path / "absent" / "b.gguf")), 1, "does not exist"),
        (("-o", str(checkpoint / "model.safetensors")), 1, "is a file of the checkpoint"),
    ):
        done = qwen3(*base, *mistake)
        assert (done.returncode, done.stdout) == (code, ""), mistake
        assert words in done.stderr


def test_what_goes_in_is_never_written_over(qwen3: Run, checkpoint: Path, tmp_path: Path) -> None:
    imatrix = write_gguf(tmp_path / "im.gguf", MODEL)
    before = imatrix.read_bytes()
    (tmp_path / "link.gguf").symlink_to(imatrix)
    for output in ("im.gguf", "link.gguf"):
        wanted = ("-q", "iq2_xs", "--imatrix", "im.gguf", "-o", output)
        done = qwen3("convert", str(checkpoint), *wanted, cwd=tmp_path)
        assert done.returncode == 1
        assert "is the importance matrix" in done.stderr
        assert imatrix.read_bytes() == before


def test_a_plan_for_people_needs_no_target(qwen3: Run, checkpoint: Path) -> None:
    done = qwen3("convert", str(checkpoint), "-q", "Q3_K_L", "--dry-run")
    assert done.returncode == 0
    for word in ("Q3_K", "Q5_K", "Q6_K", "F32", "TENSORS", "bits per weight", "memory", "disk", "free"):
        assert word in done.stdout, word


def test_progress_tells_bytes_tensors_rate_and_time_left(
    qwen3: Run, checkpoint: Path, tmp_path: Path
) -> None:
    done = qwen3("convert", str(checkpoint), "-o", str(tmp_path / "o.gguf"), "-q", "iq4_xs", "--json")
    *progress, last = events(done.stdout)
    assert last["event"] == "done"
    assert all(one["event"] == "progress" for one in progress)
    end = progress[-1]
    assert (end["bytes"], end["tensors"]) == (end["total"], end["tensors_total"])
    assert all(one["bytes_per_s"] > 0 for one in progress if one["left_s"] is not None)
    assert end["left_s"] in (0, None)  # None where it was over at once.
    assert len(progress) < 9 * 11  # Told ten times a second, not for each piece.


@pytest.mark.parametrize("write", [write_gguf, write_dat])
def test_an_importance_matrix_opens_the_small_types(
    write: Any, qwen3: Run, checkpoint: Path, tmp_path: Path
) -> None:
    wanted = ("convert", str(checkpoint), "-o", str(tmp_path / "o.gguf"), "-q", "IQ2_XS")
    refused = qwen3(*wanted)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "blk.0.attn_k.weight" in refused.stderr
    assert "--imatrix" in refused.stderr
    imatrix = write(tmp_path / "imatrix", MODEL)
    assert qwen3(*wanted, "--imatrix", str(imatrix)).returncode == 0
    header = read_header(tmp_path / "o.gguf")
    assert header.quantization == "IQ2_XS"
    assert header.text("quantize.imatrix.file") == str(imatrix)


def test_overrides_and_their_mistakes(qwen3: Run, checkpoint: Path, tmp_path: Path) -> None:
    base = ("convert", str(checkpoint), "-o", str(tmp_path / "o.gguf"), "-q", "q4_0")
    types = ("--tensor-type", "attn_v=q8_0", "--output-type", "F16", "--embedding-type", "q5_1")
    assert qwen3(*base, *types).returncode == 0
    found = {tensor.name: tensor.type_name for tensor in read_header(tmp_path / "o.gguf").tensors}
    assert {kind for name, kind in found.items() if "attn_v" in name} == {"Q8_0"}
    assert (found["output.weight"], found["token_embd.weight"]) == ("F16", "Q5_1")
    for mistake, words in (
        (("--tensor-type", "attn_v"), "says no type"),
        (("--tensor-type", "attn_v=q9"), "no tensor type `q9`"),
        (("--tensor-type", "attn_(=q8_0"), "is no pattern"),
        (("--tensor-type", "attn_x=q8_0"), "decides about no tensor"),
        (("--tensor-type", "attn=q5_0", "--tensor-type", "attn_v=q8_0"), "`attn_v` decides about no tensor"),
        (("--tensor-type", "attn_v=q5_0", "--tensor-type", "attn_v=q8_0"), "decides about no tensor"),
        (("--tensor-type", "a{99999999999999}=q8_0"), "is no pattern"),
        (("--tensor-type", "(" * 3000 + "=q8_0"), "is no pattern"),
        (("--tensor-type", "[[:digit:]]=q8_0"), "is no pattern"),
        (("--output-type", ""), "no tensor type ``"),
        (("-q", "bf16", "--tensor-type", "attn_v=q8_0"), "does not take types"),
    ):
        done = qwen3(*base, *mistake)
        assert done.returncode == 2, mistake
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_an_adapter_is_merged(qwen3: Run, checkpoint: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "rhymes", lora("model.layers.3.mlp.up_proj", (256, 256), 4))
    base = ("convert", str(checkpoint), "-q", "f32", "-o")
    assert qwen3(*base, str(tmp_path / "plain.gguf")).returncode == 0
    assert qwen3(*base, str(tmp_path / "merged.gguf"), "--adapter", str(adapter)).returncode == 0
    plain, merged = (read_header(tmp_path / f"{name}.gguf") for name in ("plain", "merged"))
    assert merged.name == "Tiny + rhymes"
    changed = [
        tensor.name
        for tensor, other in zip(plain.tensors, merged.tensors, strict=True)
        if plain.path.read_bytes()[tensor.offset :][: tensor.nbytes]
        != merged.path.read_bytes()[other.offset :][: other.nbytes]
    ]
    assert changed == ["blk.3.ffn_up.weight"]
    missing = qwen3(*base, str(tmp_path / "x.gguf"), "--adapter", str(tmp_path / "nowhere"))
    assert missing.returncode == 4
    assert "nowhere" in missing.stderr


def test_a_checkpoint_on_a_hub_that_cannot_be_reached(qwen3: Run, tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9"}

    def convert(reference: str) -> subprocess.CompletedProcess[str]:
        return qwen3("convert", reference, "-o", "out.gguf", cwd=tmp_path, env=nowhere)

    # Most of it is waiting for another try.
    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(convert, ("Qwen/Qwen3-0.6B", "0.6b", "ms://Qwen/Qwen3-8B", "someone/Some-Model"))
    for done in runs:
        assert done.returncode == 5, done.stderr
        assert "ModelScope gives no listing" in done.stderr
    assert not list(tmp_path.iterdir())


def test_nonfinite_weights_are_refused_unless_allowed(qwen3: Run, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "Nan", Model(layers=1))
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-2:] = b"\xc0\x7f"
    path.write_bytes(raw)
    base = ("convert", str(folder), "-o", str(tmp_path / "o.gguf"))
    done = qwen3(*base)
    assert done.returncode == 4
    assert "down_proj" in done.stderr
    assert "--allow-nonfinite" in done.stderr
    assert not (tmp_path / "o.gguf").exists()
    allowed = qwen3(*base, "--allow-nonfinite")
    assert allowed.returncode == 0
    assert "NaN" in allowed.stderr


NEARLY_FULL = """
import shutil, sys
from collections import namedtuple
from qwen3cli.cli import main

usage = namedtuple("usage", "total used free")(1 << 30, 1 << 30, 1000)
shutil.disk_usage = lambda path: usage
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("place", "named", "way_out"),
    [
        (["--as", "X"], "`X` needs", " MB, or set `QWEN3_HOME`\n"),
        (["-o", "x.gguf"], "x.gguf` needs", " MB, or write elsewhere with -o\n"),
    ],
)
def test_a_full_disk_gets_the_hint_that_helps(
    environ: dict[str, str], checkpoint: Path, tmp_path: Path, place: list[str], named: str, way_out: str
) -> None:
    command = [sys.executable, "-c", NEARLY_FULL, "convert", str(checkpoint), *place]
    home = environ | {"QWEN3_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=home, cwd=tmp_path)
    assert done.returncode == 6
    assert named in done.stderr
    assert "unfinished" not in done.stderr
    assert done.stderr.endswith(way_out)
