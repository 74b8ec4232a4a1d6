"""What of a model a GPU takes."""

from __future__ import annotations

import pytest

from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.needs import Needs
from qwen3cli.models.offload import GPU_SPEED, by_experts, by_layers
from qwen3cli.models.sizes import needs_of_member

CONTEXT = 8_192
SETTING = (CONTEXT, "f16")


@pytest.fixture(params=["0.6b:q8_0", "8b:q4_k_m", "30b-a3b:q4_k_m"])
def needs(request: pytest.FixtureRequest) -> Needs:
    name, quantization = request.param.split(":")
    return needs_of_member(FAMILY[name], quantization)


def test_without_room_all_stays_in_main_memory(needs: Needs) -> None:
    split = by_layers(needs, *SETTING, room=0)
    assert (split.layers, split.gpu, split.read_gpu) == (0, 0, 0)
    assert (split.main, split.read_main) == (needs.total(*SETTING), needs.weights.read)
    assert by_experts(needs, *SETTING, room=0) is None


def test_with_room_for_all_every_byte_that_is_read_is_on_the_gpu(needs: Needs) -> None:
    split = by_layers(needs, *SETTING, room=1 << 50)
    assert split.whole
    assert (split.read_gpu, split.read_main) == (needs.weights.read, 0)
    assert split.time == pytest.approx(needs.weights.read / GPU_SPEED)
    # Only the embeddings stay, of which a token reads a row.
    assert split.main == needs.weights.embedding + needs.buffers.inside(CONTEXT)


def test_one_layer_more_would_not_fit(needs: Needs) -> None:
    whole = by_layers(needs, *SETTING, room=1 << 50).gpu
    for room in range(whole // 7, whole, whole // 7):
        split = by_layers(needs, *SETTING, room)
        cache = needs.buffers.cache(*SETTING) // len(needs.weights.layers)
        largest = max(layer.shared + layer.experts for layer in needs.weights.layers)
        assert split.gpu <= room < split.gpu + largest + cache + needs.weights.output_read + (400 << 20)
        assert split.read_main + split.read_gpu == needs.weights.read
        twice = needs.weights.embedding if needs.weights.tied and split.layers else 0
        assert split.main + split.gpu - twice >= needs.total(*SETTING)


def test_the_output_is_the_first_layer_to_go(needs: Needs) -> None:
    """As `--gpu-layers 1` does (llama-model.cpp): no repeating layer, no cache."""
    least = needs.weights.output_read + needs.buffers.compute(CONTEXT)
    assert by_layers(needs, *SETTING, room=least - 1).layers == 0
    split = by_layers(needs, *SETTING, room=least)
    assert (split.layers, split.gpu) == (1, least)


def test_experts_can_stay_behind() -> None:
    needs = needs_of_member(FAMILY["30b-a3b"], "q4_k_m")
    room = 6 << 30
    layers, apart = by_layers(needs, *SETTING, room), by_experts(needs, *SETTING, room)
    assert apart is not None
    assert layers.layers < apart.layers == apart.all_layers == 49
    assert 0 < apart.experts_left < 48
    assert apart.gpu <= room < apart.gpu + needs.weights.layers[0].experts
    # A token reads all of the attention and few of the experts: that pays.
    assert apart.time < layers.time
    assert apart.main + apart.gpu >= needs.total(*SETTING)


def test_a_dense_model_has_no_experts_to_leave() -> None:
    assert by_experts(needs_of_member(FAMILY["8b"], "q4_k_m"), *SETTING, room=1 << 50) is None
