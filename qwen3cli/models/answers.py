"""What a server answers when it is asked for a part of a file, and whether that can be believed.

Every answer must be about the same version of the file: its size, and its etag or date if there is one. Knows
nothing of connections and the disk.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from qwen3cli.errors import NetworkError
from qwen3cli.models.hitches import Hitch, HttpRefusal, host_of
from qwen3cli.models.partial import Version
from qwen3cli.models.reference import without_secrets

if TYPE_CHECKING:
    from qwen3cli.models.download import RemoteFile
    from qwen3cli.models.http import Answer, Http

_DIGESTS: Final = (
    ("repr-digest", "sha256", r"\bsha-256=:([^:]*):"),
    ("digest", "sha256", r"(?i:\bsha-256)=([^,\s]*)"),
    ("digest", "md5", r"(?i:\bmd5)=([^,\s]*)"),
    ("x-goog-hash", "md5", r"\bmd5=([^,\s]*)"),
)
"""Headers about the whole file, even when a part is sent; `Content-MD5` is about the part."""
_DIGEST_BYTES: Final = {"sha256": 32, "md5": 16}
_LONGEST: Final = 500
_PAGES: Final = ("text/html", "application/xhtml")


class Anew(Exception):
    """What has come is of no use: the transfer has to start from the beginning."""


class Source:
    """The file on its server; `version` is what all answers agree on, `parts` whether it sends parts of files."""

    def __init__(self, http: Http, file: RemoteFile) -> None:
        self.version: Version | None = None
        self.parts = True
        self.strict = True
        self._http = http
        self._file = file
        self._place = without_secrets(file.url)[:_LONGEST]
        self._conditions = True
        self._shortcut: tuple[str, Mapping[str, str]] | None = None

    def expect(self, version: Version | None) -> None:
        """What there is already must be of the same version; stamps of another server say nothing."""
        if version and version.place != self._place:
            version = Version(version.name, self._place, version.size)
        self.version = version

    def ask(self, begin: int, end: int) -> Answer:
        """The bytes from `begin`, up to `end` or less far; all of the file if it is not sent in parts.

        Raises `Anew` if the file has changed, `Hitch`, `HttpRefusal`, `NetworkError`.
        """
        answer = self._get(begin, end)
        try:
            if answer.status == 200 and self._condition() and self._is_same(_stamp(answer.headers)):
                # A server that does not understand the condition; the stamps are compared anyway.
                self._conditions = False
                answer.close()
                answer = self._get(begin, end)
            self._judge(answer, begin, end)
        except BaseException:
            answer.close()
            raise
        return answer

    def page(self, url: str) -> NetworkError:
        """The error for an HTML page."""
        return NetworkError(
            f"`{host_of(url)}` sends an HTML page instead of `{self._file.name}`",
            "it may be the login page of a network or of the site: open the address in a browser",
        )

    def _get(self, begin: int, end: int) -> Answer:
        asked: dict[str, str] = {}
        if self.parts:
            asked["Range"] = f"bytes={begin}-{end - 1}"
            if condition := self._condition():
                asked["If-Range"] = condition
        shortcut = self._shortcut
        url, headers = shortcut or (self._file.url, self._file.headers)
        try:
            answer = self._http.stream(url, headers, asked=asked)
        except (Hitch, HttpRefusal) as error:
            # The address that a redirect gave is good for some time only.
            self._shortcut = None
            if shortcut is None or isinstance(error, Hitch):
                raise
            return self._get(begin, end)
        if answer.url != self._file.url:
            self._shortcut = answer.url, headers if answer.trusted else {}
        return answer

    def _condition(self) -> str:
        """The etag under which parts are wanted, if there is a strong one."""
        stamp = self.version.stamp if self.version else ""
        wanted = self.parts and self.strict and self._conditions
        return stamp if wanted and stamp.startswith('"') else ""

    def _judge(self, answer: Answer, begin: int, end: int) -> None:
        self._check_kind(answer)
        size, listed = self._size(answer, begin, end), self._file.size
        host = host_of(answer.url)
        if listed is not None and size != listed:
            raise NetworkError(
                f"`{self._file.name}` has {size:,} bytes on `{host}`, and {listed:,} are listed",
                "try again later, or another source",
            )
        version = Version(
            self._file.name[:100], self._place, size, _stamp(answer.headers), _digest(answer.headers)
        )
        if self.version is None or (size == self.version.size and not self.version.stamp):
            self.version = version
        elif size != self.version.size or (self.strict and not self._is_same(version.stamp)):
            raise Anew(f"`{self._file.name}` has changed on `{host}`")
        if answer.status == 206 or size == 0:
            return
        self.parts = False
        if begin > 0 or answer.status == 416:
            raise Anew(f"`{host}` does not send parts of files")

    def _is_same(self, stamp: str) -> bool:
        """Whether a stamp is the one known; where one is missing, nothing speaks against it."""
        known = self.version.stamp if self.version else ""
        return not known or not stamp or stamp == known

    def _check_kind(self, answer: Answer) -> None:
        encoding = answer.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise NetworkError(
                f"`{host_of(answer.url)}` sends `{self._file.name}` packed ({encoding[:20]}), though asked not to",
                "a proxy on the way may do that",
            )
        if answer.status != 416 and answer.headers.get("content-type", "").lower().startswith(_PAGES):
            raise self.page(answer.url)

    def _size(self, answer: Answer, begin: int, end: int) -> int:
        """Of the whole file, as the answer has it, or the listing."""
        told = answer.headers.get("content-range", "").strip()
        if answer.status == 200:
            size = answer.headers.get("content-length", "*").strip()
        elif answer.status == 416:
            size = told.removeprefix("bytes */") or "*"
        else:
            part = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", told)
            length = answer.headers.get("content-length")
            if not part or not _is_asked(int(part[1]), int(part[2]), length, begin, end):
                host = host_of(answer.url)
                raise NetworkError(f"`{host}` sends another part of `{self._file.name}` than was asked for")
            size = part[3]
        if re.fullmatch(r"\d{1,18}", size):
            return int(size)
        known = self._file.size if self.version is None else self.version.size
        if known is None:
            raise NetworkError(
                f"`{host_of(answer.url)}` does not say how large `{self._file.name}` is",
                "download it with another program, and use the file",
            )
        return known


def _is_asked(first: int, last: int, length: str | None, begin: int, end: int) -> bool:
    """Whether a part is the one that was asked for, or its beginning."""
    return first == begin <= last < end and length in (None, str(last - first + 1))


def _stamp(headers: Mapping[str, str]) -> str:
    """A strong etag, else the date of the last change, else nothing."""
    etag = headers.get("etag", "").strip()
    stamp = etag if etag.startswith('"') else headers.get("last-modified", "").strip()
    return stamp if len(stamp) <= _LONGEST else ""


def _digest(headers: Mapping[str, str]) -> str:
    """The first checksum of the whole file that the server names, as `sha256:HEX` or `md5:HEX`."""
    for header, kind, pattern in _DIGESTS:
        found = re.search(pattern, headers.get(header, ""))
        try:
            value = base64.b64decode(found[1], validate=True) if found else b""
        except (binascii.Error, ValueError):
            continue
        if len(value) == _DIGEST_BYTES[kind]:
            return f"{kind}:{value.hex()}"
    return ""
