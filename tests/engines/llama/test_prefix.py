"""The longest common prefix."""

from __future__ import annotations

import random

import pytest

from qwen3cli.engines.llama.prefix import common_prefix


@pytest.mark.parametrize(
    ("old", "new", "shared"),
    [
        ([], [], 0),
        ([1], [], 0),
        ([1, 2], [1, 2], 2),
        ([1, 2], [1, 2, 3], 2),
        ([1, 2, 3], [1, 9, 3], 1),
        ([1], [2], 0),
    ],
)
def test_examples(old: list[int], new: list[int], shared: int):
    assert common_prefix(old, new) == shared


def test_every_place_where_two_long_lists_part():
    old = [random.Random(1).randrange(3) for _ in range(200)]
    for at in range(200):
        new = [*old[:at], 9, *old[at + 1 :]]
        assert common_prefix(old, new) == at
