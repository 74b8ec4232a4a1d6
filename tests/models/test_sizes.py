"""What models need: beside the official files, the converter's own plans, and what llama.cpp itself says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import RECIPES, RecipeError, Wishes, prepare
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_OUTPUTS
from qwen3cli.models.catalog import FAMILY, HEAD, VOCABULARY, Member
from qwen3cli.models.facts import read_facts
from qwen3cli.models.sizes import needs_of_file, needs_of_member
from tests.converters.checkpoints import Model, make_sparse_checkpoint, write_sparse
from tests.converters.imatrices import write_gguf
from tests.models.own_figures import own_figures

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("memory_golden.json").read_text(encoding="utf-8")
)["models"]
OFFICIAL = {
    "0.6b:Q8_0": 639_446_688,
    "1.7b:Q8_0": 1_834_426_016,
    "4b:Q4_K_M": 2_497_280_256,
    "8b:Q4_K_M": 5_027_783_488,
    "8b:Q8_0": 8_709_518_112,
    "14b:Q4_K_M": 9_001_752_960,
}
MEBIBYTE = 1 << 20


@pytest.mark.parametrize("name", OFFICIAL)
def test_files_are_as_large_as_the_official_ones(name: str) -> None:
    member, quantization = name.split(":")
    needs = needs_of_member(FAMILY[member], quantization)
    # What is in the metadata besides the vocabulary differs by some hundred bytes.
    assert abs(needs.file_bytes - OFFICIAL[name]) < 1000


@pytest.mark.parametrize("name", GOLDEN)
def test_memory_is_what_llama_cpp_says(name: str) -> None:
    member, quantization = name.split(":")
    needs = needs_of_member(FAMILY[member], quantization)
    figures = dict(GOLDEN[name])
    assert needs.weights.total == figures.pop("weights")
    assert len(figures) == 6
    for setting, theirs in figures.items():
        context, kv_type = setting.split()
        assert needs.buffers.cache(int(context), kv_type) == theirs["kv"] * MEBIBYTE
        # llama.cpp makes room for one row of logits at first, and for the others when they are asked for.
        compute = (theirs["compute"] + MOST_OUTPUTS * theirs["output"]) * MEBIBYTE
        assert needs.buffers.compute(int(context)) == pytest.approx(compute, rel=0.08)
        whole = needs.weights.total + theirs["kv"] * MEBIBYTE + compute
        assert needs.total(int(context), kv_type) == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize("experts", [0, 4])
def test_models_on_the_disk_need_what_llama_cpp_says(tmp_path: Path, demo_gguf: Path, experts: int) -> None:
    path = demo_gguf
    if experts:
        model = Model(layers=3, hidden=512, feed_forward=256, experts=experts, padding=30_000)
        plan = prepare(make_sparse_checkpoint(tmp_path / "checkpoint", model), "q4_k_m")
        path = tmp_path / "model.gguf"
        write_sparse(path, plan.header, plan.size)
    settings = ((256, "f16"), (2048, "f16"), (4096, "q8_0"))
    needs, figures = needs_of_file(read_facts(path)), own_figures(path, settings)
    assert needs.weights.total == figures["weights"]
    # Two experts of four are used.
    assert (needs.weights.has_experts, needs.weights.active) == (bool(experts), 0.5 if experts else 1.0)
    for context, kv_type in settings:
        theirs = figures[f"{context} {kv_type}"]
        output = (MOST_OUTPUTS - 1) * theirs["output"]
        whole = figures["weights"] + (sum(theirs.values()) + output) * MEBIBYTE
        assert needs.total(context, kv_type) == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize(("name", "experts"), [("4b", 0), ("8b", 0), ("8b", 4)])
def test_every_type_is_what_the_converter_would_write(tmp_path: Path, name: str, experts: int) -> None:
    sizes = {"layers": 17, "hidden": 256, "feed_forward": 512, "heads": 4, "kv_heads": 1}
    member = replace(FAMILY[name], **sizes, experts=(experts, 2) if experts else None)
    assert member.tied is (name == "4b")
    checkpoint = make_sparse_checkpoint(tmp_path / "checkpoint", _model(member))
    wishes = Wishes(imatrix=write_gguf(tmp_path / "imatrix.gguf", _model(member)))
    refused: list[str] = []
    for recipe in RECIPES:
        try:
            plan = prepare(checkpoint, recipe)
        except RecipeError:
            refused.append(recipe)
            plan = prepare(checkpoint, recipe, wishes)
        needs = needs_of_member(member, recipe)
        assert needs.weights.total == plan.tensor_bytes, recipe
        assert needs.weights.has_experts == bool(experts)
    assert "IQ2_XS" in refused and "IQ4_XS" not in refused


def _model(member: Member) -> Model:
    return Model(
        layers=member.layers,
        hidden=member.hidden,
        feed_forward=member.feed_forward,
        heads=member.heads,
        kv_heads=member.kv_heads,
        head=HEAD,
        padding=VOCABULARY - Model(padding=0).vocabulary,
        tied=member.tied,
        experts=member.experts[0] if member.experts else 0,
    )


def test_only_the_experts_in_use_are_read() -> None:
    dense, mixture = (needs_of_member(FAMILY[name], "q8_0").weights for name in ("8b", "30b-a3b"))
    assert dense.read == dense.total - dense.embedding
    # 3.3 of 30.5 billion parameters, at 8.5 bits, and 0.3 of them are the embeddings, of which a row is read.
    assert mixture.read == pytest.approx((3.35e9 - 0.31e9) * 8.5 / 8, rel=0.02)


def test_an_unknown_quantization_is_refused() -> None:
    with pytest.raises(UsageError, match="no quantization `q9`"):
        needs_of_member(FAMILY["8b"], "q9")
