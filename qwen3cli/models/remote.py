"""A file as a hub lists it, and under which key it lies while it comes. Nothing of a listing is trusted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwen3cli.errors import NetworkError
from qwen3cli.models.partial import Places

_SIGNATURE = re.compile(
    r"x-(amz|goog|oss|cos|tos|obs)-.*|q-(sign|ak|key|header|url|signature).*|(aws|oss|cos)?accesskeyid|googleaccessid"
    r"|signature|expires|policy|key-pair-id|auth_key|security-token"
    r"|s(ig|e|p|v|r|t|ks|ke|kt|kv|koid|ktid)",
    re.IGNORECASE,
)
"""What storages (S3, GCS, OSS, COS, OBS, CloudFront, Azure) sign a URL with: other each time, for the same file."""


@dataclass(frozen=True)
class RemoteFile:
    """`name` is for people and never a path, `headers` are for the origin of `url` only.

    `git` is git's id of the content, which stands in for a SHA-256 that the hub does not list; `version` what tells
    the file of today from that of tomorrow where there is neither.
    """

    name: str
    url: str
    size: int | None
    sha256: str | None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    git: str | None = None
    version: str = ""

    @property
    def checksum(self) -> str:
        """What the hub lists, as `sha256:HEX` or `git:HEX`; "" for nothing."""
        if self.sha256:
            return f"sha256:{self.sha256.lower()}"
        return f"git:{self.git.lower()}" if self.git else ""

    def places(self, folder: Path) -> Places:
        """Where it lies in `folder`; raises `NetworkError` for figures that cannot be."""
        plain = self.checksum or f"{_unsigned(self.url)}\n{self.size}\n{self.version}"
        key = (self.sha256 or hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()).lower()
        # What listings say becomes the name of a file.
        if not re.fullmatch(r"[0-9a-f]{64}", key) or (self.size or 0) < 0:
            raise NetworkError(f"`{self.name}` is listed with a size or a checksum that cannot be")
        return Places(folder, key)


def _unsigned(url: str) -> str:
    """The URL without its signature, so that a download goes on under one that was signed anew."""
    place, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if not _SIGNATURE.fullmatch(part.partition("=")[0])]
    return place + mark + "&".join(kept)
