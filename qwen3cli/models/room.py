"""Room on disks, of folders that need not be there yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from qwen3cli.errors import NotEnough
from qwen3cli.models.workshop import standing, translated

_MARGIN = 64 << 20
"""Bytes that stay free for everybody else."""


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on, or will be on."""
    with translated(folder):
        return shutil.disk_usage(standing(folder)).free


def disk_of(folder: Path) -> int:
    """Which disk that is; a number that means nothing else."""
    with translated(folder):
        return standing(folder).stat().st_dev


def check_disk(name: str, folder: Path, need: int) -> None:
    """Raise `NotEnough` unless the disk of `folder` has room for so many bytes of the model `name`."""
    free = free_bytes(folder)
    lacking = need + _MARGIN - free
    if need and lacking > 0:
        raise NotEnough(
            f"`{name}` needs {megabytes(need + _MARGIN)} MB on the disk of {folder},"
            f" which has {megabytes(free)} MB free",
            f"free {megabytes(lacking)} MB, choose a smaller quantization, or set `QWEN3_HOME`",
        )


def megabytes(size: int) -> str:
    """Bytes as whole megabytes, rounded up."""
    return f"{-(-size // 1_000_000):,}"
