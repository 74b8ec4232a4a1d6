"""Verdicts of trial loads, remembered: a file is tried once in a child process before this one opens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qwen3cli.errors import InvalidFile
from qwen3cli.models.memo import Memo

_GOOD = "good"


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
    """
    marks = [f"{status.st_size}:{status.st_mtime_ns}" for status in (one.stat() for one in (path, *further))]
    key = ":".join((engine_version, str(path.resolve()), *marks))
    verdicts = Memo(cache / "trial-loads.json")
    if verdicts.get(key) == _GOOD:
        return
    reason = trial(path)
    if reason is not None:
        raise InvalidFile(reason, "fetch or convert the model again")
    verdicts.put(key, _GOOD)
