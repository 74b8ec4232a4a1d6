"""The metadata of a GGUF file as it is written: keys in order, each with its type, packed into bytes.

Knows the format, not the meaning of any key.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from converters.ggml import SCALAR_FORMATS, ValueType

Value = int | float | bool | str | Sequence[str] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key; `items` is the type of an array's elements, else None."""

    key: str
    kind: ValueType
    value: Value
    items: ValueType | None = None


@dataclass(slots=True)
class Entries:
    """Metadata under construction; empty texts and lists leave no entry, as in llama.cpp's writer."""

    entries: list[Entry] = field(default_factory=list[Entry])

    def text(self, key: str, value: str) -> None:
        """Adds a text."""
        if value:
            self.entries.append(Entry(key, ValueType.STRING, value))

    def u32(self, key: str, value: int) -> None:
        """Adds an unsigned number."""
        self.entries.append(Entry(key, ValueType.UINT32, value))

    def i32(self, key: str, value: int) -> None:
        """Adds a signed number."""
        self.entries.append(Entry(key, ValueType.INT32, value))

    def f32(self, key: str, value: float) -> None:
        """Adds a number that is rounded to 32 bits."""
        self.entries.append(Entry(key, ValueType.FLOAT32, value))

    def flag(self, key: str, value: bool) -> None:
        """Adds yes or no."""
        self.entries.append(Entry(key, ValueType.BOOL, value))

    def texts(self, key: str, values: Sequence[str]) -> None:
        """Adds a list of texts."""
        if values:
            self.entries.append(Entry(key, ValueType.ARRAY, values, ValueType.STRING))

    def i32s(self, key: str, values: Sequence[int]) -> None:
        """Adds a list of signed numbers."""
        if values:
            self.entries.append(Entry(key, ValueType.ARRAY, values, ValueType.INT32))

    def extend(self, other: Entries) -> None:
        """Adds all of the other's entries after these."""
        self.entries.extend(other.entries)

    def rename(self, further: str) -> None:
        """Adds ` + further` to `general.name`."""
        for number, entry in enumerate(self.entries):
            if entry.key == "general.name":
                self.entries[number] = Entry(entry.key, entry.kind, f"{entry.value} + {further}")

    def __len__(self) -> int:
        return len(self.entries)

    def pack(self) -> bytes:
        """The bytes of all entries, in order."""
        return b"".join(_packed(entry) for entry in self.entries)


def packed_text(text: str) -> bytes:
    """A text as GGUF holds it: its length in bytes, then UTF-8. A lone surrogate becomes `?`."""
    raw = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(raw)) + raw


def _packed(entry: Entry) -> bytes:
    head = packed_text(entry.key) + struct.pack("<I", entry.kind)
    value = entry.value
    if isinstance(value, str):
        return head + packed_text(value)
    if isinstance(value, (int, float)):
        return head + struct.pack(f"<{SCALAR_FORMATS[entry.kind]}", value)
    if entry.items is None:
        raise TypeError(f"`{entry.key}` has no element type")
    head += struct.pack("<IQ", entry.items, len(value))
    if entry.items is ValueType.STRING:
        return head + b"".join(packed_text(str(item)) for item in value)
    return head + struct.pack(f"<{len(value)}{SCALAR_FORMATS[entry.items]}", *value)
