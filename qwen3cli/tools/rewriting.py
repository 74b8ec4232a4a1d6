"""Changes to a small file of the user's while no other process makes one; what the system says of it becomes ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from qwen3cli.errors import NotEnough, QwenError, is_disk_full
from qwen3cli.private import alone, write_private


def rewrite(path: Path, text: Callable[[], str]) -> None:
    """Put what `text` gives in place of the file; it is called when no other process can change the file any more.

    A link stays one: what it leads to is replaced.
    """
    try:
        place = Path(os.path.realpath(path))
        with alone(place):
            write_private(place, text().encode())
    except OSError as error:
        if is_disk_full(error):
            raise NotEnough(f"the disk that holds `{path}` is full", "free some space there") from None
        raise QwenError(
            f"`{path}` cannot be written: {error.strerror or error}", "see to its owner and its permissions"
        ) from None
