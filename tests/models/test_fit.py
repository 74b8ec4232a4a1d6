"""Placements: on the machines that people have, for all eight models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qwen3cli.errors import NotEnough
from qwen3cli.machine import Device, ModelFacts, Placement
from qwen3cli.models import fit, machines
from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.fit import Fitted, Wish
from qwen3cli.models.machines import GPU_MARGIN, Machine, this_machine
from qwen3cli.models.needs import Needs
from qwen3cli.models.sizes import needs_of_member

GB = 10**9
AS_IT_COMES = Wish(threads=2)
EIGHT = ("0.6b", "1.7b", "4b", "8b", "14b", "32b", "30b-a3b", "235b-a22b")
# Qwen3-0.6B in Q8_0: 28 layers, 8 KV heads of 128.
SMALL = ModelFacts(
    name="0.6b",
    path=Path("m.gguf"),
    architecture="qwen3",
    file_bytes=639_446_688,
    parameters=751_632_384,
    quantization="Q8_0",
    quantized=True,
    context_length=40_960,
    kv_bytes_per_token=2 * 28 * 8 * (128 + 128),
    vocabulary=151_936,
    hidden=1_024,
)


def not_asked(_facts: ModelFacts) -> Needs:
    raise AssertionError("the header is not read where there is no choice")


def place(facts: ModelFacts, free: int, wish: Wish = AS_IT_COMES) -> Placement:
    return fit.place(facts, Machine(2 * free, free, free), wish, not_asked).placement


def test_the_native_context_is_the_default() -> None:
    assert place(SMALL, 64 * GB).context_size == 32_768


def test_a_short_trained_context_is_not_exceeded() -> None:
    short = replace(SMALL, context_length=8_192)
    assert place(short, 64 * GB).context_size == 8_192
    assert place(replace(SMALL, context_length=1_024), 64 * GB).context_size == 1_024


@pytest.mark.parametrize(
    ("trained", "context", "stretch"),
    [
        (40_960, 32_768, 1.0),
        (40_960, 40_960, 1.0),
        (40_960, 65_536, 2.0),
        (32_768, 131_072, 4.0),
        (262_144, 262_144, 1.0),
        (262_144, 524_288, 2.0),
        (0, 65_536, 1.0),
    ],
)
def test_yarn_comes_with_a_context_that_needs_it(trained: int, context: int, stretch: float) -> None:
    facts = replace(SMALL, context_length=trained)
    placement = place(facts, 1024 * GB, Wish(context=context))
    assert placement.stretch == stretch
    assert stretch == 1 or placement.native == context / stretch
    assert place(replace(facts, architecture="llama"), 1024 * GB, Wish(context=context)).stretch == 1


def test_the_context_is_halved_until_it_fits() -> None:
    assert place(SMALL, 2 * GB).context_size == 8_192
    assert fit.needed(SMALL, 8_192, "f16") <= 2 * GB < fit.needed(SMALL, 16_384, "f16")


def test_weights_are_laid_out_anew_where_there_is_room() -> None:
    assert place(SMALL, 64 * GB).repack
    need = fit.needed(SMALL, 32_768, "f16")
    assert not place(SMALL, need + 1000).repack


def test_the_cache_of_0_6b_takes_112_kib_a_token() -> None:
    # llama.cpp rounds contexts up to 256 tokens, and its mask of a batch is as wide as the context.
    assert fit.needed(SMALL, 1025, "f16") - fit.needed(SMALL, 1024, "f16") == 256 * 112 * 1024 + 512 * 2
    assert fit.needed(SMALL, 2000, "q8_0") < fit.needed(SMALL, 2000, "f16")


def test_what_cannot_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(NotEnough, match=r"needs about 0\.9 GB .* 0\.8 GB"):
        place(SMALL, 8 * 10**8)
    with pytest.raises(NotEnough):
        place(SMALL, 2 * GB, Wish(context=32_768))
    # Whoever says how many layers go to a GPU knows more.
    assert place(SMALL, 8 * 10**8, Wish(gpu_layers=20)).gpu_layers == 20


def needs_of(facts: ModelFacts) -> Needs:
    return needs_of_member(FAMILY[facts.name], facts.quantization)


def facts_of(name: str, quantization: str = "q4_k_m") -> ModelFacts:
    needs = needs_of_member(FAMILY[name], quantization)
    return replace(
        SMALL,
        name=name,
        quantization=quantization,
        file_bytes=needs.file_bytes,
        context_length=needs.context,
        kv_bytes_per_token=needs.buffers.kv_bytes,
        hidden=FAMILY[name].hidden,
    )


def fitted(name: str, machine: Machine, wish: Wish = AS_IT_COMES, draft: str | None = None) -> Fitted:
    """With a `draft`, that model drafts for it."""
    drafts = None if draft is None else facts_of(draft, "q8_0")
    return fit.place(facts_of(name), machine, wish, needs_of, drafts)


def with_gpus(*gpus: int, ram: int = 32) -> Machine:
    return Machine(ram * GB, (ram - 4) * GB, (ram - 4) * GB, tuple(gpu * GB for gpu in gpus))


WHOLE, EXPERTS, LAYERS, NOT = "whole", "experts apart", "layers", "not"


def how(name: str, machine: Machine) -> str:
    try:
        one = fitted(name, machine)
    except NotEnough:
        return NOT
    assert one.split is not None
    return WHOLE if one.split.whole else EXPERTS if one.split.experts_left else LAYERS


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        (with_gpus(8), [WHOLE, WHOLE, WHOLE, WHOLE, LAYERS, LAYERS, EXPERTS, NOT]),
        (with_gpus(12), [WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, LAYERS, EXPERTS, NOT]),
        (with_gpus(16), [WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, LAYERS, EXPERTS, NOT]),
        (with_gpus(24), [WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, NOT]),
        (with_gpus(24, 24), [WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, NOT]),
        (with_gpus(80, ram=256), [WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, EXPERTS]),
        (with_gpus(80, 80, ram=64), [WHOLE] * 8),
    ],
    ids=lambda value: "+".join(str(gpu // GB) for gpu in value.gpus) if isinstance(value, Machine) else "",
)
def test_what_goes_where(machine: Machine, wanted: list[str]) -> None:
    assert [how(name, machine) for name in EIGHT] == wanted
    for name in EIGHT:
        if how(name, machine) == NOT:
            continue
        one = fitted(name, machine)
        assert one.split is not None
        needs = needs_of_member(FAMILY[name], "q4_k_m")
        # All of it is somewhere, and nothing is larger than where it lies.
        assert one.split.gpu + one.split.main >= needs.total(one.placement.context_size)
        assert one.split.gpu <= sum(gpu - GPU_MARGIN for gpu in machine.gpus)
        assert one.split.main <= machine.usable
        assert one.placement.context_size >= 8_192
        assert (one.placement.gpu_layers, one.placement.cpu_moe) == (one.split.layers, one.split.experts_left)


def test_a_gpu_that_takes_it_whole_is_worth_a_shorter_context() -> None:
    one = fitted("8b", with_gpus(8))
    assert (one.placement.context_size, one.split and one.split.whole) == (8_192, True)
    longer = fitted("8b", with_gpus(8), Wish(context=32_768))
    assert longer.split is not None and not longer.split.whole
    assert longer.placement.context_size == 32_768
    assert fitted("8b", with_gpus(8), Wish(kv_type="q8_0")).placement.context_size == 16_384


def test_a_gpu_without_room_takes_nothing() -> None:
    full = replace(with_gpus(8), gpus=(GB // 2,))
    one = fitted("4b", full)
    assert (one.placement.gpu_layers, one.placement.context_size) == (0, 32_768)
    assert fitted("4b", with_gpus(8), Wish(gpu_layers=0)).split is None


def test_what_a_person_asks_for_is_done() -> None:
    machine = with_gpus(12)
    one = fitted("30b-a3b", machine, Wish(cpu_moe=40))
    assert (one.placement.gpu_layers, one.placement.cpu_moe) == (49, 40)
    every = fitted("30b-a3b", machine, Wish(cpu_moe=1 << 16))
    assert (every.placement.gpu_layers, every.placement.cpu_moe) == (49, 48)
    assert every.split is not None and every.split.with_experts == 1
    ten = fitted("30b-a3b", machine, Wish(gpu_layers=10))
    assert (ten.placement.gpu_layers, ten.placement.cpu_moe) == (10, 0)
    # More than fits is the person's own business; more than there is is all.
    assert fitted("32b", with_gpus(8), Wish(gpu_layers=999)).placement.gpu_layers == 65


def test_experts_that_stay_leave_the_other_layers_as_many_as_fit() -> None:
    few = fitted("235b-a22b", with_gpus(8, ram=400), Wish(cpu_moe=1 << 16))
    assert few.split is not None and 1 < few.split.layers < few.split.all_layers
    assert few.split.gpu <= with_gpus(8).gpu_room
    some = fitted("235b-a22b", with_gpus(80, ram=400), Wish(cpu_moe=94))
    assert some.split is not None and some.split.layers == some.split.all_layers
    # A dense model has no experts: nothing changes.
    dense = fitted("32b", with_gpus(12), Wish(cpu_moe=8))
    assert (dense.split, dense.placement.cpu_moe) == (fitted("32b", with_gpus(12)).split, 0)


def test_unified_memory_is_one_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "total_memory", lambda: 16 * GB)
    monkeypatch.setattr(machines, "available_memory", lambda: 12 * GB)
    metal = Device("Metal", "Apple M3", "GPU", 11 * GB, 11 * GB)
    machine = this_machine([metal])
    assert (machine.shared, machine.gpus) == (True, ())
    one = fitted("14b", machine)
    assert one.split is None and one.placement.gpu_layers is None
    assert one.placement.context_size == 8_192
    with pytest.raises(NotEnough):
        fitted("32b", machine)


def test_what_drafts_has_to_fit_too() -> None:
    eight, small = facts_of("8b"), facts_of("0.6b", "q8_0")
    have = fit.needed(eight, 16_384, "f16") + GB // 2
    machine = Machine(2 * have, have, have)
    assert fitted("8b", machine).placement.context_size == 16_384
    both = fitted("8b", machine, draft="0.6b")
    assert both.draft is not None
    assert (both.placement.context_size, both.draft.context_size) == (8_192, 8_192)
    assert sum(fit.needed(one, 8_192, "f16") for one in (eight, small)) <= have
    assert both.draft.gpu_layers is None
    with pytest.raises(
        NotEnough, match=r"`8b` and `0.6b`, which .* 32,768 tokens about .* are free"
    ) as refusal:
        fitted("8b", machine, Wish(context=32_768), draft="0.6b")
    assert "--draft" in (refusal.value.hint or "")
    # Weights are laid out anew where both leave room for that.
    machine = Machine(32 * GB, 16 * GB, 16 * GB)
    assert fitted("8b", machine).placement.repack
    one = fitted("8b", machine, draft="0.6b")
    assert one.draft is not None and not one.placement.repack and not one.draft.repack


@pytest.mark.parametrize(
    ("machine", "wish", "context", "layers"),
    [
        (with_gpus(24), AS_IT_COMES, 32_768, 29),
        # Both whole on the GPU are worth a shorter context, but not one that is too short.
        (with_gpus(12), AS_IT_COMES, 16_384, 29),
        (with_gpus(8), AS_IT_COMES, 8_192, 0),
        (with_gpus(12), Wish(context=32_768), 32_768, 0),
        (with_gpus(12), Wish(gpu_layers=0), 32_768, 0),
        (with_gpus(8, 8), AS_IT_COMES, 16_384, 29),
        (with_gpus(4), Wish(gpu_layers=999), 2_048, 0),
    ],
)
def test_what_drafts_is_on_the_gpu_if_there_is_room_after_the_other(
    machine: Machine, wish: Wish, context: int, layers: int
) -> None:
    both = fitted("8b", machine, wish, draft="0.6b")
    assert both.draft is not None
    assert (both.placement.context_size, both.draft.context_size) == (context, context)
    assert both.draft.gpu_layers == layers
    if both.split is not None and wish.gpu_layers is None:
        assert both.split.whole or wish.context


def test_main_memory_has_to_have_room_for_what_drafts_there() -> None:
    machine = with_gpus(8)
    alone = fitted("8b", machine)
    assert alone.split is not None
    tight = replace(machine, usable=alone.split.main + GB, free=alone.split.main + GB)
    assert fitted("8b", tight).split == alone.split
    with_draft = fitted("8b", tight, draft="0.6b")
    assert with_draft.placement.context_size < alone.placement.context_size
    with pytest.raises(NotEnough, match="which is to draft for it"):
        fitted("8b", replace(machine, usable=GB // 2, free=GB // 2), draft="0.6b")
