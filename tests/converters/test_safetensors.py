"""Malformed safetensors files: each class of them by name, with the reason that is given."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from converters import convert
from tests.converters.breakages import (
    NORM,
    SMALL,
    WEIGHTS,
    Breakage,
    append,
    check_refused,
    content,
    cut,
    header,
    one,
)
from tests.converters.checkpoints import make_checkpoint, write_raw_safetensors

SENSELESS = "lacks a dtype, a shape or data_offsets that make sense"
CUT = "is cut off in its header"


def raw_header(text: bytes, *, data: bytes = b"") -> Breakage:
    return content(WEIGHTS, struct.pack("<Q", len(text)) + text + data)


def length(change: int) -> Breakage:
    """A length of the header that is wrong by `change`."""

    def breakage(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        (old,) = struct.unpack("<Q", raw[:8])
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", old + change) + raw[8:])

    return breakage


def huge_header(folder: Path) -> None:
    with (folder / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", 30_000_000))
        file.truncate(40_000_000)


def text(change: Callable[[str], str]) -> Breakage:
    """Changes the header as text, which can say what a Python object cannot."""

    def breakage(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        write_raw_safetensors(folder / WEIGHTS, change(raw[8 : 8 + size].decode()), raw[8 + size :])

    return breakage


def described(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [tensor for name, tensor in value.items() if name != "__metadata__"]


def shift(tensor: dict[str, Any], by: int) -> None:
    tensor["data_offsets"] = [offset + by for offset in tensor["data_offsets"]]


def same_place(value: dict[str, Any]) -> None:
    value["twin"] = dict(value[NORM])


def bare(folder: Path) -> None:
    (size,) = struct.unpack("<Q", (folder / WEIGHTS).read_bytes()[:8])
    cut(WEIGHTS, 8 + size)(folder)


def instead(make: Callable[[Path], object]) -> Breakage:
    """Something that is no file in the file's place."""

    def breakage(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        make(folder / WEIGHTS)

    return breakage


MALFORMED: Mapping[str, tuple[Breakage, str]] = {
    # the file
    "empty": (content(WEIGHTS, b""), CUT),
    "fewer bytes than a length has": (content(WEIGHTS, b"\x02\0\0"), CUT),
    "length beyond the end": (cut(WEIGHTS, 100), CUT),
    "length of 64 set bits": (content(WEIGHTS, b"\xff" * 100), CUT),
    "header longer than any model's": (huge_header, "claims a header of 30,000,000 bytes"),
    "length too short": (length(-3), "is not valid JSON"),
    "length too long": (length(5), "a header that is not UTF-8"),
    "a folder": (instead(Path.mkdir), "is not a regular file"),
    "a link to nowhere": (instead(lambda path: path.symlink_to("absent")), "does not exist"),
    "a link to itself": (instead(lambda path: path.symlink_to(path.name)), "cannot be read"),
    # the header as text
    "no header at all": (raw_header(b""), "is not valid JSON"),
    "not UTF-8": (raw_header(b"\xff\xff"), "a header that is not UTF-8"),
    "UTF-16": (raw_header("{}".encode("utf-16")), "a header that is not UTF-8"),
    "no JSON": (raw_header(b"nope"), "is not valid JSON"),
    "two objects": (text(lambda old: old.strip() + "{}"), "is not valid JSON"),
    "a list": (raw_header(b"[]"), "does not hold a JSON object"),
    "null": (raw_header(b"null"), "does not hold a JSON object"),
    "nested too deeply": (raw_header(b'{"a":' * 100_000), "nested too deeply"),
    "values by the million": (raw_header(b'{"a":[' + b"[]," * 600_000 + b"[]]}"), "holds far more values"),
    "a tensor twice": (text(lambda old: old.replace('"model.norm', '"model.embed_tokens')), "occurs twice"),
    "a key of a tensor twice": (
        text(lambda old: old.replace('"shape"', '"dtype":"F32","shape"')),
        "occurs twice",
    ),
    "a number of 5,000 digits": (
        text(lambda old: old.replace("[64]", f"[{'9' * 5000}]")),
        "is not valid JSON: Exceeds the limit",
    ),
    # what it says of a tensor
    "description is a number": (header(lambda value: value.update({NORM: 1})), "has no description"),
    "description is null": (header(lambda value: value.update({NORM: None})), "has no description"),
    "description is a list": (header(lambda value: value.update({NORM: []})), "has no description"),
    "name beyond reason": (
        header(lambda value: value.update({"x" * 5000: value.pop(NORM)})),
        "has a name of 5,000 letters",
    ),
    "no dtype": (header(lambda value: value[NORM].pop("dtype")), SENSELESS),
    "dtype is no text": (one(NORM, dtype=["BF16"]), SENSELESS),
    "unknown dtype": (one(NORM, dtype="F17"), "unknown dtype `F17`"),
    "dtype in small letters": (one(NORM, dtype="bf16"), "unknown dtype `bf16`"),
    "no shape": (header(lambda value: value[NORM].pop("shape")), SENSELESS),
    "shape is text": (one(NORM, shape="64"), SENSELESS),
    "negative shape": (one(NORM, shape=[-64]), SENSELESS),
    "shape of fractions": (one(NORM, shape=[64.0]), SENSELESS),
    "shape of truth values": (one(NORM, shape=[True]), SENSELESS),
    "shape of shapes": (one(NORM, shape=[[64]]), SENSELESS),
    "shape of 100 dimensions": (one(NORM, shape=[1] * 100), SENSELESS),
    "dimension beyond 63 bits": (one(NORM, shape=[1 << 63]), SENSELESS),
    "dimension of 4,000 digits": (one(NORM, shape=[10**4000]), SENSELESS),
    "overflowing shape": (one(NORM, shape=[2**40, 2**40]), "impossible shape"),
    "shape that overflows to the right size": (one(NORM, shape=[(1 << 62) + 16, 4]), "impossible shape"),
    "empty tensor": (one(NORM, shape=[0]), "impossible shape"),
    "an empty dimension among others": (one(NORM, shape=[64, 0]), "impossible shape"),
    "shape of another size": (one(NORM, shape=[63]), "128 bytes, which is not [63] of BF16"),
    "dtype of another size": (one(NORM, dtype="F32"), "128 bytes, which is not [64] of F32"),
    "no shape in numbers": (one(NORM, shape=[]), "128 bytes, which is not [] of BF16"),
    # where it puts a tensor
    "no offsets": (header(lambda value: value[NORM].pop("data_offsets")), SENSELESS),
    "one offset": (one(NORM, data_offsets=[0]), SENSELESS),
    "three offsets": (one(NORM, data_offsets=[0, 128, 256]), SENSELESS),
    "offsets are text": (one(NORM, data_offsets=["0", "128"]), SENSELESS),
    "negative offset": (one(NORM, data_offsets=[-128, 0]), SENSELESS),
    "offsets are fractions": (one(NORM, data_offsets=[0.0, 128.0]), SENSELESS),
    "offset of 4,000 digits": (one(NORM, data_offsets=[10**4000, 10**4000 + 128]), SENSELESS),
    "huge offsets": (one(NORM, data_offsets=[1 << 60, (1 << 60) + 128]), "has a hole before"),
    "swapped offsets": (header(lambda value: value[NORM]["data_offsets"].reverse()), "-128 bytes, which is"),
    # how tensors lie beside each other
    "overlap": (header(lambda value: shift(value[NORM], -2)), "overlaps another"),
    "two tensors at one place": (header(same_place), "overlaps another"),
    "hole": (header(lambda value: shift(value[NORM], 2)), f"has a hole before tensor `{NORM}`"),
    "first tensor not at 0": (
        header(lambda value: [shift(one, 2) for one in described(value)]),
        "has a hole before tensor `model.embed_tokens.weight`",
    ),
    "no data": (bare, "is cut off: at least"),
    "data cut in the middle": (cut(WEIGHTS, 60_000), "is cut off: at least"),
    "data cut by one byte": (cut(WEIGHTS, -1), "is cut off: at least 1 bytes are missing"),
    "a byte behind the data": (append(WEIGHTS, b"\0"), "has 1 bytes after its last tensor"),
    "no tensor, some data": (raw_header(b"{}", data=b"1234"), "has 4 bytes after its last tensor"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_gets_a_sentence(name: str, tmp_path: Path) -> None:
    breakage, reason = MALFORMED[name]
    folder = make_checkpoint(tmp_path / "model", SMALL)
    breakage(folder)
    check_refused(folder, reason, named=folder / WEIGHTS)


def test_there_are_enough_classes() -> None:
    assert len(MALFORMED) >= 22
    assert len({reason for _, reason in MALFORMED.values()}) >= 22


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json", "config.json", "README.md"])
def test_a_named_pipe_does_not_hang(file: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SMALL)
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)
    if file == "README.md":
        convert(folder, tmp_path / "out.gguf", "q8_0", threads=1)
    else:
        check_refused(folder, "is not a regular file" if file == WEIGHTS else f"has no {file}")


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, {"format": 1}, {"a": {"b": [None]}}])
def test_metadata_may_be_anything(value: Any, tmp_path: Path) -> None:
    """Nothing is read from it, and files are around whose values are no texts."""
    folder = make_checkpoint(tmp_path / "model", SMALL)
    convert(folder, tmp_path / "plain.gguf", "q8_0", threads=1)
    header(lambda found: found.update({"__metadata__": value}))(folder)
    convert(folder, tmp_path / "out.gguf", "q8_0", threads=1)
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()


def test_the_order_in_the_header_and_spaces_around_it_mean_nothing(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", SMALL)
    convert(folder, tmp_path / "plain.gguf", "q8_0", threads=1)
    changes: tuple[Callable[[str], str], ...] = (
        lambda old: f"  {old}\n\t ",
        lambda old: old.replace('"model.norm', '"\\u006dodel.norm'),
        lambda old: json.dumps(dict(reversed(json.loads(old).items()))),
    )
    for change in changes:
        text(change)(folder)
        convert(folder, tmp_path / "out.gguf", "q8_0", threads=1)
        assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()
