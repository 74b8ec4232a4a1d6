"""The log of what tools were asked to do, who decided, and what came of it: JSON lines that are only ever added.

Two lines belong to a call, with one `id`: "decided" before it runs, "returned" after it. A call of which the first
cannot be written does not run. Results themselves are not recorded, their size is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qwen3cli.errors import NotEnough, QwenError, is_disk_full
from qwen3cli.private import append_line

_LONGEST = 16_384
"""Characters of arguments that are recorded; of longer ones it is their beginning, their length and their hash."""


class Audit:
    """The log at `path`; callable from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def decided(
        self, call: str, label: str, arguments: Mapping[str, Any], *, allowed: bool, by: str, reason: str = ""
    ) -> None:
        """Record a decision on a call of the tool `label`; raises a `QwenError` if that cannot be written."""
        said = {
            "decision": "allowed" if allowed else "denied",
            "by": by,
            **({"reason": reason} if reason else {}),
        }
        self._write({"event": "decided", "id": call, "tool": label, **_arguments(arguments), **said})

    def returned(
        self, call: str, label: str, *, outcome: str, is_error: bool, size: int, duration_s: float
    ) -> None:
        """Record what came of a call: its result's size in characters, and how long it took."""
        figures = {"is_error": is_error, "size": size, "duration_s": round(duration_s, 3)}
        self._write({"event": "returned", "id": call, "tool": label, "outcome": outcome, **figures})

    def _write(self, record: Mapping[str, Any]) -> None:
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        # ASCII: no character of a server can be taken for the end of a line, or steer a terminal that shows the log.
        line = json.dumps({"time": time, **record}, ensure_ascii=True)
        try:
            append_line(self._path, line.encode())
        except OSError as error:
            kind = NotEnough if is_disk_full(error) else QwenError
            raise kind(
                f"the record of tool calls, {self._path}, cannot be written: {error.strerror or error}",
                "without it no tool runs",
            ) from None


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(arguments, ensure_ascii=False)
    if len(text) <= _LONGEST:
        return {"arguments": arguments}
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return {
        "arguments_start": text[:_LONGEST],
        "arguments_length": len(text),
        "arguments_sha256": digest,
    }
