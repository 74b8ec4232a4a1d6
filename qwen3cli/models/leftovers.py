"""Sweeps up what is left in the downloads folder of pulls that nobody goes on with."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from qwen3cli.errors import QwenError
from qwen3cli.models.download import discard_key

_CHECKPOINT = re.compile(r"checkpoint-[0-9a-f]{16}")
_TRANSFER = re.compile(r"[0-9a-f]{64}\.(?:part|whole|bad)")


def sweep_downloads(folder: Path, older_than_s: float) -> None:
    """Remove transfers that nobody has gone on with for so long: of superseded files, of models given up."""
    if folder.is_symlink():
        return
    limit = time.time() - older_than_s
    with suppress(OSError):
        for path in folder.iterdir():
            # One that cannot be removed keeps nobody from pulling.
            with suppress(OSError, QwenError):
                if path.is_symlink() or path.stat().st_mtime > limit:
                    continue
                if _CHECKPOINT.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
                elif _TRANSFER.fullmatch(path.name):
                    discard_key(folder, path.stem)
