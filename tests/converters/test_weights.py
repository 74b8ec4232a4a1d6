"""Weights that are no numbers, or none that a type can hold: a sentence names the tensor, and no process dies."""

from __future__ import annotations

import os
import random
import shutil
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters.stream
from converters import RECIPES, CheckpointError, Overrides, RecipeError, Wishes, convert, prepare
from converters.quantize import Quantizer
from converters.recipes import NEVER_ALONE
from tests.converters.breakages import NORM, WEIGHTS, check_refused
from tests.converters.cases import NEEDY
from tests.converters.checkpoints import Model, encode, make_checkpoint, make_tensors, write_safetensors
from tests.converters.imatrices import write_dat, write_gguf
from tests.converters.watched import each
from tests.torture.weights import Odd, arguments, judged, odd_ones

MATRIX, HEAD_NORM = "model.layers.0.mlp.up_proj.weight", "model.layers.0.self_attn.k_norm.weight"
FIRST = "model.embed_tokens.weight"
WIDE = Model(layers=1, hidden=256, tied=False)


def with_value(folder: Path, model: Model, name: str, value: float) -> Path:
    """A checkpoint in which the last number of one tensor is `value`."""
    checkpoint = make_checkpoint(folder / "model", model)
    made = make_tensors(model)
    stored = made[name].data
    number = encode(np.array([value], np.float32), model.dtype)
    stored.reshape(-1)[-1:] = number
    write_safetensors(checkpoint / WEIGHTS, made)
    return checkpoint


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("name", [MATRIX, FIRST, NORM, HEAD_NORM])
def test_what_is_no_number_is_refused_by_its_name(
    name: str, dtype: str, value: float, tmp_path: Path
) -> None:
    checkpoint = with_value(tmp_path, Model(layers=1, dtype=dtype), name, value)
    reason = f"tensor `{name}` of `{checkpoint / WEIGHTS}` holds NaN or infinity"
    check_refused(checkpoint, reason, recipe="q4_0")


def test_a_signalling_nan_is_one_too(tmp_path: Path) -> None:
    for dtype, bits in (("F32", 0x7F800001), ("F16", 0x7C01), ("BF16", 0xFF81)):
        checkpoint = with_value(tmp_path / dtype, Model(layers=1, dtype=dtype), MATRIX, 0)
        made = make_tensors(Model(layers=1, dtype=dtype))
        made[MATRIX].data.view(f"<u{made[MATRIX].data.itemsize}")[5, 5] = bits
        write_safetensors(checkpoint / WEIGHTS, made)
        check_refused(checkpoint, f"tensor `{MATRIX}` of", recipe="bf16")


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0", "q4_k_m", "q6_k", "iq4_xs"])
def test_it_is_let_through_on_demand_and_told(kind: str, tmp_path: Path) -> None:
    checkpoint = with_value(tmp_path, WIDE, MATRIX, nan)
    (notice,) = convert(checkpoint, tmp_path / "out.gguf", kind, Wishes(allow_nonfinite=True)).notices[-1:]
    assert (
        notice
        == "`blk.0.ffn_up.weight` holds weights that are NaN or infinity: the model may answer nonsense"
    )


@pytest.mark.parametrize("kind", ["IQ3_S", "IQ3_M", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS"])
def test_types_that_search_a_grid_take_it_on_no_demand(kind: str, tmp_path: Path) -> None:
    checkpoint = with_value(tmp_path, WIDE, MATRIX, inf)
    wishes = Wishes(imatrix=write_gguf(tmp_path / "imatrix", WIDE), allow_nonfinite=True)
    check_refused(checkpoint, f"tensor `{MATRIX}` of", wishes, recipe=kind)
    check_refused(checkpoint, "holds weights that are NaN or infinity, which IQ", wishes, recipe=kind)


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("F16", 65519.0, True),
        ("F16", -65520.0, False),
        ("BF16", 3.39e38, True),
        ("BF16", 3.3962e38, False),
        ("F32", 3.4e38, True),
        ("Q8_0", 127 * 65519.0, True),
        ("Q8_0", 127 * 65521.0, False),
        ("Q4_0", 8 * 65519.0, True),
        ("Q4_0", -9 * 65519.0, False),
        ("Q4_0", 3e38, False),
    ],
)
def test_what_a_type_cannot_hold_is_too_large(kind: str, value: float, fits: bool, tmp_path: Path) -> None:
    checkpoint = with_value(tmp_path, Model(layers=1, dtype="F32"), MATRIX, value)
    if fits:
        assert "weights" not in " ".join(convert(checkpoint, tmp_path / "out.gguf", kind).notices)
        return
    reason = f"tensor `{MATRIX}` of `{checkpoint / WEIGHTS}` has weights that are too large for {kind}"
    check_refused(checkpoint, reason, recipe=kind)
    notices = convert(checkpoint, tmp_path / "out.gguf", kind, Wishes(allow_nonfinite=True)).notices
    assert notices[-1].startswith("`blk.0.ffn_up.weight` holds weights that are too large")


