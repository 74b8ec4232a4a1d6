"""Which quantization is chosen for which machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.machines import Machine, described
from qwen3cli.models.plan import QUALITY, Plan, make_plan, needs_of_family, smaller_member
from qwen3cli.models.sizes import needs_of_member

GB = 10**9


def plan_of(name: str, machine: Machine, context: int = 8_192, kv_type: str = "f16") -> Plan:
    return make_plan(needs_of_family(FAMILY[name]), machine, context, kv_type)


def best(plan: Plan) -> str | None:
    return plan.best and plan.best.needs.quantization


@pytest.mark.parametrize(
    ("name", "ram", "wanted"),
    [
        ("0.6b", 4, "Q8_0"),
        ("4b", 8, "Q8_0"),
        ("8b", 8, "IQ4_XS"),
        ("8b", 16, "Q8_0"),
        ("14b", 16, "Q4_K_M"),
        ("32b", 32, "Q5_K_M"),
        ("30b-a3b", 32, "Q6_K"),
        ("235b-a22b", 64, None),
    ],
)
def test_the_best_answers_that_fit(name: str, ram: int, wanted: str | None) -> None:
    plan = plan_of(name, described(ram * GB))
    assert best(plan) == wanted
    for choice in plan.choices:
        assert choice.fits is (choice.total <= described(ram * GB).usable)
        assert (choice.split, choice.apart) == (None, None)


def test_sizes_and_times_fall_with_quality() -> None:
    choices = plan_of("8b", described(8 * GB)).choices
    assert [choice.needs.quantization for choice in choices] == list(QUALITY)
    assert [c.total for c in choices] == sorted((c.total for c in choices), reverse=True)
    assert [c.time for c in choices] == sorted((c.time for c in choices), reverse=True)


def test_the_longest_context_fits_and_its_double_does_not() -> None:
    machine = described(10 * GB)
    for choice in plan_of("8b", machine).choices:
        if choice.longest:
            assert choice.needs.total(choice.longest) <= machine.usable
        if choice.longest < 32_768:
            assert choice.needs.total(max(2 * choice.longest, 2_048)) > machine.usable
    assert [choice.longest for choice in plan_of("0.6b", described(16 * GB)).choices] == [32_768] * 7
    assert plan_of("4b-instruct-2507", described(128 * GB)).choices[0].longest == 262_144


def test_where_none_fits_the_context_the_longest_one_counts() -> None:
    plan = plan_of("8b", described(16 * GB), context=131_072)
    assert plan.best is not None
    assert (plan.best.fits, plan.best.longest) == (False, 32_768)
    assert plan.best.needs.quantization == "Q6_K"


def test_a_small_cache_makes_room() -> None:
    machine = described(8 * GB)
    assert (best(plan_of("8b", machine)), best(plan_of("8b", machine, kv_type="q8_0"))) == (
        "IQ4_XS",
        "Q4_K_M",
    )


def test_a_gpu_counts_more_than_the_last_bits() -> None:
    assert best(plan_of("8b", described(32 * GB, 8 * GB))) == "Q5_K_M"
    assert best(plan_of("8b", described(32 * GB, 12 * GB))) == "Q8_0"
    # Two bits would fit it whole, but they are too few.
    assert best(plan_of("14b", described(32 * GB, 8 * GB))) == "Q8_0"


def test_what_main_memory_lacks_a_gpu_can_have() -> None:
    machine = described(16 * GB, 24 * GB)
    assert best(plan_of("32b", replace(machine, gpus=()))) is None
    assert best(plan_of("32b", machine)) == "Q4_K_M"
    shared = Machine(16 * GB, 12 * GB, 12 * GB, shared=True)
    assert best(plan_of("32b", shared)) is None


def test_a_smaller_member_of_the_same_kind_is_found() -> None:
    found = smaller_member(FAMILY["8b-base"], described(8 * GB), 8_192)
    assert found is not None
    assert (found[0].name, found[1].needs.quantization) == ("4b-base", "Q8_0")
    assert smaller_member(FAMILY["0.6b"], described(GB), 8_192) is None


@pytest.mark.parametrize("ram", [16, 24, 36, 64, 128])
def test_a_smaller_member_is_smaller_to_run(ram: int) -> None:
    for member in FAMILY.values():
        found = smaller_member(member, described(ram * GB), 8_192)
        if found is not None:
            same = needs_of_member(member, found[1].needs.quantization)
            assert found[1].total < same.total(8_192), (member.name, found[0].name)


def test_by_what_they_take_a_mixture_comes_before_the_dense_model_of_more_parameters() -> None:
    machine = described(36 * GB)
    assert [
        found[0].name
        for name in ("235b-a22b", "32b", "30b-a3b")
        if (found := smaller_member(FAMILY[name], machine, 8_192))
    ] == ["32b", "30b-a3b", "14b"]


def test_a_single_file_is_planned_alone() -> None:
    needs = replace(needs_of_member(FAMILY["8b"], "iq2_m"), context=1_000)
    plan = make_plan([needs], described(16 * GB), 1_000)
    assert (best(plan), plan.choices[0].longest) == ("IQ2_M", 1_000)
