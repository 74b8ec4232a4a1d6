"""Damaged checkpoints, adapters and importance matrices: a whole file or one sentence comes out, and nothing else.

Each conversion runs in a child that may die; it has to end in a second and in 200 MB, and to leave nothing behind.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from converters import ConversionError, Overrides, Wishes, convert
from converters.ggml import padded
from converters.header import read_header
from tests.converters.watched import Outcome
from tests.torture.damage import damaged
from tests.torture.subjects import SUBJECTS

LONGEST_S, LARGEST = 1.0, 200 << 20
_LONGEST_SENTENCE = 400
_POSIX = os.name != "nt"


@dataclass(frozen=True)
class _Place:
    """A subject on the disk: its files as they were, and what a conversion of it is asked for."""

    folder: Path
    whole: dict[Path, bytes]
    wishes: Wishes

    def restore(self, paths: list[Path]) -> None:
        for path in paths:
            _remove(path)
            path.write_bytes(self.whole[path])


def mutate(seed: int, folder: Path) -> dict[str, Any]:
    """Runs in a child: damages something, converts it and says what came of it. AssertionError if that is bad."""
    base = _warm(folder)
    chance = random.Random(seed)
    name = chance.choice(list(SUBJECTS))
    place, recipe = _place(name, folder), chance.choice(SUBJECTS[name].recipes)
    victims = chance.sample(sorted(place.whole), chance.choice([1, 1, 1, 1, 2]))
    wishes = replace(place.wishes, allow_nonfinite=chance.random() < 0.2, overrides=_overrides(chance))
    done = [_damage(path, place, chance) for path in victims]
    try:
        found = _attempt(place, recipe, wishes)
        if found["seconds"] > LONGEST_S:  # The machine may have been busy with something else.
            found["seconds"] = min(_attempt(place, recipe, wishes)["seconds"] for _ in range(3))
    finally:
        place.restore(victims)
    found["growth"] = max(0, _peak() - base)
    assert found["seconds"] <= LONGEST_S, (done, found)
    assert found["growth"] <= LARGEST, (done, found)
    return {"subject": name, "damage": done, **found}


def _attempt(place: _Place, recipe: str, wishes: Wishes) -> dict[str, Any]:
    output = place.folder / "out.gguf"
    before, descriptors = _tree(place.folder), _descriptors()
    _forget_peak()
    begin = time.perf_counter()
    try:
        convert(place.folder / "model", output, recipe, wishes, threads=1)
        found = {"outcome": "file", "error": "", "reason": ""}
    except ConversionError as error:
        _check_sentence(str(error), str(place.folder))
        found = {"outcome": "sentence", "error": type(error).__name__, "reason": _class(str(error))}
    found: dict[str, Any] = {**found, "seconds": time.perf_counter() - begin}
    if found["outcome"] == "file":
        _check_whole(output)
        output.unlink()
    assert _tree(place.folder) == before, "something is left behind"
    assert _descriptors() == descriptors, "a file is left open"
    return found


def _check_sentence(message: str, folder: str) -> None:
    assert message.isprintable(), message
    assert not message.endswith("."), message
    assert len(message.replace(folder, "")) < _LONGEST_SENTENCE, message


def _check_whole(path: Path) -> None:
    header = read_header(path)
    end = max(tensor.offset + tensor.nbytes for tensor in header.tensors)
    assert path.stat().st_size == padded(end, header.alignment)
    assert header.architecture in ("qwen3", "qwen3moe")


def _class(message: str) -> str:
    """A message without its names and numbers."""
    plain = re.sub(r"`[^`]*`", "`…`", message)
    plain = re.sub(r"\[[-\d, ]*\]", "[…]", plain)
    plain = re.sub(r"(is not valid JSON|cannot be read|no pattern|the id|is a) .*", r"\1 …", plain)
    plain = re.sub(r" (is|has) .{,44}(, and it must be| instead of| as `)", r" \1 …\2", plain)
    return re.sub(r"-?\d[\d,.e+]*", "#", plain)[:120]


def _overrides(chance: random.Random) -> Overrides:
    if chance.random() < 0.9:
        return Overrides()
    return Overrides.parse(output=chance.choice(["q8_0", "q6_k", "f16"]))


# What stands in a file's place instead of it.
_INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "an empty file": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name) if _POSIX else None,
    "a pipe": lambda path: os.mkfifo(path) if _POSIX else None,
    "a device": lambda path: path.symlink_to("/dev/zero") if _POSIX else None,
}


def _damage(path: Path, place: _Place, chance: random.Random) -> str:
    content = place.whole[path]
    if chance.random() < 0.06:
        kind = chance.choice([*_INSTEAD, "another file"])
        path.unlink()
        if kind == "another file":
            path.write_bytes(place.whole[chance.choice(sorted(place.whole))])
        else:
            _INSTEAD[kind](path)
        return f"{path.name}: {kind}"
    path.write_bytes(damaged(path.name, content, chance))
    return path.name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@cache
def _place(name: str, folder: Path) -> _Place:
    own = folder / name
    if own.exists():  # A child that died has left it.
        shutil.rmtree(own)
    wishes = SUBJECTS[name].make(own)
    whole = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    return _Place(own, whole, wishes)


@cache
def _warm(folder: Path) -> int:
    """Memory after everything was used once; what libraries load is no growth."""
    for name, subject in SUBJECTS.items():
        place = _place(name, folder)
        # The tables of each type are loaded once.
        for recipe in subject.recipes if name == "imatrix" else subject.recipes[:1]:
            _attempt(place, recipe, place.wishes)
    return _memory("VmRSS")


def _tree(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def _forget_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most memory since `_forget_peak`, in bytes: anonymous and mapped pages; 0 where nothing tells."""
    return _memory("VmHWM")


def _memory(key: str) -> int:
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))


@dataclass
class Tally:
    """What came of many mutations."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    reasons: Counter[str] = field(default_factory=Counter[str])
    slowest: tuple[float, int] = (0.0, 0)
    largest: tuple[int, int] = (0, 0)
    failures: list[str] = field(default_factory=list[str])

    def add(self, seed: int, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self.failures.append(f"mutation {seed}: {outcome.failure}")
            return
        found = outcome.value
        self.outcomes[found["subject"], found["outcome"]] += 1
        self.reasons[f"{found['error']}: {found['reason']}" if found["error"] else "a whole file"] += 1
        self.slowest = max(self.slowest, (found["seconds"], seed))
        self.largest = max(self.largest, (found["growth"], seed))

    def count(self, outcome: str) -> int:
        return sum(number for (_, found), number in self.outcomes.items() if found == outcome)
