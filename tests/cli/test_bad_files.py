"""Bad files at the command line: one sentence, the reason, the exit code, nothing left behind."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.ggufs import ARRAY, U64, entry, gguf, tensor


def patched(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    content = source.read_bytes()
    assert old in content
    assert len(old) == len(new)
    target.write_bytes(content.replace(old, new))
    return target


def blocks(count: int) -> bytes:
    return b"qwen3.block_count" + struct.pack("<II", 4, count)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_an_unknown_architecture_gets_the_engines_reason(qwen3: Run, tiny_gguf: Path, tmp_path: Path) -> None:
    strange = patched(tiny_gguf, tmp_path / "strange.gguf", b"qwen3", b"qwenx")
    refused(qwen3("chat", str(strange), "hi"), 4, "strange.gguf", "unknown model architecture")


def test_a_file_that_makes_llama_cpp_abort_is_caught_in_a_child(
    qwen3: Run, tiny_gguf: Path, tmp_path: Path
) -> None:
    hostile = patched(tiny_gguf, tmp_path / "hostile.gguf", blocks(2), blocks(100_000))
    refused(qwen3("chat", str(hostile), "hi"), 4, "hostile.gguf")


def test_a_truncated_file_is_refused(qwen3: Run, tiny_gguf: Path, tmp_path: Path) -> None:
    whole = tiny_gguf.read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 2])
    refused(qwen3("chat", str(tmp_path / "half.gguf"), "hi"), 4, "half.gguf")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("huge-array", gguf([entry("x", ARRAY, struct.pack("<IQ", 4, 2**60))])),
        ("nested", gguf([entry("x", ARRAY, struct.pack("<IQ", ARRAY, 1) * 5000 + struct.pack("<IQ", 4, 0))])),
        ("past-the-end", gguf(tensors=[tensor("t", (32, 32), offset=2**40)], data=64)),
        ("zero-alignment", gguf([entry("general.alignment", 4, struct.pack("<I", 0))])),
        ("unknown-version", gguf(version=99)),
        ("many-keys", gguf(entry_count=2**62)),
        ("no-model", gguf([entry("x", U64, struct.pack("<Q", 1))])),
    ],
)
def test_hostile_headers_are_refused(qwen3: Run, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / f"{name}.gguf").write_bytes(content)
    refused(qwen3("chat", str(tmp_path / f"{name}.gguf"), "hi"), 4, name)
    refused(qwen3("show", str(tmp_path / f"{name}.gguf")), 4, name)


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def other_architecture(folder: Path) -> None:
    edit(folder / "config.json", architectures=["MambaForCausalLM"])


def missing_shard(folder: Path) -> None:
    next(folder.glob("model-00002*")).unlink()


def wrong_shape(folder: Path) -> None:
    edit(folder / "config.json", intermediate_size=128)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (without_config, ["config.json"]),
        (other_architecture, ["MambaForCausalLM", "Qwen3ForCausalLM"]),
        (missing_shard, ["model-00002"]),
        (wrong_shape, ["mlp", "128", "96"]),
    ],
)
def test_bad_checkpoints_are_refused(
    qwen3: Run, tmp_path: Path, harm: Callable[[Path], None], words: list[str]
) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint", Model(shards=2))
    harm(folder)
    refused(qwen3("convert", str(folder), "-o", str(tmp_path / "out.gguf")), 4, *words)
    assert not (tmp_path / "out.gguf").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_unknown_quantization_lists_what_there_is(qwen3: Run, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint", Model())
    refused(qwen3("convert", str(folder), "-o", str(tmp_path / "o.gguf"), "-q", "q9"), 2, "q9", "Q8_0")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
def test_too_little_memory_is_a_sentence(environ: dict[str, str]) -> None:
    """The process may map 1.5 GB more or less; a context of 4 million tokens does not fit that."""
    shell = f"ulimit -v 1500000; {sys.executable} -m qwen3cli chat demo hi --no-think --ctx 4000000"
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=environ, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith("error: ")
    assert "memory" in done.stderr


def test_a_base_model_completes_text_and_says_so(qwen3: Run, tmp_path: Path) -> None:
    home = {"QWEN3_HOME": str(tmp_path / "home")}
    folder = make_checkpoint(tmp_path / "Qwen3-0.6B-Base", Model())
    assert qwen3("convert", str(folder), "--as", "mine", "-q", "f32", env=home).returncode == 0
    done = qwen3("chat", "mine", "Once", "--max-tokens", "3", env=home)
    assert done.returncode == 0, done.stderr
    assert "base model" in done.stderr
    refused_toggle = qwen3("chat", "mine", "Once", "--think", env=home)
    assert refused_toggle.returncode == 2, refused_toggle.stderr
