"""Short texts that a cache remembers by key: the latest few hundred, in one JSON file.

A cache that cannot be read is empty, and one that cannot be written costs the next start some time, nothing else.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import cast

_KEPT = 512


class Memo:
    """What the file at `path` remembers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> str | None:
        """What was remembered of `key`, if anything."""
        return self._read().get(key)

    def put(self, key: str, value: str) -> None:
        """Remember it, and forget the oldest if there are too many."""
        known = self._read()
        known.pop(key, None)
        kept = dict([*known.items(), (key, value)][-_KEPT:])
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(kept), encoding="utf-8")
            fresh.replace(self._path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()

    def _read(self) -> dict[str, str]:
        try:
            data: object = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(data, dict):
            return {}
        items = cast("dict[str, object]", data).items()
        return {key: value for key, value in items if isinstance(value, str)}
