"""The manifest beside a stored model: JSON that a person can read, checked field by field when it is read.

Nothing in it is trusted. A file of the store has a plain name and lies beside the manifest; one that is somebody
else's has an absolute path, with the size and the time that it had when it was registered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.errors import InvalidFile
from qwen3cli.machine import ModelFacts
from qwen3cli.models.filenames import are_parts, is_file_name, is_outside
from qwen3cli.models.workshop import read_whole, write_whole

MANIFEST = "manifest.json"
SCHEMA = 1

_TYPES = {"str": str, "int": int, "bool": bool}
_ELSEWHERE = ("name", "path", "further", "file_bytes")
"""Facts that the folder and the list of files tell."""
_THINKING = ("", *(mode.value for mode in ThinkingMode))
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LIMIT = 1 << 18
_MOST = 1 << 63
_LONGEST, _LONGEST_SOURCE = 256, 4096


@dataclass(frozen=True)
class Origin:
    """Where a model came from.

    `source` is a reference, a URL or an absolute path; `revision` the hub's commit, or an etag; `sha256` of each
    file in order, () where nobody knows; `license` as its source names it; `changes` what was changed on the way, so
    that it is not what a pull would bring.
    """

    source: str
    revision: str = ""
    sha256: tuple[str, ...] = ()
    license: str = ""
    changes: str = ""

    @property
    def shown(self) -> str:
        """The source as people read it, with what was changed."""
        return f"{self.source} + {self.changes}" if self.changes else self.source


@dataclass(frozen=True)
class Part:
    """One file of a model: a plain name, or an absolute path and `modified`, its time in nanoseconds."""

    place: str
    bytes: int
    modified: int | None = None


@dataclass(frozen=True)
class Entry:
    """A model in the store; `added` is seconds since 1970."""

    facts: ModelFacts
    added: float
    origin: Origin
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The name it is called by."""
        return self.facts.name

    @property
    def external(self) -> bool:
        """Whether its files are somebody else's, and stay where they are."""
        return self.parts[0].modified is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, the first part first."""
        return (self.facts.path, *self.facts.further)


@dataclass(frozen=True)
class Unread:
    """A folder of the store whose manifest gives no entry, and why."""

    name: str
    reason: Literal["damaged", "newer", "link"]


def part_of(file: Path, folder: Path) -> Part:
    """A file of a model whose own files are in `folder`."""
    status = file.stat()
    if file.parent == folder:
        return Part(file.name, status.st_size)
    return Part(str(file), status.st_size, status.st_mtime_ns)


def read_manifest(folder: Path) -> Entry | Unread:
    """The entry of the model in `folder`; the model is called like the folder."""
    try:
        # Following it, the store would read and write somewhere else.
        if folder.is_symlink():
            return Unread(folder.name, "link")
        data: dict[str, Any] = json.loads(read_whole(folder / MANIFEST, _LIMIT))
        if type(data["schema"]) is int and data["schema"] > SCHEMA:
            return Unread(folder.name, "newer")
        return _entry(data, folder)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return Unread(folder.name, "damaged")


def write_manifest(path: Path, facts: ModelFacts, origin: Origin, parts: Sequence[Part]) -> None:
    """Write it and have the disk confirm; the caller renames it, or its folder, into place."""
    kept = {field.name: getattr(facts, field.name) for field in fields(facts)}
    plain = {key: _clipped(value) for key, value in kept.items() if key not in _ELSEWHERE}
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "source": _clipped(origin.source, _LONGEST_SOURCE),
        "revision": _clipped(origin.revision),
        "license": _clipped(origin.license),
        "changes": _clipped(origin.changes),
        "added": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **plain,
        "files": [
            _as_json(part, digest) for part, digest in zip(parts, _digests(origin, parts), strict=True)
        ],
    }
    try:
        _entry(manifest, path.parent)
    except (ValueError, TypeError):
        raise InvalidFile(f"the header of `{facts.path}` claims figures that no model has") from None
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    # Paths need not be text: what UTF-8 cannot hold is written as JSON's own escape.
    data = _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()
    if len(data) > _LIMIT:
        raise InvalidFile(f"`{facts.name}` has {len(parts):,} files, too many for the store")
    write_whole(path, data)


def _entry(data: Mapping[str, Any], folder: Path) -> Entry:
    """Raises `ValueError`, `TypeError` or `KeyError` for what `write_manifest` does not write."""
    values: dict[str, Any] = {}
    for field in fields(ModelFacts):
        if field.name not in _ELSEWHERE:
            values[field.name] = _value(data[field.name], _TYPES[str(field.type)])
    if _value(data["schema"], int) != SCHEMA or values["thinking"] not in _THINKING:
        raise ValueError
    origin = Origin(
        _value(data["source"], str, _LONGEST_SOURCE),
        _value(data["revision"], str),
        tuple(_digest(one["sha256"]) for one in data["files"] if "sha256" in one),
        _value(data["license"], str),
        _value(data.get("changes", ""), str),
    )
    parts = tuple(map(_part, data["files"]))
    if not are_parts([part.place for part in parts]) or len({part.modified is None for part in parts}) != 1:
        raise ValueError
    if origin.sha256 and len(origin.sha256) != len(parts):
        raise ValueError
    first, *further = (folder / part.place for part in parts)
    size = _value(sum(part.bytes for part in parts), int)
    facts = ModelFacts(name=folder.name, path=first, further=tuple(further), file_bytes=size, **values)
    return Entry(facts, _seconds(data["added"]), origin, parts)


def _part(data: Mapping[str, Any]) -> Part:
    size = _value(data["bytes"], int)
    if "path" in data:
        path = _value(data["path"], str, _LONGEST_SOURCE)
        if not is_outside(path):
            raise ValueError(path)
        # A file may be older than 1970.
        modified = data["modified_ns"]
        _value(abs(modified), int)
        return Part(path, size, modified)
    name = _value(data["name"], str)
    if not is_file_name(name):
        raise ValueError(name)
    return Part(name, size)


def _as_json(part: Part, sha256: str) -> dict[str, object]:
    digest = {"sha256": sha256} if sha256 else {}
    if part.modified is None:
        return {"name": part.place, "bytes": part.bytes, **digest}
    return {"path": part.place, "bytes": part.bytes, "modified_ns": part.modified, **digest}


def _digests(origin: Origin, parts: Sequence[Part]) -> Sequence[str]:
    for one in origin.sha256:
        if not _DIGEST.fullmatch(one):
            raise InvalidFile(f"`{one}` is no SHA-256 digest")
    return origin.sha256 or [""] * len(parts)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(value)
    return value


def _seconds(value: Any) -> float:
    when = datetime.fromisoformat(_value(value, str))
    if when.tzinfo is None or when.timestamp() < 0:
        raise ValueError(value)
    return when.timestamp()


def _value(value: Any, kind: type, longest: int = _LONGEST) -> Any:
    """`value` if it is of that type and possible; raises `TypeError`."""
    if type(value) is not kind:
        raise TypeError
    if (isinstance(value, str) and len(value) > longest) or (
        isinstance(value, int) and not 0 <= value < _MOST
    ):
        raise TypeError
    return value


def _clipped(value: Any, longest: int = _LONGEST) -> Any:
    """Text of a file or a hub may be of any length."""
    if isinstance(value, str) and len(value) > longest:
        return value[: longest - 1] + "…"
    return value
