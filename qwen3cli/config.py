"""What the environment asks for, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from qwen3cli.errors import UsageError
from qwen3cli.paths import Paths


@dataclass(frozen=True)
class Config:
    """Settings that outlive one command: `QWEN3_HOME`, `QWEN3_MODEL`, `QWEN3_DEBUG`."""

    paths: Paths
    model: str | None = None
    debug: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """Read the environment; empty variables count as unset. A home that cannot be is a `UsageError`."""
        try:
            paths = Paths.of(environ)
        except (OSError, RuntimeError):  # No such user after `~`; or relative to a folder that is gone.
            home = environ.get("QWEN3_HOME", "")
            raise UsageError(
                f"`QWEN3_HOME={home}` leads to no folder", "give the whole path of a folder"
            ) from None
        return cls(
            paths=paths,
            model=environ.get("QWEN3_MODEL") or None,
            debug=environ.get("QWEN3_DEBUG", "") not in ("", "0"),
        )
