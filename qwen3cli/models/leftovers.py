"""Sweeps up what is left in the downloads folder of pulls that nobody goes on with."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from qwen3cli.errors import QwenError
from qwen3cli.models.turns import discard_key
from qwen3cli.models.workshop import sweep_alone

_TRANSFER = re.compile(r"[0-9a-f]{64}\.(?:part|map|whole|sum|sum\.new|bad|lock)")


def sweep_downloads(folder: Path, older_than_s: float) -> None:
    """Remove transfers that nobody has gone on with for so long: of superseded files, of models given up.

    What killed processes were putting together is removed at once: it is made of files that are here, too.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    with suppress(QwenError):
        sweep_alone(folder)
    limit = time.time() - older_than_s
    with suppress(OSError):
        for path in folder.iterdir():
            # One that cannot be removed keeps nobody from pulling.
            with suppress(OSError, QwenError):
                if path.is_symlink() or path.stat().st_mtime > limit:
                    continue
                if _TRANSFER.fullmatch(path.name):
                    discard_key(folder, path.name[:64], until=limit)
