"""What LM Studio has: `PUBLISHER/MODEL/FILE.gguf` below its models folder, which a person may have moved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qwen3cli.models.sources.found import Found, Place, scan_files
from qwen3cli.models.sources.looking import Unfit, folder_named, small_text

_LIMIT = 1 << 20
_DEPTH = 3
"""Folders between the models folder and a file: two by its rule, one more for quantizations in folders."""


def places(environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where LM Studio keeps models: in its folder of today or of before, or where its settings say."""
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    with suppress(Unfit):
        pointer = small_text(home / ".lmstudio-home-pointer", None, _LIMIT).strip()
        homes.insert(0, folder_named(pointer, home))
    roots = [root for folder in homes for root in (_chosen(folder, home), folder / "models") if root]
    return [Place(scan, root) for root in dict.fromkeys(roots)]


def _chosen(folder: Path, home: Path) -> Path | None:
    """The models folder that LM Studio's settings name."""
    with suppress(Unfit, ValueError, TypeError, KeyError, RecursionError):
        settings: Any = json.loads(small_text(folder / "settings.json", None, _LIMIT))
        chosen = settings["downloadsFolder"]
        return folder_named(chosen, home) if isinstance(chosen, str) and chosen else None
    return None


def scan(root: Path, program: str) -> Iterator[Found | str]:
    """The GGUF models below one folder."""
    return scan_files(root, program, _DEPTH)
