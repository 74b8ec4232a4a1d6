"""What the benchmark of conversion computes from its measurements, and the checkpoints that it makes."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

from benchmarks.measure import Run, own_memory
from benchmarks.report import Conversion, Round, memory_aims, table, time_aims, times, typical
from benchmarks.shapes import LARGE, SMALL, Shape


def a_run(seconds: float, megabytes: int = 100) -> Run:
    return Run(seconds, 2 * seconds, megabytes * 1_000_000, megabytes * 2_000_000)


def a_round(ours: float, first: float, second: float, alone: float) -> Round:
    return Round(a_run(ours), a_run(first, 300), a_run(second), a_run(alone))


def a_conversion(megabytes: int) -> Conversion:
    return Conversion("a shape", 1, 1, a_run(1, megabytes))


def test_ratios_are_taken_within_rounds() -> None:
    # The second round was slow for all; the ratio of the medians would be another one.
    rounds = [a_round(5, 6, 4, 5), a_round(12, 12, 8, 10), a_round(6, 6, 6, 5)]
    steps, alone = time_aims(rounds)
    assert (steps.each, steps.value, steps.met) == ((0.5, 0.6, 0.5), 0.5, True)
    assert (alone.each, alone.value, alone.met) == ((1.0, 1.2, 1.2), 1.2, False)


def test_two_steps_take_the_sum_of_times_and_the_peak_of_memory() -> None:
    assert a_run(3, 300).then(a_run(1, 200)) == Run(4, 8, 300_000_000, 600_000_000)


def test_typical_is_the_median_of_times_and_the_peak_of_memory() -> None:
    assert typical([a_run(1, 300), a_run(4, 100), a_run(2, 200)]) == Run(2, 4, 300_000_000, 600_000_000)


@pytest.mark.parametrize(
    ("megabytes", "met"),
    [
        ((100, 110, 105), [True, True]),
        ((100, 111), [True, False]),
        ((490, 501), [False, True]),
        ((501,), [False]),
    ],
)
def test_memory_is_little_and_the_same_for_all_sizes(megabytes: tuple[int, ...], met: list[bool]) -> None:
    assert [aim.met for aim in memory_aims([a_conversion(one) for one in megabytes])] == met


def test_the_table_of_times_has_every_road() -> None:
    lines = times([a_round(5, 6, 4, 5), a_round(7, 6, 4, 5)]).splitlines()
    assert lines[2] == "| `qwen3 convert` | 6.00 | 5.00 to 7.00 | 12.00 | 100 | 200 |"
    assert lines[3] == "| both steps | 10.00 | 10.00 to 10.00 | 20.00 | 300 | 600 |"
    assert len(lines) == 7


def test_a_table_is_markdown() -> None:
    assert table(["", "b"], [["a", "1"]]) == "|  | b |\n| --- | ---: |\n| a | 1 |\n"


def test_own_memory_leaves_file_pages_out() -> None:
    status = b"Name:\tx\nVmRSS:\t  90 kB\nRssAnon:\t  10 kB\nRssFile:\t  77 kB\nRssShmem:\t  3 kB\n"
    assert own_memory(status) == 13 * 1024
    assert own_memory(b"Name:\tx\nState:\tZ (zombie)\n") == 0


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [(SMALL, 596_049_920), (LARGE["8B"], 8_190_735_360), (LARGE["30B-A3B"], 30_532_122_624)],
)
def test_shapes_are_those_of_the_released_models(shape: Shape, parameters: int) -> None:
    assert shape.parameters == parameters


def test_a_sparse_checkpoint_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import checkpoints
    from converters.safetensors import SafetensorsFile

    def official(name: str) -> bytes:
        return b"{}"

    monkeypatch.setattr(checkpoints, "official", official)
    shape = Shape("small", 1, 64, 96, 2, 1, experts=2)
    folder = checkpoints.sparse_checkpoint(tmp_path / "small", shape)
    tensors = SafetensorsFile(folder / "model.safetensors").tensors
    assert {name: tensor.shape for name, tensor in tensors.items()} == dict(shape.tensors())
    assert sum(prod(tensor.shape) for tensor in tensors.values()) == shape.parameters
    assert json.loads((folder / "config.json").read_text())["num_experts"] == 2
