"""Types by rule, override and fallback: what golden files do not show, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from converters import AdapterError, ImatrixError, Overrides, RecipeError, Wishes, convert, find_recipe
from converters.choose import Chooser, fitting, is_quantizable
from converters.ggml import TYPE_BY_NAME
from converters.rules import Traits
from tests.converters.adapters import lora, make_adapter
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.imatrices import write_tensors


def test_what_is_no_matrix_stays_exact() -> None:
    assert not is_quantizable("blk.0.attn_q.bias", (64,))
    assert not is_quantizable("blk.0.attn_norm.weight", (1, 64))
    assert not is_quantizable("blk.0.ffn_gate_inp.weight", (8, 64))
    assert is_quantizable("blk.0.ffn_gate.weight", (8, 64))
    chooser = Chooser(find_recipe("q8_0"), Traits(1, 1), Overrides(), tied=True)
    assert chooser.choose("blk.0.ffn_gate_inp.weight", (8, 64)).kind.name == "F32"


@pytest.mark.parametrize(
    ("wanted", "columns", "found"),
    [
        *(("Q4_K", 512, "Q4_K"), ("Q4_K", 96, "Q5_0"), ("Q5_K", 96, "Q5_1"), ("Q6_K", 96, "Q8_0")),
        *(("IQ2_S", 96, "IQ4_NL"), ("IQ4_XS", 96, "IQ4_NL"), ("Q3_K", 96, "Q4_0"), ("Q8_0", 80, "F16")),
        *(("Q4_K", 80, "F16"), ("F16", 7, "F16")),
    ],
)
def test_rows_that_do_not_divide_take_smaller_blocks(wanted: str, columns: int, found: str) -> None:
    assert fitting(TYPE_BY_NAME[wanted], columns).name == found


@pytest.mark.parametrize("recipe", ["f16", "q4_0"])
def test_an_output_type_without_an_output_is_refused(recipe: str, tmp_path: Path) -> None:
    """Beside a type for the embeddings, which are the output of a tied model, and where nothing is quantized."""
    checkpoint = make_checkpoint(tmp_path / "tied", Model(layers=1))
    embedding = None if recipe == "f16" else "q8_0"
    wishes = Wishes(overrides=Overrides.parse(output="q8_0", embedding=embedding))
    with pytest.raises(RecipeError, match="`--output-type` has no effect"):
        convert(checkpoint, tmp_path / "out.gguf", recipe, wishes)


def test_an_override_must_fit_the_rows(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", Model(layers=1, tied=False))
    with pytest.raises(RecipeError, match=r"`output.weight` cannot be Q6_K: its rows of 64"):
        convert(checkpoint, tmp_path / "out.gguf", "q8_0", Wishes(overrides=Overrides.parse(output="q6_k")))


def test_counts_must_be_one_or_as_many_as_experts(tmp_path: Path) -> None:
    model = Model(layers=1)
    checkpoint = make_checkpoint(tmp_path / "model", model)
    for counts, fine in ((1, True), (4, False)):
        sums = {
            "blk.0.attn_q.weight": (
                np.ones((counts, 64 // counts), np.float32),
                np.ones((counts, 1), np.float32),
            )
        }
        wishes = Wishes(imatrix=write_tensors(tmp_path / f"{counts}.gguf", sums))
        if fine:
            convert(checkpoint, tmp_path / "out.gguf", "q4_0", wishes)
        else:
            with pytest.raises(ImatrixError, match="has 4 counts"):
                convert(checkpoint, tmp_path / "out.gguf", "q4_0", wishes)


@pytest.mark.parametrize(
    "pattern", ["a{99999999999999}", "(([a-z0-9_.]+)+)+!", "(" * 3000, ".*.*.*.*x", "q" * 300]
)
def test_a_hostile_pattern_costs_nothing(pattern: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", Model(layers=1))
    tensors = lora("model.layers.0.self_attn.q_proj", (128, 64), 2)
    adapter = make_adapter(tmp_path / "lora", tensors, alpha_pattern={pattern: 3})
    started = time.process_time()
    with pytest.raises(AdapterError, match="alpha_pattern"):
        convert(checkpoint, tmp_path / "out.gguf", "q8_0", Wishes(adapter=adapter))
    assert time.process_time() - started < 10  # For ever without the check.