@pytest.mark.parametrize("kind", NEVER_ALONE)
def test_embeddings_and_output_do_not_end_the_process_for_want_of_an_imatrix(
    kind: str, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", WIDE)
    imatrix = write_dat(tmp_path / "imatrix", WIDE)  # It knows neither.
    for overrides, name in (
        (Overrides.parse(embedding=kind), "token_embd.weight"),
        (Overrides.parse(output=kind), "output.weight"),
    ):
        for known in (None, imatrix):
            with pytest.raises(RecipeError, match=f"`{name}` .* importance matrix to become {kind}"):
                # Already the plan says so.
                prepare(checkpoint, "q8_0", Wishes(imatrix=known, overrides=overrides))
            with pytest.raises(RecipeError, match=f"`{name}` .* importance matrix to become {kind}"):
                convert(checkpoint, tmp_path / "out.gguf", "q8_0", Wishes(imatrix=known, overrides=overrides))
            assert not (tmp_path / "out.gguf").exists()


def cut_off(argument: str, folder: Path) -> list[str]:
    """Runs in a child: somebody cuts the weights off, or takes them away, while they are converted."""
    shutil.rmtree(folder / "model", ignore_errors=True)
    checkpoint = make_checkpoint(folder / "model", Model(layers=4))
    weights = checkpoint / WEIGHTS

    class Meddling(Quantizer):
        # In the thread that reads, so that it is never in the middle of reading.
        def convert(self, *arguments: Any, **named: Any) -> Any:
            if argument == "cut":
                os.truncate(weights, 20_000)
            else:
                weights.unlink(missing_ok=True)
            return super().convert(*arguments, **named)

    converters.stream.Quantizer = Meddling
    try:
        convert(checkpoint, folder / "out.gguf", "q8_0", threads=1)
    except CheckpointError as error:
        return [str(error), *(path.name for path in folder.iterdir())]
    return []


@pytest.mark.skipif(os.name == "nt", reason="open files stay as they are there")
def test_weights_that_are_cut_off_meanwhile_do_not_end_the_process(tmp_path: Path) -> None:
    """They are mapped into memory, and to touch a page that is gone is a signal."""
    function, folder = "tests.converters.test_weights:cut_off", tmp_path / "worker-0"
    (_, outcome), (_, unlinked) = each(function, ["cut", "gone"], tmp_path, workers=1)
    message, *left = outcome.checked
    assert message == f"`{folder}/model/{WEIGHTS}` was cut off while it was read"
    assert sorted(left) == ["errors.txt", "model"]
    assert unlinked.checked == []


def test_no_recipe_dies_of_odd_numbers(tmp_path: Path) -> None:
    """A sample; `python -m tests.torture weights` runs them all."""
    sample = random.Random(11).sample(list(odd_ones()), 35)
    for argument, outcome in each("tests.torture.weights:attempt", arguments(sample), tmp_path):
        odd = Odd(**argument)
        assert judged(odd, outcome.checked) is None, odd


def test_odd_numbers_reach_every_recipe() -> None:
    listed = list(odd_ones())
    assert {odd.recipe for odd in listed} == set(RECIPES)
    assert all(odd.imatrix for odd in listed if odd.recipe in NEEDY)
