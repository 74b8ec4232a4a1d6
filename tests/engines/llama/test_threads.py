"""Counting cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from qwen3cli.engines import physical_cores
from qwen3cli.engines.llama.threads import parse_cpu_list


def test_at_least_one_and_at_most_what_there_is():
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8\n", {0, 1, 2, 3, 8}), ("5", {5}), ("", set[int]()), ("0,2-2", {0, 2})]
)
def test_the_kernels_list_format(text: str, numbers: set[int]):
    assert parse_cpu_list(text) == numbers


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP")
@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "'1000'"), ({"GOMP_SPINCOUNT": "77"}, "'77'"), ({"OMP_WAIT_POLICY": "passive"}, "'0'")],
)
def test_threads_that_wait_leave_the_processor_to_others(given: dict[str, str], spins: str) -> None:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    environ = {**kept, **given, "OMP_DISPLAY_ENV": "verbose"}
    code = "from qwen3cli.engines.llama import library"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    # GNU OpenMP tells what it has read.
    assert f"GOMP_SPINCOUNT = {spins}" in done.stderr
