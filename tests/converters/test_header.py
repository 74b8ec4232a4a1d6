"""The GGUF header reader: what it tells of whole files; everything else is refused with a sentence."""

from __future__ import annotations

import os
import random
import resource
import struct
import sys
from pathlib import Path

import pytest

from converters import convert
from converters.errors import HeaderError
from converters.header import read_header
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.ggufs import (
    ARCHITECTURE,
    ARRAY,
    BOOL,
    STRING,
    U32,
    U64,
    entry,
    gguf,
    tensor,
    text,
    texts,
    write,
)
from tests.converters.vocabulary import TEMPLATE

U32_ONE = struct.pack("<I", 1)
FORTY_KEYS = [entry(f"key.{number}", U32, U32_ONE) for number in range(40)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    output = folder / "tiny.gguf"
    convert(make_checkpoint(folder / "tiny", Model()), output, "q8_0", threads=1)
    return output


def test_a_whole_file_is_told_apart(whole: Path) -> None:
    header = read_header(whole)
    assert (header.version, header.architecture, header.quantization, header.name) == (
        3,
        "qwen3",
        "Q8_0",
        "Tiny",
    )
    assert header.chat_template == TEMPLATE
    assert header.integer("qwen3.block_count") == 2
    assert header.parameters == 104_384
    assert header.file_size == whole.stat().st_size
    assert set(header.bytes_by_type) == {"F32", "Q8_0"}
    first, second = header.tensors[:2]
    assert (first.name, first.shape, first.type_name) == ("output_norm.weight", (64,), "F32")
    assert (second.name, second.shape, second.type_name) == ("token_embd.weight", (64, 280), "Q8_0")
    assert (first.offset, second.offset) == (header.data_offset, header.data_offset + 256)
    assert header.tensors[-1].offset + header.tensors[-1].nbytes <= header.file_size


def test_arrays_are_walked_and_kept_only_on_request(whole: Path) -> None:
    tokens = "tokenizer.ggml.tokens"
    header = read_header(whole)
    assert (header.arrays[tokens].type_name, header.arrays[tokens].length) == ("string", 280)
    assert header.arrays[tokens].values is None
    kept = read_header(whole, keep=(tokens, "tokenizer.ggml.token_type"))
    values = kept.arrays[tokens].values
    assert values is not None
    assert values[270] == "<|im_end|>"
    types = kept.arrays["tokenizer.ggml.token_type"].values
    assert types is not None
    assert types[270] == 3
    assert kept.arrays["tokenizer.ggml.merges"].values is None


def test_few_numbers_are_kept_unasked(tmp_path: Path) -> None:
    sections = entry("rope.sections", ARRAY, struct.pack("<IQ4I", U32, 4, 1, 2, 3, 4))
    header = read_header(write(tmp_path, gguf([ARCHITECTURE, sections])))
    assert header.arrays["rope.sections"].values == (1, 2, 3, 4)


def test_other_architectures_versions_and_types_are_read(tmp_path: Path) -> None:
    entries = [
        entry("general.architecture", STRING, text("mamba")),
        entry("general.alignment", U32, struct.pack("<I", 64)),
        entry("big", U64, struct.pack("<Q", 1 << 60)),
        entry("yes", BOOL, b"\1"),
        entry("odd", STRING, text(b"caf\xe9")),
    ]
    tensors = [tensor("a", (256, 2), 14), tensor("b", (3,), 0, 448)]
    header = read_header(write(tmp_path, gguf(entries, tensors, data=448 + 12, version=2, alignment=64)))
    assert (header.architecture, header.version, header.alignment) == ("mamba", 2, 64)
    assert header.metadata["big"] == 1 << 60
    assert header.metadata["yes"] is True
    assert header.metadata["odd"] == "caf\ufffd"
    assert [(one.type_name, one.nbytes) for one in header.tensors] == [("Q6_K", 420), ("F32", 12)]
    assert header.quantization == "Q6_K"


def test_a_file_without_architecture_is_read(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, gguf([entry("general.type", STRING, text("imatrix"))])))
    assert header.architecture is None
    assert header.quantization == "?"


NESTED = struct.pack("<IQ", ARRAY, 1) * 5000 + struct.pack("<IQ", U32, 1) + U32_ONE

