"""Verdicts of trial loads, remembered: a file is tried once in a child process before this one opens it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from qwen3cli.errors import InvalidFile

_KEPT = 512


def check_once(
    path: Path,
    cache: Path,
    engine_version: str,
    trial: Callable[[Path], str | None],
    further: Sequence[Path] = (),
) -> None:
    """Raise `InvalidFile` with the reason if llama.cpp cannot run `path` with its `further` parts.

    A verdict holds for the files as they are and the engine's version. Only good ones are remembered, so that a
    machine's bad moment does not condemn a file.
    A cache that cannot be written costs the next start half a second, nothing else.
    """
    marks = [f"{status.st_size}:{status.st_mtime_ns}" for status in (one.stat() for one in (path, *further))]
    key = ":".join((engine_version, str(path.resolve()), *marks))
    verdicts = cache / "trial-loads.json"
    good = _read(verdicts)
    if key in good:
        return
    reason = trial(path)
    if reason is not None:
        raise InvalidFile(reason, "fetch or convert the model again")
    _write(verdicts, [*good, key][-_KEPT:])


def _read(path: Path) -> list[str]:
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(data, list):
        return []
    return [item for item in cast("list[object]", data) if isinstance(item, str)]


def _write(path: Path, good: list[str]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(good), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
