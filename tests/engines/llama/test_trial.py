"""The trial load: what would end this process ends a child, and its last words are the reason."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3cli.engines import open_engine, trial_load
from qwen3cli.engines.llama.library import Log, tidy
from qwen3cli.errors import UsageError
from qwen3cli.machine import Placement
from tests.engines.conftest import facts_of
from tests.engines.models import write_scripted


def test_a_good_file(tmp_path: Path):
    assert trial_load(write_scripted(tmp_path / "model.gguf", {"a": "b"})) is None


def test_a_file_that_makes_llama_cpp_abort(tmp_path: Path):
    reason = trial_load(write_scripted(tmp_path / "model.gguf", {"a": "b"}, blocks=100_000))
    assert reason is not None
    assert "abort (SIGABRT)" in reason
    assert "GGML_ASSERT" in reason


def test_a_file_that_llama_cpp_refuses(tmp_path: Path):
    reason = trial_load(write_scripted(tmp_path / "model.gguf", {"a": "b"}, blocks=2))
    assert (
        reason
        == f"llama.cpp cannot load `{tmp_path / 'model.gguf'}`: tensor 'blk.1.attn_norm.weight' not found"
    )


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all" * 10])
def test_no_gguf(tmp_path: Path, content: bytes):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert trial_load(path)


def test_an_unknown_architecture(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    path.write_bytes(path.read_bytes().replace(b"qwen3", b"qwenX"))
    assert trial_load(path) == f"llama.cpp cannot load `{path}`: unknown model architecture: 'qwenX'"


def test_a_file_that_makes_llama_cpp_abort_only_when_it_computes(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    key = b"qwen3.attention.layer_norm_rms_epsilon" + struct.pack("<I", 6)
    data = path.read_bytes()
    at = data.index(key) + len(key)
    path.write_bytes(data[:at] + struct.pack("<f", -1.0) + data[at + 4 :])
    reason = trial_load(path)
    assert reason is not None
    assert "abort (SIGABRT): ops.cpp:" in reason


def test_a_file_whose_vocabulary_does_not_tokenize(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    data = path.read_bytes()
    assert data.count(b"\x04\0\0\0\0\0\0\0gpt2") == 1
    path.write_bytes(data.replace(b"\x04\0\0\0\0\0\0\0gpt2", b"\x05\0\0\0\0\0\0\0llama"))
    assert trial_load(path)


def test_a_file_that_computes_no_numbers(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + data[half:].replace(b"\0\0\x80\x3f", b"\0\0\xc0\x7f"))
    assert trial_load(path) == f"`{path}` computes no numbers: its weights are damaged"


def test_a_child_ignores_the_modules_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    for name in ("json", "ctypes", "importlib", "pathlib", "llama_cpp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the current folder')")
    monkeypatch.chdir(tmp_path)
    assert trial_load(path) is None


_STARVED = """
import resource, sys
from pathlib import Path
from qwen3cli.engines import open_engine
from qwen3cli.errors import NotEnough
from qwen3cli.machine import Placement
from tests.engines.conftest import facts_of
import qwen3cli.engines.llama.engine
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    open_engine(facts_of(Path(sys.argv[1])), Placement(1 << 19, 1, kv_type="f32"))
except NotEnough as error:
    print(error.message)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process cannot be starved")
def test_a_context_beyond_the_memory(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"}, head=2048)
    starved = [sys.executable, "-c", _STARVED, str(path)]
    child = subprocess.run(starved, capture_output=True, text=True, check=False, timeout=100)
    assert re.match(
        r"there is not enough memory for a context of 524,288 tokens: .*failed to alloc", child.stdout
    ), child.stderr


def test_a_kv_type_that_does_not_go_with_the_model(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"}, head=16)
    with pytest.raises(UsageError, match="KV type `q8_0`"):
        open_engine(facts_of(path), Placement(256, 1, kv_type="q8_0"))


@pytest.mark.parametrize(
    ("line", "clause"),
    [
        ("llama_model_load: error loading model: done_getting_tensors: wrong number\n", "wrong number"),
        (
            "llama_init: key not found in model: qwen3.block_count.",
            "key not found in model: qwen3.block_count",
        ),
        ("no prefix here", "no prefix here"),
    ],
)
def test_log_lines_become_clauses(line: str, clause: str):
    assert tidy(line) == clause


def test_the_log_keeps_errors_with_their_continuations():
    log = Log()
    for level, text in [
        (2, b"info\n"),
        (5, b"more\n"),
        (4, b"load: it is "),
        (5, b"broken\n"),
        (3, b"warning\n"),
        (5, b"x"),
    ]:
        log.write(level, text)
    assert log.reason == "it is broken"
    log.clear()
    assert log.reason is None
