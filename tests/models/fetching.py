"""What tests of downloads share: files on a server of loopback, somebody who watches, and no patience."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from qwen3cli.models.download import RemoteFile, download
from qwen3cli.models.hitches import Patience
from qwen3cli.models.http import Http
from qwen3cli.models.partial import CHUNK
from tests.hubs.serving import Request, Response, Server, file_response

HASTE = Patience(connect_s=5, silence_s=0.3, tries=4, first_pause_s=0.01, longest_pause_s=0.02)
"""Waits for nothing longer than it takes."""
SMALL = 3 * CHUNK + 12_345
LARGE = 34 * CHUNK + 678
"""More than what comes over one connection."""


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Shelf:
    """An application that serves files by path; what it redirects is asked for elsewhere."""

    files: dict[str, tuple[bytes, str, Mapping[str, str]]] = field(
        default_factory=dict[str, tuple[bytes, str, Mapping[str, str]]]
    )
    leads: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, request: Request) -> Response:
        path = urlsplit(request.target).path
        if path in self.leads:
            return Response(302, {"location": self.leads[path]})
        if path not in self.files:
            return Response(404, {"content-type": "text/plain"}, b"no such file")
        data, etag, headers = self.files[path]
        response = file_response(request, data, etag, headers)
        kept = {name: value for name, value in response.headers.items() if name != "etag" or value}
        return Response(response.status, kept, response.body, response.start, response.whole)


class Shop(Server):
    """A server of files; `asked` and `sent` count. With small buffers what has left has almost been read."""

    def __init__(self, buffer: int | None = None) -> None:
        self.shelf = Shelf()
        super().__init__(self.shelf)
        self._server.handle_error = self.ignore
        if buffer:
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)

    def __enter__(self) -> Shop:
        return self

    def ignore(self, request: object, client_address: object) -> None:
        """That clients are gone is no news here."""

    def put(self, path: str, data: bytes, etag: str = '"1"', **headers: str) -> RemoteFile:
        """Serves it from now on, and lists it as a hub does."""
        self.shelf.files[path] = (data, etag, {k.replace("_", "-"): v for k, v in headers.items()})
        name = path.rpartition("/")[2]
        return RemoteFile(name, self.url + path, len(data), hashlib.sha256(data).hexdigest())


@dataclass
class Watcher:
    """Remembers what it is told."""

    moves: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, "int | None"]])
    says: list[str] = field(default_factory=list[str])

    def moved(self, done: int, total: int | None) -> None:
        self.moves.append((done, total))

    def said(self, text: str) -> None:
        self.says.append(text)


def fetch(
    file: RemoteFile,
    folder: Path,
    watch: Watcher | None = None,
    *,
    patience: Patience = HASTE,
    connections: int = 4,
) -> bytes:
    """Downloads it, and gives its bytes."""
    with Http(patience) as http:
        return download(http, file, folder, watch or Watcher(), connections=connections).read_bytes()


def lying(folder: Path) -> list[str]:
    """The kinds of files in the folder of downloads."""
    return sorted(path.suffix.lstrip(".") for path in folder.iterdir())


@contextmanager
def counted(server: Server) -> Generator[list[int]]:
    """The bytes that leave during the block, as the only element when it has ended."""
    before, found = server.sent(), list[int]()
    yield found
    found.append(server.sent() - before)
