"""What a tool gave back, as text for a model that has little room; what does not fit is in a file, whose path it gets.

Images and other data are saved and described, never shown. Files belong to the user, have names of our making, and are
swept up after a week.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from qwen3cli.private import write_private
from qwen3cli.tools.kinds import Block, DataBlock, LinkBlock, RawResult, TextBlock
from qwen3cli.tools.wording import harmless, shorten

KEPT_S = 7 * 24 * 3600
_OURS = re.compile(r"\d{8}-\d{6}-[A-Za-z0-9_.-]{1,60}-[0-9a-f]{8}\.[a-z0-9]{1,8}")
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]+")
_HEAD = 0.7
"""The part of the room that the beginning gets; the rest is for the end, where programs write what went wrong."""
_DENSEST = 32
"""Characters of a token in text that is worth counting as a whole: what is longer cannot be made to fit."""
_LEAST = 64
"""Tokens that any result may take, however little room there is: with less, nothing could be said at all."""
_SUFFIXES = {
    **{
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/gif": "gif",
        "image/webp": "webp",
        "image/svg+xml": "svg",
    },
    **{"audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg", "video/mp4": "mp4"},
    **{"application/pdf": "pdf", "application/zip": "zip", "application/json": "json", "text/csv": "csv"},
}

Count = Callable[[str], int]


class Results:
    """Makes texts of results, and keeps files in `folder`; callable from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = False

    def text(self, label: str, result: RawResult) -> str:
        """The whole result of the tool `label` as text; what is no text is in files."""
        pieces = [self._block(label, block) for block in result.blocks]
        said = any(isinstance(block, TextBlock) and block.text.strip() for block in result.blocks)
        # Servers say the same as text; those that do not have nothing else for a model.
        if not said and result.structured is not None:
            pieces.append(json.dumps(result.structured, ensure_ascii=False))
        text = harmless("\n".join(piece for piece in pieces if piece))
        if text.strip():
            return text
        return "The tool failed without saying why." if result.is_error else "The tool returned nothing."

    def fitting(self, label: str, text: str, room: int, count: Count) -> str:
        """The text if it takes at most `room` tokens; else its beginning and its end, and where all of it is."""
        room = max(room, _LEAST)
        if len(text) <= room * _DENSEST and count(text) <= room:
            return text
        lines = text.count("\n") + (not text.endswith("\n"))
        where = self._save(label, text.encode("utf-8", "replace"), "txt")
        cut = f"\n[… cut: this result has {len(text):,} characters in {lines:,} lines; {where} …]\n"
        left = max(0, room - count(cut))
        head = _start(text, int(left * _HEAD), count)
        tail = _start(text[len(head) :], left - count(head), count, backwards=True)
        return head + cut + tail

    def _block(self, label: str, block: Block) -> str:
        if isinstance(block, TextBlock):
            return block.text
        if isinstance(block, LinkBlock):
            about = ": ".join(shorten(part, 200) for part in (block.name, block.description) if part)
            return f"[link to {shorten(block.uri, 500)}{f' ({about})' if about else ''}]"
        return self._data(label, block)

    def _data(self, label: str, block: DataBlock) -> str:
        mime = shorten(block.mime, 80).partition(";")[0].strip().lower() or "application/octet-stream"
        if mime.startswith("text/") or mime == "application/json":
            with suppress(UnicodeDecodeError):
                return block.data.decode()
        where = self._save(label, block.data, _SUFFIXES.get(mime, "bin"))
        return f"[{mime}, {_size(len(block.data))}, {where}]"

    def _save(self, label: str, data: bytes, suffix: str) -> str:
        """Write a file, and say where it is or why it is not there."""
        if not self._swept:
            self._swept = True
            self._sweep()
        name = _UNNAMEABLE.sub("_", label)[:60] or "tool"
        path = self._folder / f"{datetime.now():%Y%m%d-%H%M%S}-{name}-{uuid.uuid4().hex[:8]}.{suffix}"
        try:
            write_private(path, data)
        except OSError as error:
            return f"it could not be saved: {error.strerror or error}"
        return f"saved to {path}"

    def _sweep(self) -> None:
        """Remove what is old; files of others are left alone, and what cannot be removed is tried another day."""
        too_old = time.time() - KEPT_S
        with suppress(OSError):
            for path in self._folder.iterdir():
                if _OURS.fullmatch(path.name) and path.lstat().st_mtime < too_old:
                    path.unlink(missing_ok=True)


def _start(text: str, room: int, count: Count, *, backwards: bool = False) -> str:
    """As much of the text's start, or of its end, as `room` tokens hold; up to the end of a line if one is near."""
    if room <= 0:
        return ""
    length = min(len(text), room * 4)
    piece = _taken(text, length, backwards)
    # Four characters a token are a guess, which the count sets right; the second one can only be too long by little.
    for _ in range(8):
        used = count(piece)
        if used <= room and (len(piece) == len(text) or used >= room * 0.85):
            break
        length = min(len(text), max(1, int(length * (room / max(used, 1)) * (0.97 if used > room else 1.0))))
        piece = _taken(text, length, backwards)
    while count(piece) > room and len(piece) > 1:
        piece = _taken(piece, len(piece) * 3 // 4, backwards)
    if len(piece) == len(text):
        return piece
    if backwards:
        line = piece.find("\n") + 1
        return piece[line:] if 0 < line < len(piece) // 5 else piece
    line = piece.rfind("\n") + 1
    return piece[:line] if line > len(piece) * 4 // 5 else piece


def _taken(text: str, length: int, backwards: bool) -> str:
    return text[len(text) - length :] if backwards else text[:length]


def _size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1_000:.0f} KB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
