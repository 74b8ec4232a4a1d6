"""One file from a server to the disk: continued after any death, checked to the last bit, by one process at a time.

What is under transfer lies in a folder under a KEY, the SHA-256 that the hub lists, else a hash of the URL (see
partial.py). Without a listed SHA-256 what the server itself says is checked, and where it says nothing, that is
said. Knows nothing of hubs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from qwen3cli.errors import NetworkError
from qwen3cli.models.answers import Anew, Source
from qwen3cli.models.hitches import Hitch, Patience
from qwen3cli.models.http import Answer, Http
from qwen3cli.models.partial import CHUNK, Partial, Places, Version, check_room
from qwen3cli.models.placing import link_or_copy
from qwen3cli.models.remote import RemoteFile
from qwen3cli.models.spans import Span
from qwen3cli.models.transfer import Transfer, new_hash
from qwen3cli.models.turns import discard_key, turn
from qwen3cli.models.workshop import translated

_LARGE: Final = 32_000_000
"""Bytes from which on a file comes over several connections."""
_OPENING: Final = 4
"""Chunks of the first request when more is not known to be wise."""
_STARTS: Final = 3
"""How often a file may begin anew in one run."""
_held: Final = set[tuple[int, Path]]()
"""The locks of each thread, which would wait for itself otherwise."""


class Watch(Protocol):
    """Who is told how a download goes, always from the thread that called it."""

    def moved(self, done: int, total: int | None) -> None:
        """Bytes of this file that are there, whoever fetches it."""
        ...

    def said(self, text: str) -> None:
        """Something that the person should know."""
        ...


class WrongBytes(NetworkError):
    """All of a file came, and it is not what it should be."""


class Claim:
    """The right to fetch a file; no other process has it meanwhile. `sha256` is that of what was fetched."""

    def __init__(self, file: RemoteFile, places: Places) -> None:
        self._file = file
        self._places = places
        self.sha256 = file.sha256 and file.sha256.lower()
        self._adopted = False

    def fetch(self, http: Http, watch: Watch, *, connections: int = 4) -> Path:
        """The whole, verified file; the caller moves it away before the claim ends, or finds it there later."""
        whole = self._whole()
        if whole and self._is_right(whole, watch):
            self._places.clear("map", "part", "bad")
            return whole
        source = Source(http, self._file)
        for start in range(_STARTS):
            try:
                return self._attempt(http, source, watch, connections)
            except Anew as reason:
                watch.said(f"{reason}: starting from the beginning")
                self._places.clear("map", "part")
                # Servers of one address may name the same file differently; then its checksum decides.
                source.strict = start == 0 or not self._file.sha256
        raise NetworkError(
            f"`{self._file.name}` is something else each time it is asked for", "try again later"
        )

    def adopt(self, path: Path, watch: Watch) -> bool:
        """Take a file of this machine instead, if its bytes are those that the hub lists; whether they are."""
        kind, _, expected = self._file.checksum.partition(":")
        try:
            if not kind or digest(path, kind, watch) != expected:
                return False
            self._places.clear()
            # What is linked must be the file itself, not a link to it.
            link_or_copy(path.resolve(), self._places["part"])
            self._places["part"].replace(self._places["whole"])
        except OSError:  # It is another's file: what is wrong with it is no error here.
            return False
        self._adopted = True
        return True

    def _is_right(self, whole: Path, watch: Watch) -> bool:
        """Whether a file that an earlier run has left as whole still is; another is dropped."""
        if self._adopted:
            return True
        known = self._file.checksum
        if not known:
            known, _, unchecked = self._places.remembered().partition(" ")
            if unchecked:
                watch.said(_unchecked(self._file.name))
        kind, _, expected = known.partition(":")
        with translated(whole):
            if not kind or digest(whole, kind, watch) != expected:
                self._places.clear("whole", "sum")
                self.sha256 = self._file.sha256 and self._file.sha256.lower()
                return False
            if self.sha256 is None:
                self.sha256 = expected if kind == "sha256" else digest(whole, "sha256", watch)
        return True

    def discard(self) -> None:
        """Drops whatever is there of it."""
        self._places.clear()

    def _whole(self) -> Path | None:
        """The file, if an earlier run has brought and verified it, and something tells that it is still the same."""
        path = self._places["whole"]
        known = self._file.checksum or self._file.version
        with translated(path):
            if known and path.is_file() and self._file.size in (None, path.stat().st_size):
                return path
        self._places.clear("whole")
        return None

    def _attempt(self, http: Http, source: Source, watch: Watch, connections: int) -> Path:
        """From what is there to the verified file, unless it has to begin anew."""
        with ExitStack() as stack:
            partial = self._resumed()
            if partial:
                stack.callback(partial.close)
            source.expect(partial.version if partial else None)
            answer = span = None
            gap = partial.gap(self._most()) if partial else self._beginning()
            if gap:
                answer = stack.enter_context(self._first(source, http.patience, watch, gap))
            if partial is None:
                partial = self._begun(source, watch)
                stack.callback(partial.close)
            elif not source.parts:
                raise Anew("the server does not send parts of files")
            if not source.parts or partial.version.size <= _LARGE:
                connections = 1
            transfer = Transfer(source, partial, watch, http.patience, connections)
            if answer:
                span = transfer.spans.take(self._most() if source.parts else None)
            return self._verified(partial, transfer, span, answer, watch)

    def _resumed(self) -> Partial | None:
        """What another run has left, if it is of this file."""
        partial = Partial.resume(self._places)
        if partial and self._file.size not in (None, partial.version.size):
            partial.close()
            partial = None
        if partial is None:
            self._places.clear("bad")
        if partial or self._file.size is not None:
            known = partial.version if partial else Version(self._file.name, "", self._file.size or 0)
            check_room(self._places, known)
        return partial

    def _most(self) -> int | None:
        """Chunks of the first request; None for all that are missing."""
        size = self._file.size
        return None if size is not None and size <= _LARGE else _OPENING

    def _beginning(self) -> tuple[int, int]:
        most, size = self._most(), self._file.size
        end = most * CHUNK if most else size or 0
        return 0, max(min(end, end if size is None else size), 1)

    def _first(self, source: Source, patience: Patience, watch: Watch, gap: tuple[int, int]) -> Answer:
        """The first answer, which tells what the rest is about; asked for until it comes."""
        failures = 0
        while True:
            try:
                return source.ask(*gap)
            except Hitch as hitch:
                failures += 1
                pause = patience.pause(failures, hitch)
                watch.said(f"{hitch.message}: trying again in {pause:.0f} s")
                time.sleep(pause)

    def _begun(self, source: Source, watch: Watch) -> Partial:
        assert source.version
        partial = Partial.begin(self._places, source.version)
        if not source.parts and source.version.size > _LARGE:
            watch.said("the server does not send parts of files: a download that is cut off starts over")
        return partial

    def _verified(
        self, partial: Partial, transfer: Transfer, span: Span | None, answer: Answer | None, watch: Watch
    ) -> Path:
        name = self._file.name
        wanted = self._file.checksum or partial.version.digest
        kind, _, expected = wanted.partition(":")
        found = transfer.run(span, answer, {kind or "sha256", "sha256"})
        if not kind:
            watch.said(_unchecked(name))
        elif found[kind] != expected:
            bad = partial.spoil()
            raise WrongBytes(
                f"`{name}` is not what it should be: its {kind} is {found[kind]}, not {expected}",
                f"pull it again, perhaps from another source; what came is kept as {bad}",
            )
        self.sha256 = found["sha256"]
        if not self._file.checksum:
            self._places.remember(f"sha256:{self.sha256}{'' if kind else ' unchecked'}")
        return partial.commit()


def _unchecked(name: str) -> str:
    return f"nobody says what checksum `{name}` should have: only its size could be checked"


def digest(path: Path, kind: str, watch: Watch) -> str:
    """A file's hash, of a kind that listings have, in hex; may raise OSError."""
    size = path.stat().st_size
    hasher = new_hash(kind, size)
    with path.open("rb") as file:
        for done in range(0, size, CHUNK):
            hasher.update(file.read(CHUNK))
            watch.moved(min(done + CHUNK, size), size)
    return hasher.hexdigest()


