"""Seeded damage to whatever a conversion reads: a whole GGUF or one sentence comes out, nothing else.

A sample; `python -m tests.torture mutations` runs ten thousand.
"""

from __future__ import annotations

from pathlib import Path

from tests.converters.watched import each
from tests.torture.mutations import Tally
from tests.torture.subjects import SUBJECTS

SAMPLE = range(50_000, 50_200)


def test_damage_ends_in_a_file_or_a_sentence(tmp_path: Path) -> None:
    tally = Tally()
    for seed, outcome in each("tests.torture.mutations:mutate", SAMPLE, tmp_path, workers=1):
        tally.add(seed, outcome)
    assert tally.failures == []
    assert min(tally.count("file"), tally.count("sentence")) > len(SAMPLE) // 5
    assert {subject for subject, _ in tally.outcomes} == set(SUBJECTS)
    assert len(tally.reasons) > 30
