"""Seeded damage to every file of a checkpoint: a whole GGUF or one sentence comes out, nothing else."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, cast

from converters import ConversionError, convert
from converters.header import read_header
from tests.converters.cases import CARD
from tests.converters.checkpoints import Model, make_checkpoint

TINY = Model(
    layers=1, hidden=32, feed_forward=32, heads=2, kv_heads=1, head=16, shards=2, files={"README.md": CARD}
)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1 << 31, 1 << 64, 10**30, 0.5, float("inf"), float("nan")),
    *("", "x", "a\nb", "\ud800", "../x", "9" * 50, "-", "7b1-7b1", [], [1], [[]], [None], {}, {"a": 1}),
)


def test_damaged_checkpoints_end_in_a_file_or_a_sentence(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "tiny", TINY)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    output = tmp_path / "out.gguf"
    chance = random.Random(3)
    outcomes: Counter[bool] = Counter()
    for _ in range(120):
        name = chance.choice(sorted(whole))
        (folder / name).write_bytes(damaged(name, whole[name], chance))
        try:
            convert(folder, output, "q8_0", threads=1)
            assert read_header(output).architecture == "qwen3"
            output.unlink()
            outcomes[True] += 1
        except ConversionError as error:
            assert str(error).isprintable()
            outcomes[False] += 1
        (folder / name).write_bytes(whole[name])
        assert {path.name for path in tmp_path.iterdir()} == {"tiny"}
    assert min(outcomes[True], outcomes[False]) > 25, outcomes


def damaged(name: str, content: bytes, chance: random.Random) -> bytes:
    """One value of a JSON file replaced by an odd one, or a few bytes changed, cut out or doubled."""
    if name.endswith(".json") and chance.random() < 0.7:
        value = json.loads(content)
        places = containers(value)
        container, key = chance.choice(places[: chance.choice([5, 50, len(places)])])
        container[key] = chance.choice(ODD)
        return json.dumps(value).encode()
    raw = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(len(raw), 2000))
        kind, span = chance.randrange(3), slice(at, at + chance.randint(1, 30))
        raw[span] = (bytes([chance.randrange(256)]), b"", raw[span] * 2)[kind]
    return bytes(raw)


def containers(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as the container and the key or index in it."""
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            container: Any = cast(Any, one)
            keys = list(container) if isinstance(one, dict) else range(len(container))
            found += [(container, key) for key in keys]
            waiting += [container[key] for key in keys]
    return found
