"""Importance matrices that cannot be used: each is told in one sentence that names it."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from converters import ImatrixError, RecipeError, Wishes, convert
from converters.imatrix import Imatrix
from tests.converters.breakages import check_refused
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.ggufs import STRING, U32, U64, entry, gguf, tensor, text, texts
from tests.converters.imatrices import importance, write_dat

MODEL = Model(layers=1)
F32, F16 = 0, 1
NAME = "blk.0.attn_q.weight"
SUMS, COUNTS = f"{NAME}.in_sum2", f"{NAME}.counts"
ENTRIES = {
    "datasets": texts("imatrix.datasets", ["a.txt"]),
    "count": entry("imatrix.chunk_count", U32, struct.pack("<I", 7)),
    "size": entry("imatrix.chunk_size", U32, struct.pack("<I", 512)),
}
Numbers = npt.NDArray[Any]


def usual() -> dict[str, Numbers]:
    found: dict[str, Numbers] = {}
    for name, sums in importance(MODEL).items():
        found[f"{name}.in_sum2"] = sums.astype("<f4")
        found[f"{name}.counts"] = np.full((len(sums), 1), 8, "<f4")
    return found


@dataclass(frozen=True)
class File:
    """A GGUF file of an importance matrix, or what pretends to be one."""

    entries: Mapping[str, bytes] = field(default_factory=lambda: ENTRIES)
    tensors: Mapping[str, Numbers] = field(default_factory=usual)
    cut: int | None = None

    def write(self, path: Path) -> Path:
        listed: list[bytes] = []
        data = b""
        for name, numbers in self.tensors.items():
            kind = F16 if numbers.dtype == np.float16 else F32
            listed.append(tensor(name, tuple(reversed(numbers.shape)), kind, len(data)))
            data += numbers.tobytes()
            data += bytes(-len(data) % 32)
        path.write_bytes((gguf(list(self.entries.values()), listed) + data)[: self.cut])
        return path


def sums(change: Callable[[Numbers], object], name: str = SUMS) -> File:
    tensors = usual()
    change(tensors[name])
    return File(tensors=tensors)


def put(name: str, numbers: Any) -> File:
    return File(tensors={**usual(), name: np.asarray(numbers)})


def lacking(name: str) -> File:
    return File(tensors={other: numbers for other, numbers in usual().items() if other != name})


def keys(**changes: bytes) -> File:
    return File(entries={**ENTRIES, **changes})


NONE, SENSELESS = "is a GGUF file, but no importance matrix", "that are no sums of squares"
HOSTILE: dict[str, tuple[File, str]] = {
    **{f"no {key}": (File(entries={k: v for k, v in ENTRIES.items() if k != key}), NONE) for key in ENTRIES},
    "datasets are one text": (keys(datasets=entry("imatrix.datasets", STRING, text("a"))), NONE),
    "number of chunks is text": (keys(count=entry("imatrix.chunk_count", STRING, text("7"))), NONE),
    "more chunks than numbers": (
        keys(count=entry("imatrix.chunk_count", U64, struct.pack("<Q", 1 << 40))),
        "claims to be made of 1,099,511,627,776 chunks",
    ),
    "key of a thousand letters": (keys(more=entry("x" * 1000, 99, b"")), "has the unknown value type 99"),
    "no tensors": (File(tensors={}), "holds sums of 0 tensors"),
    "counts only": (File(tensors={COUNTS: usual()[COUNTS]}), "holds sums of 0 tensors"),
    "no counts": (lacking(COUNTS), "has no counts, or no 32-bit floats"),
    "sums of 16 bits": (put(SUMS, np.ones((1, 64), "<f2")), "has no counts, or no 32-bit floats"),
    "counts of 16 bits": (put(COUNTS, np.ones((1, 1), "<f2")), "has no counts, or no 32-bit floats"),
    "counts that do not divide": (put(COUNTS, np.ones((5, 1), "<f4")), "does not divide into its 5 counts"),
    "more counts than any experts": (
        File(tensors={SUMS: np.ones((8192, 64), "<f4"), COUNTS: np.ones((8192, 1), "<f4")}),
        "does not divide into its 8192 counts",
    ),
    **{
        f"a count of {value}": (put(COUNTS, np.full((1, 1), value, "<f4")), "has counts that are no numbers")
        for value in (np.nan, np.inf, -np.inf, 1e16, -1e16)
    },
    **{
        f"a sum of {value}": (
            sums(lambda numbers, value=value: numbers.__setitem__((0, 9), value)),
            f"holds NaN or infinity for `{NAME}`",
        )
        for value in (np.nan, np.inf, -np.inf)
    },
    "a negative sum": (sums(lambda numbers: numbers.__setitem__((0, 63), -1e-9)), SENSELESS),
    "a sum beyond any text": (sums(lambda numbers: numbers.__setitem__((0, 0), 1e17)), SENSELESS),
    "everything beyond": (sums(lambda numbers: numbers.fill(3e38)), SENSELESS),
    "cut in its data": (File(cut=-200), "ends in the middle of tensor"),
    "cut in its header": (File(cut=600), "ends in the middle of"),
    "of another model": (put(SUMS, np.ones((1, 96), "<f4")), f"has 96 columns for `{NAME}`, which has 64"),
    "of a mixture of the same width": (
        File(tensors={**usual(), COUNTS: np.ones((2, 1), "<f4")}),
        f"has 2 counts for `{NAME}`",
    ),
    "of a mixture": (
        File(tensors={**usual(), SUMS: np.ones((2, 64), "<f4"), COUNTS: np.ones((2, 1), "<f4")}),
        f"has 128 columns for `{NAME}`, which has 64",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_senseless_gguf_gets_a_sentence(name: str, tmp_path: Path) -> None:
    file, reason = HOSTILE[name]
    path = file.write(tmp_path / "imatrix.gguf")
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    check_refused(checkpoint, reason, Wishes(imatrix=path), error=ImatrixError, named=path)


def test_the_file_that_they_are_made_from_is_whole(tmp_path: Path) -> None:
    path = File().write(tmp_path / "imatrix.gguf")
    assert len(Imatrix(path)) == 7
    convert(make_checkpoint(tmp_path / "model", MODEL), tmp_path / "o.gguf", "q4_0", Wishes(imatrix=path))


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def dat(
    *, name: bytes = NAME.encode(), calls: int = 1, numbers: Any = None, size: int | None = None
) -> bytes:
    """One entry of the old form; `size` is a lie unless it is None."""
    values = np.ones(64, "<f4") if numbers is None else np.asarray(numbers, "<f4")
    length = values.size if size is None else size
    return words(len(name)) + name + words(calls, length) + values.tobytes()


ODD, CUT = "is no importance matrix", "is no importance matrix, or is cut off"
BAD_DAT: dict[str, tuple[bytes, str]] = {
    "three bytes": (b"\1\0\0", CUT),
    "no entries": (words(0), ODD),
    "fewer than no entries": (words(-1), ODD),
    "a billion entries": (words(1 << 30) + dat(), ODD),
    "more entries than tensors": (words((1 << 14) + 1) + dat(), ODD),
    "one entry too few": (words(2) + dat(), CUT),
    "text": (b"# a file of words, not of numbers", ODD),
    "name of negative length": (words(1, -1) + dat(), CUT),
    "name beyond reason": (words(1, 1025) + bytes(2000), CUT),
    "name beyond the end": (words(1, 1000) + b"abc", CUT),
    "no sums": (words(1) + dat(size=0), CUT),
    "fewer than no sums": (words(1) + dat(size=-64), CUT),
    "sums beyond the end": (words(1) + dat(size=65), CUT),
    "two billion sums": (words(1) + dat(size=(1 << 31) - 1), CUT),
    "NaN": (words(1) + dat(numbers=[1, np.nan]), "holds NaN or infinity for"),
    "infinity": (words(1) + dat(numbers=[np.inf]), "holds NaN or infinity for"),
    "negative sums": (words(1) + dat(numbers=[1, -1]), SENSELESS),
    "sums beyond any text": (words(1) + dat(numbers=[1e16]), SENSELESS),
    "sums beyond any text, called often": (words(1) + dat(numbers=[3e17], calls=256), SENSELESS),
    "one byte too many": (words(1) + dat() + b"\0", CUT),
    "length of the data set's name beyond the end": (words(1) + dat() + words(7, 100) + b"a.txt", CUT),
    "negative length of the data set's name": (words(1) + dat() + words(7, -5) + b"a.txt", CUT),
    "of another model": (words(1) + dat(numbers=[1.0] * 96), f"has 96 columns for `{NAME}`"),
}


@pytest.mark.parametrize("name", BAD_DAT)
def test_a_senseless_dat_gets_a_sentence(name: str, tmp_path: Path) -> None:
    data, reason = BAD_DAT[name]
    path = tmp_path / "imatrix.dat"
    path.write_bytes(data)
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    check_refused(checkpoint, reason, Wishes(imatrix=path), error=ImatrixError, named=path)


def test_what_a_dat_may_be(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    for data in (
        words(1) + dat(),
        words(1) + dat(calls=-3),
        words(1) + dat(calls=0, numbers=np.zeros(64)),
        words(1) + dat(numbers=[3e17] * 64, calls=1000),
        words(1) + dat() + words(7),
        words(1) + dat() + words(-7, 0),
        words(2) + dat() + dat(name=b"\xff\xfe"),
        words(1) + dat(name=NAME.encode() + b"\0rubbish"),
    ):
        path.write_bytes(data)
        assert NAME in Imatrix(path)


def test_no_truncation_of_a_dat_goes_unnoticed(tmp_path: Path) -> None:
    whole = write_dat(tmp_path / "whole.dat", MODEL).read_bytes()
    path = tmp_path / "cut.dat"
    for size in sorted(random.Random(5).sample(range(1024), 60)):
        path.write_bytes(whole[:size])
        with pytest.raises(ImatrixError):
            Imatrix(path)


def test_what_is_no_file_gets_a_sentence(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", MODEL)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    reasons = {"absent": "there is no", "folder": "there is no", "empty": "cannot be read"}
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe")
        reasons["pipe"] = "there is no"
    for name, reason in {**reasons, "x" * 300: "cannot be read"}.items():
        path = tmp_path / name
        check_refused(checkpoint, reason, Wishes(imatrix=path), error=ImatrixError, named=path)


def test_a_small_type_needs_every_tensor(tmp_path: Path) -> None:
    model = replace(MODEL, hidden=256)
    checkpoint = make_checkpoint(tmp_path / "model", model)
    path = write_dat(tmp_path / "imatrix.dat", model, skip="ffn_up")
    wishes = Wishes(imatrix=path)
    reason = "`blk.0.ffn_up.weight` is not in the importance matrix to become IQ2_XXS"
    with pytest.raises(RecipeError, match=reason):
        convert(checkpoint, tmp_path / "out.gguf", "iq2_xxs", wishes)
    (notice,) = convert(checkpoint, tmp_path / "out.gguf", "q4_k_m", wishes).notices[-1:]
    assert notice == f"`{path}` does not know 1 tensors, such as `blk.0.ffn_up.weight`"
