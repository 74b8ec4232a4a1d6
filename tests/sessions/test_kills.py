"""A sample of kills; `make torture` has them all."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.sessions.kills import HOW, check, killed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")


@pytest.mark.parametrize("how", HOW)
def test_a_kill_at_a_record_loses_nothing_that_was_confirmed(tmp_path: Path, how: str) -> None:
    for seed, at in enumerate((1, 2, 3, 5, 8, 13, 21, 34)):
        folder = tmp_path / str(seed)
        check(folder, seed, killed(folder, seed, at, how))


def test_a_kill_at_any_time_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    chance = random.Random(7)
    for seed in range(8):
        folder = tmp_path / str(seed)
        check(folder, seed, killed(folder, seed, seconds=chance.random() * 0.01))