HOSTILE = {
    "empty": (b"", "is empty"),
    "three bytes": (b"GGU", "only 3 bytes"),
    "not GGUF": (b"PK\3\4" + bytes(100), "does not begin with `GGUF`"),
    "only the magic": (b"GGUF", "the middle of the version"),
    "no counts": (b"GGUF" + struct.pack("<I", 3), "the number of tensors"),
    "version 0": (gguf(version=0), "version is 0"),
    "version 1": (gguf(version=1), "version 1"),
    "version 4": (gguf(version=4), "version is 4"),
    "big-endian": (gguf(version=3 << 24), "big-endian"),
    "2^60 keys": (gguf(entry_count=1 << 60), "metadata keys"),
    "2^63 tensors": (gguf(tensor_count=1 << 63), "tensors in"),
    "too many keys for the file": (gguf(entry_count=50), "metadata keys in"),
    "more keys than there are": (gguf([*FORTY_KEYS], entry_count=41), "key"),
    "array of 2^60 numbers": (
        gguf([entry("a", ARRAY, struct.pack("<IQ", U32, 1 << 60))]),
        "more than the file",
    ),
    "array of 2^60 texts": (
        gguf([entry("a", ARRAY, struct.pack("<IQ", STRING, 1 << 60))]),
        "more than the file",
    ),
    "array of 2^64-1 bytes": (
        gguf([entry("a", ARRAY, struct.pack("<IQ", 0, (1 << 64) - 1))]),
        "more than the file",
    ),
    "5,000 nested arrays": (gguf([entry("a", ARRAY, NESTED)]), "array of arrays"),
    "array of unknown type": (gguf([entry("a", ARRAY, struct.pack("<IQ", 77, 1))]), "unknown value type 77"),
    "unknown value type": (gguf([entry("a", 13, U32_ONE)]), "unknown value type 13"),
    "huge text": (gguf([entry("a", STRING, struct.pack("<Q", 1 << 40))]), "bytes were to follow"),
    "huge text in a list": (
        gguf([texts("a", ["b"])[:-9] + struct.pack("<Q", 1 << 62) + bytes(64)]),
        "middle of `a`",
    ),
    "text of 2^64-1 in a list": (
        gguf([texts("a", ["b"])[:-9] + struct.pack("<Q", (1 << 64) - 1) + bytes(64)]),
        "middle of `a`",
    ),
    "text of 2^64-1 before another": (
        gguf([entry("a", ARRAY, struct.pack("<IQQ", STRING, 2, (1 << 64) - 1) + bytes(64))]),
        "middle of `a`",
    ),
    "text of 17 MB": (gguf([entry("a", STRING, text(bytes(17 << 20)))]), "are the limit"),
    "empty key": (gguf([entry("", U32, U32_ONE)]), "a metadata key is empty"),
    "key of 2 KB": (gguf([entry("k" * 2048, U32, U32_ONE)]), "are the limit"),
    "key that is not UTF-8": (gguf([entry(b"\xff", U32, U32_ONE)]), "not UTF-8"),
    "duplicate key": (gguf([ARCHITECTURE, ARCHITECTURE]), "occurs twice"),
    "duplicate key, once as array": (gguf([entry("a", U32, U32_ONE), texts("a", ["b"])]), "occurs twice"),
    "architecture is a number": (gguf([entry("general.architecture", U32, U32_ONE)]), "not text"),
    "architecture is a list": (gguf([texts("general.architecture", ["qwen3"])]), "not text"),
    "texts of 20 MB in all": (
        gguf([ARCHITECTURE, *(entry(f"k{n}", STRING, text("x" * (5 << 20))) for n in range(4))]),
        "more text than any model",
    ),
    "six million texts in all": (
        gguf(
            [entry(f"k{n}", ARRAY, struct.pack("<IQ", STRING, 3_000_000) + bytes(24_000_000)) for n in "ab"]
        ),
        "more text than any model",
    ),
    "alignment 0": (gguf([entry("general.alignment", U32, bytes(4))]), "no power of two"),
    "alignment 33": (gguf([entry("general.alignment", U32, struct.pack("<I", 33))]), "no power of two"),
    "alignment 2^31": (
        gguf([entry("general.alignment", U32, struct.pack("<I", 1 << 31))]),
        "no power of two",
    ),
    "alignment is text": (gguf([entry("general.alignment", STRING, text("32"))]), "not a number"),
    "alignment is a list": (gguf([texts("general.alignment", ["32"])]), "not a number"),
    "tensor past the end": (gguf(tensors=[tensor("t", (64, 64))], data=100), "bytes are missing"),
    "tensor cut by one byte": (gguf(tensors=[tensor("t", (8,))], data=31), "at least 1 bytes are missing"),
    "tensor at a wrong offset": (gguf(tensors=[tensor("t", (8,), offset=32)], data=64), "instead of 0"),
    "tensors that overlap": (gguf(tensors=[tensor("t", (8,)), tensor("u", (8,))], data=64), "instead of 32"),
    "offset near 2^64": (gguf(tensors=[tensor("t", (8,), offset=(1 << 64) - 32)], data=64), "instead of 0"),
    "duplicate tensor": (
        gguf(tensors=[tensor("t", (8,)), tensor("t", (8,), offset=32)], data=64),
        "occurs twice",
    ),
    "tensor without dimensions": (gguf(tensors=[tensor("t", ())], data=64), "0 dimensions"),
    "tensor of five dimensions": (gguf(tensors=[tensor("t", (1, 1, 1, 1, 1))], data=64), "5 dimensions"),
    "tensor of 2^32-1 dimensions": (gguf(tensors=[text("t") + b"\xff" * 16], data=64), "dimensions"),
    "tensor of no elements": (gguf(tensors=[tensor("t", (8, 0))], data=64), "impossible shape"),
    "shape that overflows": (gguf(tensors=[tensor("t", (1 << 32, 1 << 32))], data=64), "impossible shape"),
    "shape of 2^63-1": (gguf(tensors=[tensor("t", ((1 << 63) - 1,))], data=64), "bytes are missing"),
    "unknown tensor type": (gguf(tensors=[tensor("t", (8,), 4)], data=64), "unknown type 4"),
    "rows that are no blocks": (gguf(tensors=[tensor("t", (33, 2), 8)], data=99), "no multiple of 32"),
    "tensor name of 64 bytes": (gguf(tensors=[tensor("t" * 64, (8,))], data=64), "are the limit"),
    "tensor name that is not UTF-8": (gguf(tensors=[tensor(b"\xc3", (8,))], data=64), "not UTF-8"),
    "header cut in a tensor": (gguf(tensors=[tensor("t", (8,))])[:-60], "middle of"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    path = write(tmp_path, content)
    with pytest.raises(HeaderError) as caught:
        read_header(path)
    message = str(caught.value)
    assert reason in message
    assert f"`{path}`" in message
    assert not message.endswith(".")
    assert "\n" not in message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="cannot be read"):
        read_header(tmp_path / "absent.gguf")
    with pytest.raises(HeaderError, match="not a regular file"):
        read_header(tmp_path)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(HeaderError, match="not a regular file"):
            read_header(tmp_path / "pipe")


@pytest.mark.parametrize("size", range(0, 7000, 211))
def test_every_truncation_is_refused(whole: Path, tmp_path: Path, size: int) -> None:
    path = write(tmp_path, whole.read_bytes()[:size])
    with pytest.raises(HeaderError):
        read_header(path)


def test_mutations_end_in_success_or_a_header_error(whole: Path, tmp_path: Path) -> None:
    original = whole.read_bytes()
    header = original[: read_header(whole).data_offset]
    chance = random.Random(20250923)
    before, outcomes = peak_memory(), {True: 0, False: 0}
    for _ in range(400):
        path = write(tmp_path, mutated(header, chance) + original[len(header) :])
        try:
            read_header(path, keep=("tokenizer.ggml.tokens",))
            outcomes[True] += 1
        except HeaderError as error:
            assert f"`{path}`" in str(error)
            outcomes[False] += 1
        # A guard against endless walks, some hundred times what the slowest one takes.
    assert min(outcomes.values()) > 20, outcomes
    assert peak_memory() - before < 64 << 20


def mutated(header: bytes, chance: random.Random) -> bytes:
    """A few bytes or one 64-bit field overwritten, or a stretch cut out or doubled."""
    raw = bytearray(header)
    at = chance.randrange(len(raw) - 8)
    kind = chance.randrange(4)
    if kind == 0:
        for _ in range(chance.randint(1, 8)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    elif kind == 1:
        value = chance.choice([0, 1, 0xFF, 1 << 31, 1 << 32, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
        struct.pack_into("<Q", raw, at, value)
    elif kind == 2:
        del raw[at : at + chance.randint(1, 64)]
    else:
        raw[at:at] = raw[at : at + chance.randint(1, 64)]
    return bytes(raw)


def peak_memory() -> int:
    """Most bytes that this process ever had resident; ru_maxrss counts kilobytes on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
