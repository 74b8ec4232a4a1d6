"""Where things live. `QWEN3_HOME` puts everything under one folder; nothing is created here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and files of one user; without `settings`, what the user writes lies in `home`, too."""

    home: Path
    settings: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        """`QWEN3_HOME` if set, else the places this system keeps application data and settings in."""
        chosen = environ.get("QWEN3_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        import platformdirs

        return cls(
            Path(platformdirs.user_data_dir("qwen3", appauthor=False)),
            Path(platformdirs.user_config_dir("qwen3", appauthor=False)),
        )

    @property
    def models(self) -> Path:
        """The model store: one folder a model."""
        return self.home / "models"

    @property
    def cache(self) -> Path:
        """What can be made again: the converted demo, verdicts of trial loads."""
        return self.home / "cache"

    @property
    def prefixes(self) -> Path:
        """What models have read and other conversations begin with, too, in their own form; private to the user."""
        return self.cache / "prefixes"

    @property
    def downloads(self) -> Path:
        """Transfers on their way, which a later pull takes up."""
        return self.home / "downloads"

    @property
    def history(self) -> Path:
        """Lines typed in the REPL, private to the user."""
        return self.home / "history"

    @property
    def sessions(self) -> Path:
        """Conversations, as they were said; private to the user."""
        return self.home / "sessions"

    @property
    def config(self) -> Path:
        """What the user writes: settings, and which servers there are."""
        return self.settings or self.home

    @property
    def mcp(self) -> Path:
        """The MCP servers of the user."""
        return self.config / "mcp.json"

    @property
    def tools(self) -> Path:
        """What tools leave behind: approvals, the audit log, logs and tokens of servers, saved results."""
        return self.home / "tools"
