"""Builds GGUF headers by hand, sane or not: every test says in bytes what it means."""

from __future__ import annotations

import struct
from pathlib import Path

U32, BOOL, STRING, ARRAY, U64 = 4, 7, 8, 9, 10


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def texts(key: str, values: list[str]) -> bytes:
    return entry(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))


def tensor(name: str | bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


ARCHITECTURE = entry("general.architecture", STRING, text("qwen3"))


def gguf(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    data: int = 0,
    version: int = 3,
    alignment: int = 32,
    tensor_count: int | None = None,
    entry_count: int | None = None,
) -> bytes:
    """A file with those parts and `data` zero bytes; the counts are honest unless given."""
    entries = [ARCHITECTURE] if entries is None else entries
    tensors = tensors or []
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(entries) if entry_count is None else entry_count,
    )
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(entries + tensors)
    return header + bytes(-len(header) % alignment + data)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path
