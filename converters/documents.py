"""The small files of a checkpoint: JSON and text, with limits and one sentence for each way to be broken."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from converters.errors import CheckpointError

JsonObject = dict[str, Any]

_LIMIT: Final = 20 << 20
"""Bytes. Qwen3's tokenizer.json has 11 MB; nothing else comes near."""
_COSTS: Final = {"[": 1, "{": 1, ",": 1, ":": 2}
_MOST: Final = 1_800_000
"""What a document may cost, each about 100 bytes of memory: Qwen3's tokenizer.json 920,000, a token that is
added to it 22."""


def read_object(path: Path) -> JsonObject:
    """The JSON object in that file; CheckpointError if the file is missing or holds anything else."""
    return parse_object(read_text(path), path)


def read_optional_object(path: Path) -> JsonObject:
    """The JSON object in that file, or an empty one if there is no such file."""
    return read_object(path) if path.is_file() else {}


def read_text(path: Path) -> str:
    """The file as UTF-8 text."""
    try:
        status = path.stat()
        check_regular(path, status)
        if status.st_size > _LIMIT:
            raise CheckpointError(f"`{path}` is larger than {_LIMIT >> 20} MB, no checkpoint has such a file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(f"`{path}` does not exist") from None
    except UnicodeDecodeError:
        raise CheckpointError(f"`{path}` is not UTF-8 text") from None
    except OSError as error:
        raise CheckpointError(f"`{path}` cannot be read: {error.strerror or error}") from error


def check_regular(path: Path, status: os.stat_result) -> None:
    """CheckpointError for what opening would wait for, such as a named pipe, and for what never ends."""
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"`{path}` is not a regular file")


def parse_object(text: str, path: Path, most: int = _MOST) -> JsonObject:
    """The JSON object in `text`; `path` names it in errors. A key that occurs twice is refused.

    Counted before it is parsed: a document of a few megabytes can take hundreds in memory.
    """
    if sum(text.count(mark) * cost for mark, cost in _COSTS.items()) > most:
        raise CheckpointError(f"`{path}` holds far more values than such a file of any checkpoint")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise CheckpointError(f"`{path}` is nested too deeply") from None
    except ValueError as error:
        # Python's advice on numbers of thousands of digits follows a semicolon; it is for programmers.
        raise CheckpointError(f"`{path}` is not valid JSON: {str(error).split(';')[0]}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"`{path}` does not hold a JSON object")
    return cast(JsonObject, value)


def _unique(pairs: Sequence[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key `{key[:80]}` occurs twice")
            seen.add(key)
    return found
