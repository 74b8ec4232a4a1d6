"""The conversion as a whole: progress, threads, and a file that is whole or absent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import converters.writer
from converters import OutputError, Progress, RecipeError, convert, find_recipe
from converters.entries import Entries
from converters.ggml import TYPE_BY_NAME
from converters.header import read_header
from converters.writer import OutputFile, PlacedTensor, pack_header
from tests.converters.checkpoints import (
    Model,
    Stored,
    make_checkpoint,
    make_tensors,
    write_raw_safetensors,
)

ROOT = Path(__file__).resolve().parents[2]


class Usage(NamedTuple):
    """What shutil.disk_usage returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "tiny", Model())


def left(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir()} - {"tiny"}


def test_the_result_tells_the_facts(checkpoint: Path, tmp_path: Path) -> None:
    done = convert(checkpoint, tmp_path / "out.gguf", "Q8_0")
    assert done.path == tmp_path / "out.gguf"
    assert done.bytes == done.path.stat().st_size
    assert (done.tensors, done.parameters, done.notices) == (24, 104_384, ())
    assert left(tmp_path) == {"out.gguf"}


def test_progress_ends_at_the_total_and_never_falls_back(checkpoint: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    convert(checkpoint, tmp_path / "out.gguf", "f32", progress=seen.append, threads=3)
    header = read_header(tmp_path / "out.gguf")
    assert [one.bytes_done for one in seen] == sorted(one.bytes_done for one in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total == sum(tensor.nbytes for tensor in header.tensors)
    assert seen[-1].tensors_done == seen[-1].tensors_total == 24
    assert [one.tensor for one in seen] == [tensor.name for tensor in header.tensors]


def test_threads_and_small_pieces_make_no_difference(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(checkpoint, tmp_path / "one.gguf", "q8_0", threads=1)
    monkeypatch.setattr("converters.stream.PIECE_ELEMENTS", 200)
    convert(checkpoint, tmp_path / "many.gguf", "q8_0", threads=7)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "many.gguf").read_bytes()


def test_weights_at_odd_addresses_are_read(tmp_path: Path) -> None:
    model = Model(layers=1)
    checkpoint = make_checkpoint(tmp_path / "tiny", model)
    convert(checkpoint, tmp_path / "even.gguf", "q8_0")
    header: dict[str, object] = {}
    data = b""
    odd = {"odd.rotary_emb.inv_freq": Stored(np.zeros(1, np.uint8), "U8")}
    for name, stored in {**odd, **make_tensors(model)}.items():
        offsets = [len(data), len(data) + stored.data.nbytes]
        header[name] = {"dtype": stored.dtype, "shape": list(stored.data.shape), "data_offsets": offsets}
        data += stored.data.tobytes()
    write_raw_safetensors(checkpoint / "model.safetensors", header, data)
    convert(checkpoint, tmp_path / "odd.gguf", "q8_0")
    assert (tmp_path / "even.gguf").read_bytes() == (tmp_path / "odd.gguf").read_bytes()


def test_an_existing_output_is_replaced_only_by_a_whole_one(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    output.write_bytes(b"GGUF, an old one")

    def interrupt(progress: Progress) -> None:
        if progress.tensors_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(checkpoint, output, "f16", progress=interrupt)
    assert output.read_bytes() == b"GGUF, an old one"
    assert left(tmp_path) == {"out.gguf"}
    convert(checkpoint, output, "f16")
    assert read_header(output).quantization == "F16"


def test_a_link_stays_a_link(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.gguf").symlink_to(tmp_path / "real" / "out.gguf")
    convert(checkpoint, tmp_path / "link.gguf", "f16")
    assert (tmp_path / "link.gguf").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.gguf"]


def test_no_room_is_said_before_writing_with_both_figures(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: Path) -> Usage:
        return Usage(10**9, 10**9 - 1_000_000, 1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(OutputError, match=r"needs 2 MB, and the disk has 1 MB free") as caught:
        convert(checkpoint, tmp_path / "out.gguf", "f32")
    assert caught.value.missing_bytes == 424_384 + (1 << 20) - 1_000_000
    assert left(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    pwrite = os.pwrite
    calls = iter(range(1000))

    def until_full(descriptor: int, data: memoryview, offset: int) -> int:
        return pwrite(descriptor if next(calls) < 10 else full, data, offset)

    monkeypatch.setattr(converters.writer.os, "pwrite", until_full)
    with pytest.raises(OutputError, match=r"takes 1 MB and .* No space left") as caught:
        convert(checkpoint, tmp_path / "out.gguf", "f32")
    os.close(full)
    assert caught.value.missing_bytes
    assert left(tmp_path) == set()


def test_an_output_that_cannot_be_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        convert(checkpoint, tmp_path / "absent" / "out.gguf", "f16")
    with pytest.raises(OutputError, match="is not a file"):
        convert(checkpoint, checkpoint, "f16")
    with pytest.raises(OutputError, match="is a file of the checkpoint"):
        convert(checkpoint, checkpoint / "model.safetensors", "f16")
    assert read_header_of_weights(checkpoint) > 0
    before = (checkpoint / "tokenizer.json").read_bytes()
    with pytest.raises(OutputError, match="is no GGUF file"):
        convert(checkpoint, checkpoint / "tokenizer.json", "f16")
    assert (checkpoint / "tokenizer.json").read_bytes() == before


def read_header_of_weights(checkpoint: Path) -> int:
    return int.from_bytes((checkpoint / "model.safetensors").read_bytes()[:8], "little")


@pytest.mark.skipif(os.name == "nt", reason="modes of folders")
def test_a_folder_without_rights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() == 0:  # Modes do not bind root, but nobody can make a file there.
        locked = Path("/proc/self")
    with pytest.raises(OutputError, match="cannot be written"):
        convert(checkpoint, locked / "out.gguf", "f16")


def test_two_conversions_to_one_file_do_not_mix(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"

    def second(_: Progress) -> None:
        with pytest.raises(OutputError, match="being written by another"):
            convert(checkpoint, output, "f16")

    convert(checkpoint, output, "f32", progress=second)
    assert read_header(output).quantization == "F32"
    assert left(tmp_path) == {"out.gguf"}


def test_a_killed_conversion_is_taken_over(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    script = f"""
from pathlib import Path
from typing import NamedTuple
from converters import convert
def hang(progress):
    if progress.tensors_done == 3:
        print("here", flush=True)
        __import__("time").sleep(60)
convert(Path({str(checkpoint)!r}), Path({str(output)!r}), "f32", progress=hang)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        child.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    assert left(tmp_path) == {".out.gguf.partial"}
    convert(checkpoint, output, "f16")
    assert left(tmp_path) == {"out.gguf"}
    assert read_header(output).quantization == "F16"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from typing import NamedTuple
from converters import convert
def slow(progress):
    print("here", flush=True)
    __import__("time").sleep(60)
convert(Path({str(checkpoint)!r}), Path({str(tmp_path / "out.gguf")!r}), "f32", progress=slow)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05)
        child.send_signal(signal.SIGINT)
    assert child.returncode != 0
    assert left(tmp_path) == set()


def test_recipes_are_found_in_any_case_and_others_refused() -> None:
    assert find_recipe("q8_0") is find_recipe(" Q8_0 ")
    assert find_recipe("bf16").file_type == 32
    with pytest.raises(RecipeError, match="`q9_z`") as caught:
        find_recipe("q9_z")
    assert "Q8_0" in (caught.value.hint or "")


def test_matrices_that_do_not_divide_are_said(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "tiny", Model(layers=1, feed_forward=80))
    (notice,) = convert(checkpoint, tmp_path / "out.gguf", "q8_0").notices
    assert notice == "1 tensors become F16 instead of Q8_0: their rows of 80 are no multiple of 32"


def test_broken_companions_are_left_out_and_said(tmp_path: Path) -> None:
    files = {
        "README.md": "---\nlicense: [\n---\n",
        "generation_config.json": '{"top_k": "many", "temperature": 0.5}',
    }
    checkpoint = make_checkpoint(tmp_path / "tiny", Model(layers=1, files=files))
    sampling, card = convert(checkpoint, tmp_path / "out.gguf", "f16").notices
    assert "`top_k`" in sampling
    assert "README.md" in card
    metadata = read_header(tmp_path / "out.gguf").metadata
    assert "general.sampling.top_k" not in metadata
    assert metadata["general.sampling.temp"] == 0.5
    assert "general.license" not in metadata


@pytest.mark.parametrize(
    "front",
    [
        "license: 5\ntags: [1, two, null, [3]]",
        "version: 1.5\nbase_model: [{name: a}, b/c]",
        "just text",
        "- a\n- b",
    ],
)
def test_odd_model_cards_do_not_stop_a_conversion(front: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(
        tmp_path / "tiny", Model(layers=1, files={"README.md": f"---\n{front}\n---\n"})
    )
    convert(checkpoint, tmp_path / "out.gguf", "f16")
    assert read_header(tmp_path / "out.gguf").name == "Tiny"


def test_a_header_we_write_is_one_we_read(tmp_path: Path) -> None:
    entries = Entries()
    entries.text("general.architecture", "qwen3")
    entries.text("surrogate", "a\ud800b")
    entries.text("left out", "")
    tensor = PlacedTensor("t", (2, 32), TYPE_BY_NAME["Q8_0"], 0, 68)
    with OutputFile(tmp_path / "out.gguf", 1000) as file:
        header = pack_header(entries, [tensor])
        file.write(header, 0)
        file.commit()
    read = read_header(tmp_path / "out.gguf")
    assert read.metadata == {"general.architecture": "qwen3", "surrogate": "a?b"}
    assert (read.tensors[0].shape, read.data_offset) == ((32, 2), len(header))


def test_importing_is_light() -> None:
    script = """
import sys, converters, converters.header
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "gguf", "llama_cpp", "yaml"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def zeros(shape: tuple[int, ...], _: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anonymous memory, that is without memory-mapped file pages: 1.5 MB of weights against 40."""
    monkeypatch.setattr("tests.converters.checkpoints.random_floats", zeros)
    script = """
import sys
from pathlib import Path
from typing import NamedTuple
from converters import convert
peak = 0
def watch(progress):
    global peak
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = max(peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
convert(Path(sys.argv[1]), Path(sys.argv[1] + ".gguf"), "q8_0", progress=watch, threads=2)
print(peak)
"""
    peaks: list[int] = []
    for name, layers in (("small", 1), ("large", 30)):
        folder = make_checkpoint(tmp_path / name, Model(layers=layers, hidden=256, feed_forward=768))
        run = [sys.executable, "-c", script, str(folder)]
        peaks.append(int(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] < peaks[0] + 8 * 1024, peaks


def test_the_name_that_a_person_or_the_hub_gave_tells_a_base_model(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Qwen--Qwen3-Base" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    make_checkpoint(snapshot, Model(layers=1))
    (tmp_path / "Qwen3-Base").symlink_to(snapshot)
    for number, source in enumerate((snapshot, tmp_path / "Qwen3-Base")):
        convert(source, tmp_path / f"{number}.gguf", "f16")
        header = read_header(tmp_path / f"{number}.gguf")
        assert header.name == "Qwen3 Base"
