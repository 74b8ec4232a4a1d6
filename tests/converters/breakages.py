"""Ways to break a checkpoint, and what has to come of it: one sentence that names file and fault, and no output."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters import CheckpointError, ConversionError, Wishes, convert
from tests.converters.checkpoints import (
    Model,
    Stored,
    make_tensors,
    write_json,
    write_raw_safetensors,
    write_safetensors,
)
from tests.converters.vocabulary import make_tokenizer

Breakage = Callable[[Path], object]
SMALL = Model(layers=1)
SHARDED = Model(layers=1, shards=2)
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
INDEX = "model.safetensors.index.json"
FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
WEIGHTS = "model.safetensors"


def edit(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / file).read_text(encoding="utf-8"))
    change(value)
    # Escaped, since tests put half letters into it, which cannot be written otherwise.
    (folder / file).write_text(json.dumps(value), encoding="ascii")


def config(**changes: Any) -> Breakage:
    return lambda folder: edit(folder, "config.json", lambda value: value.update(changes))


def without(file: str, *keys: str) -> Breakage:
    return lambda folder: edit(folder, file, lambda value: [value.pop(key) for key in keys])


def tokenizer(**changes: Any) -> Breakage:
    return lambda folder: write_json(folder / "tokenizer.json", {**make_tokenizer(), **changes})


def bpe(**changes: Any) -> Breakage:
    return tokenizer(model={**make_tokenizer()["model"], **changes})


def content(file: str, data: bytes) -> Breakage:
    return lambda folder: (folder / file).write_bytes(data)


def cut(file: str, size: int) -> Breakage:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:size])


def append(file: str, data: bytes) -> Breakage:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes() + data)


def remove(file: str) -> Breakage:
    return lambda folder: (folder / file).unlink()


def tensors(change: Callable[[dict[str, Stored]], object], model: Model = SMALL) -> Breakage:
    """Writes the weights of `model` again, changed and all in one file."""

    def breakage(folder: Path) -> None:
        made = make_tensors(model)
        change(made)
        write_safetensors(folder / WEIGHTS, made)

    return breakage


def header(change: Callable[[dict[str, Any]], object], file: str = WEIGHTS) -> Breakage:
    """Rewrites the header of a file and leaves its data."""

    def breakage(folder: Path) -> None:
        raw = (folder / file).read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        value = json.loads(raw[8 : 8 + length])
        change(value)
        write_raw_safetensors(folder / file, value, raw[8 + length :])

    return breakage


def one(name: str, **changes: Any) -> Breakage:
    """Changes what a header says of one tensor."""
    return header(lambda value: value[name].update(changes))


def check_refused(
    folder: Path,
    reason: str,
    wishes: Wishes | None = None,
    *,
    recipe: str = "q8_0",
    error: type[ConversionError] = CheckpointError,
    named: Path | None = None,
) -> None:
    """Converts the checkpoint, and wants just one sentence with `reason` and the path `named`, or the folder's."""
    output = folder.parent / "out.gguf"
    before = {path.name for path in folder.parent.iterdir()}
    with pytest.raises(ConversionError) as caught:
        convert(folder, output, recipe, wishes, threads=1)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert reason in message
    assert str(named or folder) in message
    assert len(message.replace(str(named or folder), "")) < 400
    assert message.isprintable()
    assert not message.endswith(".")
    assert {path.name for path in folder.parent.iterdir()} == before
