"""Where things live. `QWEN3_HOME` puts everything under one folder; nothing is created here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and files of one user."""

    home: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        """`QWEN3_HOME` if set, else the place this system keeps application data in."""
        chosen = environ.get("QWEN3_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        import platformdirs

        return cls(Path(platformdirs.user_data_dir("qwen3", appauthor=False)))

    @property
    def models(self) -> Path:
        """The model store: one folder a model."""
        return self.home / "models"

    @property
    def cache(self) -> Path:
        """What can be made again: the converted demo, verdicts of trial loads."""
        return self.home / "cache"

    @property
    def downloads(self) -> Path:
        """Transfers on their way, which a later pull takes up."""
        return self.home / "downloads"

    @property
    def history(self) -> Path:
        """Lines typed in the REPL, private to the user."""
        return self.home / "history"
