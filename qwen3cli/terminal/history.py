"""What a person typed before: one JSON string per line, readable by its owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from qwen3cli.terminal.console import Console
from qwen3cli.terminal.sanitise import replace_surrogates


class HistoryFile:
    """Messages and commands in the order they were typed; None for a path keeps nothing.

    A chat must not end for its history: what cannot be read or written is said once.
    """

    def __init__(self, path: Path | None, console: Console) -> None:
        self._path = path
        self._console = console

    def entries(self) -> list[str]:
        """All entries, oldest first; a damaged line is passed over."""
        if self._path is None:
            return []
        try:
            lines = self._path.read_text("utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._give_up("read", error)
            return []
        return [entry for line in lines if isinstance(entry := _parsed(line), str)]

    def append(self, text: str) -> None:
        """Add one entry, in one write."""
        if self._path is None:
            return
        line = json.dumps(replace_surrogates(text), ensure_ascii=False)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.fstat(handle).st_mode & 0o077:
                    self._path.chmod(0o600)
                os.write(handle, (line + "\n").encode())
            finally:
                os.close(handle)
        except OSError as error:
            self._give_up("write", error)

    def _give_up(self, verb: str, error: OSError) -> None:
        self._console.notice(f"cannot {verb} the history `{self._path}`: {error.strerror}; none is kept")
        self._path = None


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
