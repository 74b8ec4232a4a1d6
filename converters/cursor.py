"""A place in the memory-mapped header of a GGUF file: reads numbers and texts, and never past the end.

Knows nothing of what the numbers mean; header.py does.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

from converters.errors import HeaderError
from converters.ggml import SCALAR_FORMATS, ValueType

Scalar = int | float | bool | str

SCALARS: Final = {kind: struct.Struct(f"<{code}") for kind, code in SCALAR_FORMATS.items()}
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_LONGEST: Final = 240
_RETRY: Final = "download or convert it again"


class Cursor:
    """Stands at `at` in `data`; every reading method moves it on and raises HeaderError at the end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.size = len(data)
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self.size - self.at

    def scalar(self, scalar: struct.Struct, what: str) -> int | float | bool:
        """The next value of that format."""
        try:
            (value,) = scalar.unpack_from(self.data, self.at)
        except struct.error:
            raise self.truncated(what) from None
        self.at += scalar.size
        return value

    def u32(self, what: str) -> int:
        """The next four bytes as a number."""
        return int(self.scalar(_U32, what))

    def u64(self, what: str) -> int:
        """The next eight bytes as a number."""
        return int(self.scalar(_U64, what))

    def value_type(self, key: str) -> ValueType:
        """The next value type, of the entry or of the array `key`."""
        number = self.u32(f"the type of `{key}`")
        if number > max(ValueType):
            raise self.refused(f"`{key}` has the unknown value type {number}")
        return ValueType(number)

    def name(self, what: str, limit: int) -> str:
        """The next text, which must not be empty and at most `limit` bytes of UTF-8."""
        try:
            name = self._bytes(what, limit).decode("utf-8")
        except UnicodeDecodeError:
            raise self.refused(f"{what} is not UTF-8") from None
        if not name:
            raise self.refused(f"{what} is empty")
        return name

    def text(self, what: str, limit: int) -> str:
        """The next text; bytes that are not UTF-8 become U+FFFD."""
        return self._bytes(what, limit).decode("utf-8", "replace")

    def numbers(self, scalar: struct.Struct, count: int, *, kept: bool) -> tuple[Scalar, ...] | None:
        """Moves over `count` values that are known to be there; returns them if they are to be kept."""
        begin = self.at
        self.at += count * scalar.size
        if not kept:
            return None
        return tuple(value for (value,) in scalar.iter_unpack(self.data[begin : self.at]))

    def texts(self, count: int, what: str, *, kept: bool) -> tuple[Scalar, ...] | None:
        """Moves over `count` texts; returns them if they are to be kept.

        The hot loop of listing: a Qwen3 vocabulary has 303,000 texts, and there is no index to skip them by.
        """
        texts: list[Scalar] = []
        data, at, end, unpack = self.data, self.at, self.size, _U64.unpack_from
        try:
            for _ in range(count):
                (size,) = unpack(data, at)
                at += 8 + size
                if kept:
                    texts.append(data[at - size : at].decode("utf-8", "replace"))
        # A length of garbage leads past the end, or past what an index can be.
        except (struct.error, OverflowError):
            raise self.truncated(what) from None
        if at > end:
            raise self.truncated(what)
        self.at = at
        return tuple(texts) if kept else None

    def refused(self, reason: str, hint: str = _RETRY) -> HeaderError:
        """The error for something that no whole file has."""
        return HeaderError(f"`{self.path}` is not a valid GGUF file: {_shortened(reason)}", hint=hint)

    def truncated(self, where: str, detail: str = "it was cut off") -> HeaderError:
        """The error for a file that ends too early."""
        return HeaderError(f"`{self.path}` ends in the middle of {_shortened(where)}: {detail}", hint=_RETRY)

    def _bytes(self, what: str, limit: int) -> bytes:
        size = self.u64(f"the length of {what}")
        if size > self.left:
            raise self.truncated(what, f"{size:,} bytes were to follow, and {self.left:,} do")
        if size > limit:
            raise self.refused(f"{what} is {size:,} bytes long, and {limit:,} are the limit")
        self.at += size
        return self.data[self.at - size : self.at]


def _shortened(text: str) -> str:
    """A key may have a thousand letters, all of them rubbish."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"