def download(http: Http, file: RemoteFile, folder: Path, watch: Watch, *, connections: int = 4) -> Path:
    """The whole, verified file inside `folder`; waits while another process fetches it.

    Raises `HttpRefusal`, `WrongBytes`, other `NetworkError`s, `NotEnough`, `QwenError`; what came stays.
    """
    with claimed(file, folder, watch) as claim:
        return claim.fetch(http, watch, connections=connections)


@contextmanager
def claimed(file: RemoteFile, folder: Path, watch: Watch) -> Generator[Claim]:
    """The right to fetch `file` during the block; while another process has it, its progress is shown.

    Files of equal bytes are one download: who has the right to one of them has it to the others.
    """
    places = file.places(folder)
    ours = threading.get_ident(), places["lock"]
    if ours in _held:
        yield Claim(file, places)
        return

    def looking(first: bool) -> None:
        if first:
            watch.said(f"another process is downloading `{file.name}`: waiting for it")
        watch.moved(places.held(), file.size)

    with turn(places, looking):
        _held.add(ours)
        try:
            yield Claim(file, places)
        finally:
            _held.discard(ours)


def bytes_there(file: RemoteFile, folder: Path) -> int:
    """How much of it is on the disk, whoever is fetching it."""
    return file.places(folder).held()


def discard(file: RemoteFile, folder: Path, *, until: float = float("inf")) -> None:
    """Drops whatever is there of it, unless somebody is fetching it, or has done so after the time `until`."""
    discard_key(folder, file.places(folder).key, until=until)
