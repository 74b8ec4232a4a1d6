"""The metadata of a GGUF file as it is written: keys in order, each packed into bytes as it comes.

Packed at once, so that a vocabulary of 150,000 texts need not stay in memory as objects. Knows the format, not
the meaning of any key.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from converters.ggml import SCALAR_FORMATS, ValueType


class Entries:
    """Metadata under construction; empty texts and lists leave no entry, as in llama.cpp's writer."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []

    def text(self, key: str, value: str) -> None:
        """Adds a text."""
        if value:
            self._add(key, ValueType.STRING, packed_text(value))

    def u32(self, key: str, value: int) -> None:
        """Adds an unsigned number."""
        self._scalar(key, ValueType.UINT32, value)

    def i32(self, key: str, value: int) -> None:
        """Adds a signed number."""
        self._scalar(key, ValueType.INT32, value)

    def f32(self, key: str, value: float) -> None:
        """Adds a number that is rounded to 32 bits."""
        self._scalar(key, ValueType.FLOAT32, value)

    def flag(self, key: str, value: bool) -> None:
        """Adds yes or no."""
        self._scalar(key, ValueType.BOOL, value)

    def texts(self, key: str, values: Sequence[str]) -> None:
        """Adds a list of texts."""
        if values:
            self._array(key, ValueType.STRING, len(values), b"".join(packed_text(value) for value in values))

    def i32s(self, key: str, values: Sequence[int]) -> None:
        """Adds a list of signed numbers."""
        if values:
            packed = struct.pack(f"<{len(values)}{SCALAR_FORMATS[ValueType.INT32]}", *values)
            self._array(key, ValueType.INT32, len(values), packed)

    def extend(self, other: Entries) -> None:
        """Adds all of the other's entries after these."""
        self._packed += other._packed

    def __len__(self) -> int:
        return len(self._packed)

    def pack(self) -> bytes:
        """The bytes of all entries, in order."""
        return b"".join(self._packed)

    def _scalar(self, key: str, kind: ValueType, value: float) -> None:
        self._add(key, kind, struct.pack(f"<{SCALAR_FORMATS[kind]}", value))

    def _array(self, key: str, items: ValueType, count: int, packed: bytes) -> None:
        self._add(key, ValueType.ARRAY, struct.pack("<IQ", items, count) + packed)

    def _add(self, key: str, kind: ValueType, packed: bytes) -> None:
        self._packed.append(packed_text(key) + struct.pack("<I", kind) + packed)


def packed_text(text: str) -> bytes:
    """A text as GGUF holds it: its length in bytes, then UTF-8. A lone surrogate becomes `?`."""
    raw = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(raw)) + raw
