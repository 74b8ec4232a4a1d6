"""Counting cores."""

from __future__ import annotations

import os

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
