"""Loading a model: progress, giving up, files that are no good."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as C
import pytest

from qwen3cli.engines import open_engine
from qwen3cli.engines.llama import library
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.errors import Interrupted, InvalidFile
from qwen3cli.machine import KV_TYPES, Placement
from qwen3cli.models.conversion import convert_checkpoint
from tests.converters.checkpoints import Model, make_checkpoint
from tests.engines.asking import ENDLESS, ask, said
from tests.engines.conftest import facts_of
from tests.engines.models import write_embedder, write_scripted


def test_loading_reports_progress_and_can_be_stopped(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", ENDLESS)
    seen: list[float] = []
    engine = open_engine(facts_of(path), Placement(256, 1), progress=seen.append)
    engine.close()
    engine.close()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    stop = threading.Event()
    stop.set()
    seen.clear()
    with pytest.raises(Interrupted):
        open_engine(facts_of(path), Placement(256, 1), progress=seen.append, stop=stop)
    assert len(seen) == 1, "llama.cpp is told at its first report"


def test_a_broken_wait_for_the_load_ends_the_load(tmp_path: Path):
    def interrupt(_fraction: float) -> None:
        raise KeyboardInterrupt

    path = write_scripted(tmp_path / "model.gguf", ENDLESS)
    stop = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        open_engine(facts_of(path), Placement(256, 1), progress=interrupt, stop=stop)
    assert stop.is_set()


def test_what_llama_cpp_says_of_a_bad_file_is_the_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = write_scripted(tmp_path / "model.gguf", ENDLESS, blocks=2)
    with pytest.raises(InvalidFile, match=r"blk\.1\."):
        open_engine(facts_of(path), Placement(256, 1))
    captured = capfd.readouterr()
    assert captured.out == captured.err == "", "nothing of its log reaches the terminal"


def test_a_model_that_cannot_write(tmp_path: Path):
    path = write_embedder(tmp_path / "model.gguf")
    with pytest.raises(InvalidFile, match="does not write text"):
        open_engine(facts_of(path), Placement(64, 1))


def test_weights_that_are_no_numbers(tmp_path: Path):
    path = write_scripted(tmp_path / "model.gguf", ENDLESS)
    data = path.read_bytes()
    one = b"\x00\x00\x80\x3f"
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 :].replace(one, b"\x00\x00\xc0\x7f"))
    engine = open_engine(facts_of(path), Placement(256, 1))
    with pytest.raises(InvalidFile, match="numbers"):
        ask(engine)
    engine.close()


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_kv_types_and_files_that_are_not_mapped(tmp_path: Path, kv_type: str):
    path = write_scripted(tmp_path / "model.gguf", ENDLESS)
    engine = open_engine(facts_of(path), Placement(256, 1, kv_type=kv_type, use_mmap=False))
    assert said(ask(engine, max_tokens=2)) == "tick tock"
    engine.close()


def test_experts_lie_where_they_are_wanted(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path / "checkpoint", Model(layers=3, experts=4))
    convert_checkpoint(checkpoint, tmp_path / "moe.gguf", "f32")
    lines: list[str] = []

    @C.llama_log_callback
    def receive(level: int, text: bytes, data: Any) -> None:
        lines.append(text.decode("utf-8", "replace"))

    said: list[list[float]] = []
    C.llama_log_set(receive, ctypes.c_void_p(0))
    try:
        for cpu_moe in (0, 2):
            placement = Placement(256, 1, cpu_moe=cpu_moe, repack=False)
            weights = Weights(tmp_path / "moe.gguf", placement, lambda _: None, threading.Event())
            context = Context(weights, placement)
            context.append(3)
            assert context.pointer is not None
            said.append(C.llama_get_logits_ith(context.pointer, -1)[:8])
            context.free()
            weights.free()
    finally:
        C.llama_log_set(cast(Any, library)._receive, ctypes.c_void_p(0))
    overridden = [line.split()[1] for line in lines if "buffer type overridden" in line]
    kinds = ("down", "gate", "up")
    assert sorted(overridden) == [f"blk.{layer}.ffn_{kind}_exps.weight" for layer in (0, 1) for kind in kinds]
    assert said[0] == said[1]


def test_yarn_is_what_a_file_that_asks_for_it_gives(tmp_path: Path):
    scaling = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128}
    said: dict[str, list[float]] = {}
    for name, config, stretch in (
        ("file", scaling, 1.0),
        ("both", scaling, 2.0),
        ("ours", None, 2.0),
        ("none", None, 1.0),
    ):
        model = Model(config={"rope_scaling": config, "max_position_embeddings": 128})
        checkpoint = make_checkpoint(tmp_path / name, model)
        convert_checkpoint(checkpoint, tmp_path / f"{name}.gguf", "f32")
        placement = Placement(256, 1, stretch=stretch, native=128)
        weights = Weights(tmp_path / f"{name}.gguf", placement, lambda _: None, threading.Event())
        context = Context(weights, placement)
        for _ in context.evaluate([n % 250 for n in range(200)]):
            pass
        assert context.pointer is not None
        said[name] = C.llama_get_logits_ith(context.pointer, -1)[:50]
        context.free()
        weights.free()
    assert said["file"] == said["both"] == said["ours"] != said["none"]
