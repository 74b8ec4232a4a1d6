"""LoRA adapters, merged on the way: against numpy, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFReader

from converters import Wishes, convert
from tests.converters.adapters import PREFIX, Floats, embedding_lora, lora, make_adapter
from tests.converters.checkpoints import Model, make_checkpoint, make_tensors, random_floats

# Several pieces per matrix, so that the rows of B have to be the right ones.
MODEL = Model(layers=1, hidden=64, feed_forward=96, heads=4, kv_heads=2, head=32, dtype="F32", tied=False)
Q, V, DOWN = (f"model.layers.0.{name}" for name in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"))
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
TABLE = (MODEL.vocabulary, 64)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.stream.PIECE_ELEMENTS", 700)


def merged(
    tmp_path: Path, model: Model, adapter: Path, kind: str = "f32"
) -> dict[str, npt.NDArray[np.float32]]:
    checkpoint = make_checkpoint(tmp_path / "model", model)
    convert(checkpoint, tmp_path / "out.gguf", kind, Wishes(adapter=adapter), threads=2)
    reader = GGUFReader(tmp_path / "out.gguf")
    return {t.name: np.array(t.data.view(np.float32)).reshape(t.shape[::-1].tolist()) for t in reader.tensors}


def original(model: Model, name: str) -> Floats:
    return make_tensors(model)[f"{name}.weight"].data.astype(np.float32)


def change(tensors: Mapping[str, Any], factor: float, name: str = "", *, transposed: bool = False) -> Any:
    """What the pair of matrices, the one whose names contain `name`, adds."""
    a, b = (tensor for key, tensor in tensors.items() if name in key)
    product = np.float32(factor) * np.matmul(b, a)
    return np.transpose(product) if transposed else product


def test_products_are_added_with_their_factor(tmp_path: Path) -> None:
    tensors = lora(Q, (128, 64), 4, 10) | lora(V, (64, 64), 2, 20) | lora(DOWN, (64, 96), 4, 30)
    alphas = {"v_proj": 3, "layers.9.mlp.down_proj": 99}
    adapter = make_adapter(tmp_path / "lora", tensors, rank_pattern={"v_proj": 2}, alpha_pattern=alphas)
    found = merged(tmp_path, MODEL, adapter)
    for name, target, factor in ((Q, "attn_q", 2.0), (V, "attn_v", 1.5), (DOWN, "ffn_down", 2.0)):
        expected = original(MODEL, name) + change(tensors, factor, name)
        np.testing.assert_allclose(found[f"blk.0.{target}.weight"], expected, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(found["blk.0.ffn_up.weight"], original(MODEL, "model.layers.0.mlp.up_proj"))


def test_rslora_divides_by_the_root(tmp_path: Path) -> None:
    tensors = lora(Q, (128, 64), 4, 10)
    adapter = make_adapter(tmp_path / "lora", tensors, lora_alpha=8, use_rslora=True)
    found = merged(tmp_path, MODEL, adapter)["blk.0.attn_q.weight"]
    np.testing.assert_allclose(found, original(MODEL, Q) + change(tensors, 4), rtol=0, atol=4e-6)


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_narrow_adapters_are_widened(dtype: str, tmp_path: Path) -> None:
    tensors = {
        name: (np.round(tensor * 8) / 8).astype(np.float32) for name, tensor in lora(Q, (128, 64), 4).items()
    }
    adapter = make_adapter(tmp_path / "lora", tensors, dtype=dtype)
    found = merged(tmp_path, MODEL, adapter)["blk.0.attn_q.weight"]
    np.testing.assert_allclose(found, original(MODEL, Q) + change(tensors, 2), rtol=0, atol=4e-6)


def test_embeddings_and_whole_modules(tmp_path: Path) -> None:
    tensors = embedding_lora(EMBEDDING, TABLE, 4, 40)
    whole = random_floats(TABLE, 77)
    adapter = make_adapter(tmp_path / "lora", {**tensors, "base_model.model.lm_head.weight": whole})
    found = merged(tmp_path, MODEL, adapter)
    expected = original(MODEL, EMBEDDING) + change(tensors, 2, transposed=True)
    np.testing.assert_allclose(found["token_embd.weight"], expected, rtol=0, atol=4e-6)
    np.testing.assert_array_equal(found["output.weight"], whole)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("adapted", [EMBEDDING, HEAD])
def test_tied_matrices_change_together(stored: bool, adapted: str, tmp_path: Path) -> None:
    model = Model(layers=1, dtype="F32", stored_head=stored)
    make = embedding_lora if adapted == EMBEDDING else lora
    tensors = make(adapted, TABLE, 4, 50)
    found = merged(tmp_path, model, make_adapter(tmp_path / "lora", tensors))
    added = change(tensors, 2, transposed=adapted == EMBEDDING)
    expected = original(model, EMBEDDING) + added
    np.testing.assert_allclose(found["token_embd.weight"], expected, rtol=0, atol=4e-6)
    assert ("output.weight" in found) == stored
    if stored:
        expected = original(model, HEAD) + added
        np.testing.assert_allclose(found["output.weight"], expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("whole", [EMBEDDING, HEAD])
def test_what_is_trained_as_a_whole_is_tied_no_longer(whole: str, tmp_path: Path) -> None:
    """PEFT trains a copy: the other matrix stays what both were."""
    model, table = Model(layers=1, dtype="F32"), random_floats(TABLE, 78)
    saved = whole.rpartition(".")[2]
    adapter = make_adapter(tmp_path / "lora", {f"{PREFIX}{whole}.weight": table}, modules_to_save=[saved])
    found = merged(tmp_path, model, adapter)
    expected = {EMBEDDING: original(model, EMBEDDING), HEAD: original(model, EMBEDDING), whole: table}
    np.testing.assert_array_equal(found["token_embd.weight"], expected[EMBEDDING])
    np.testing.assert_array_equal(found["output.weight"], expected[HEAD])


def test_what_is_only_saved_along_stays_tied(tmp_path: Path) -> None:
    model, table = Model(layers=1, dtype="F32"), random_floats(TABLE, 78)
    found = merged(tmp_path, model, make_adapter(tmp_path / "lora", {f"{PREFIX}{EMBEDDING}.weight": table}))
    np.testing.assert_array_equal(found["token_embd.weight"], table)
    assert "output.weight" not in found


def test_an_expert_can_be_adapted(tmp_path: Path) -> None:
    model = Model(layers=1, experts=3, dtype="F32")
    name = "model.layers.0.mlp.experts.1.up_proj"
    tensors = lora(name, (96, 64), 2)
    found = merged(tmp_path, model, make_adapter(tmp_path / "lora", tensors))["blk.0.ffn_up_exps.weight"]
    np.testing.assert_allclose(found[1], original(model, name) + change(tensors, 4), rtol=0, atol=4e-6)
    np.testing.assert_array_equal(found[2], original(model, name.replace(".1.", ".2.")))


def test_the_name_says_what_was_merged(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "poems", lora(Q, (128, 64), 4))
    checkpoint = make_checkpoint(tmp_path / "Tiny-Model", MODEL)
    for name, expected in ((None, "Tiny Model + poems"), ("mine", "mine")):
        convert(checkpoint, tmp_path / "out.gguf", "q8_0", Wishes(name, adapter=adapter))
        reader = GGUFReader(tmp_path / "out.gguf")
        assert reader.fields["general.name"].contents() == expected
