"""Carries out a pull: room, turn, transfer, check, store. What it fetches was decided in pull.py.

Files lie whole and verified in the downloads folder until the store has all of them, so that a kill at any moment
costs no more than what was on its way.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qwen3cli.errors import InvalidFile, NotEnough
from qwen3cli.models.download import Claim, RemoteFile, Watch, bytes_there, claimed, discard
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.pull import Pull
from qwen3cli.models.store import Entry, ModelStore, Origin
from qwen3cli.models.workshop import translated

if TYPE_CHECKING:
    from qwen3cli.machine import ModelFacts

_MARGIN = 64 << 20
"""Bytes that stay free for everybody else."""
_CHUNK = 1 << 20


class FetchWatch(Watch, Protocol):
    """Who wants to know how it goes: a `Watch` that is told which file it is about."""

    def begin(self, name: str) -> None:
        """From now on it is about this file, or this step."""
        ...


class Fetcher:
    """One pull on its way into the store; `downloads` is a folder on the same disk as the store."""

    def __init__(self, pull: Pull, store: ModelStore, downloads: Path, http: Http, watch: FetchWatch) -> None:
        self._pull = pull
        self._store = store
        self._downloads = downloads
        self._http = http
        self._watch = watch
        self._remote: dict[str, RemoteFile] = {
            file.path: pull.hub.remote(pull.listing, file) for file in pull.files
        }

    def missing(self) -> int:
        """Bytes that are still to come."""
        return max(0, self._pull.size - self._there())

    def install(self) -> Entry:
        """Fetch GGUF files and put them into the store; what another process has installed meanwhile is taken."""
        twin = self._twin()
        if twin is not None:
            return self._store.copy(twin.name, self._pull.name)
        cached = self._cached()
        if cached:
            return self._store.register(self._pull.name, cached, self.origin)
        self._check_room(self.missing())
        with self._claims() as claims:
            done = self._installed_meanwhile()
            if done is None:
                files = [self._fetched(path, claim) for path, claim in claims.items()]
                done = self._put(files)
            for claim in claims.values():
                claim.discard()
            return done

    def build(self, output_bytes: int, build: Callable[[Path], Entry]) -> Entry:
        """Fetch a checkpoint and have `build` make a stored model of its folder, `output_bytes` large.

        What another process has installed meanwhile is taken.
        """
        self._check_room(self.missing() + output_bytes)
        with self._claims() as claims:
            done = self._installed_meanwhile()
            if done is None:
                done = build(self._assembled(claims))
            self._remove_folder()
            return done

    @contextmanager
    def checkpoint(self) -> Generator[Path]:
        """Fetch a checkpoint; gives its folder, which is gone after the block unless that failed."""
        self._check_room(self.missing())
        with self._claims() as claims:
            yield self._assembled(claims)
            self._remove_folder()

    def _assembled(self, claims: Mapping[str, Claim]) -> Path:
        """The folder with all files of a checkpoint in it."""
        folder = self._folder()
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for path, claim in claims.items():
            target = folder / path
            if not target.is_file():
                whole = self._fetched(path, claim)
                with translated(folder):
                    whole.replace(target)
        return folder

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder().parent, ignore_errors=True)

    def _there(self) -> int:
        there = sum(bytes_there(remote, self._downloads) for remote in self._remote.values())
        if self._pull.recipe is None:
            return there
        placed = (self._folder() / path for path in self._remote)
        return there + sum(path.stat().st_size for path in placed if path.is_file())

    def _fetched(self, path: str, claim: Claim) -> Path:
        self._watch.begin(self._remote[path].name)
        try:
            return claim.fetch(self._http, self._watch)
        except HttpRefusal as refusal:
            raise self._pull.hub.explain(refusal) from None

    def _put(self, files: Sequence[Path]) -> Entry:
        names = [file.name for file in self._pull.files]
        return self._store.install(self._pull.name, files, self.origin, names=names, check=self._check_kind)

    def _check_kind(self, facts: ModelFacts) -> None:
        """Raises `InvalidFile` for a model of another kind than the family's name promises."""
        member = self._pull.member
        if member is None or (member.base == facts.base and facts.thinking in ("", member.thinking.value)):
            return
        raise InvalidFile(
            f"`{self._pull.source}` is no {member.name}: it is of another kind ({facts.thinking or 'base'})",
            "name the repository instead of the family member if that is what you want",
        )

    def _twin(self) -> Entry | None:
        """A model of another name that has the same files."""
        if self._pull.installed is not None or not self._pull.sha256:
            return None
        same = (one for one in self._store.entries() if one.origin.sha256 == self._pull.sha256)
        return next((one for one in same if all(path.is_file() for path in one.files)), None)

    def _installed_meanwhile(self) -> Entry | None:
        entry = self._store.find(self._pull.name)
        if entry is None or not self._pull.gives(entry) or not all(path.is_file() for path in entry.files):
            return None
        return entry

    @property
    def origin(self) -> Origin:
        """Where the model comes from."""
        listing = self._pull.listing
        sha256 = () if self._pull.recipe else self._pull.sha256
        return Origin(self._pull.source, listing.revision, sha256, listing.license)

    def _cached(self) -> list[Path]:
        """The files where another program's cache has them, all of them and with the right bytes; or none."""
        found: list[Path] = []
        for file in self._pull.files:
            path = self._pull.hub.cached(self._pull.listing, file)
            if path is None or file.sha256 is None:
                return []
            self._watch.begin(f"checking {file.name}")
            if _sha256(path, self._watch) != file.sha256:
                self._watch.said(f"`{path}` holds other bytes than the hub's file: it is not used")
                return []
            found.append(path)
        return found

    def _check_room(self, need: int) -> None:
        with translated(self._downloads):
            self._downloads.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._downloads).free
        lacking = need + _MARGIN - free
        if need and lacking > 0:
            raise NotEnough(
                f"`{self._pull.name}` needs {need / 1e9:,.1f} GB more on the disk of {self._downloads},"
                f" which has {free / 1e9:,.1f} GB free",
                f"free {lacking / 1e9:,.1f} GB, choose a smaller quantization, or set `QWEN3_HOME`",
            )

    def clean(self) -> None:
        """Remove what a killed pull has left of files that are installed."""
        for remote in self._remote.values():
            discard(remote, self._downloads)
        self._remove_folder()
        self._store.clean()

    def _folder(self) -> Path:
        """Where a checkpoint is put together; its last part becomes the model's name, as of any checkpoint."""
        listing = self._pull.listing
        plain = "\n".join([listing.source, listing.revision, *self._remote])
        key = hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16]
        title = re.sub(r"[^A-Za-z0-9._-]", "-", listing.source.rpartition("/")[2]).strip(".")
        return self._downloads / f"checkpoint-{key}" / (title or "model")

    @contextmanager
    def _claims(self) -> Generator[dict[str, Claim]]:
        """The right to all files; while another process has them, how far that one is with all of them is shown."""
        with ExitStack() as stack:
            waiting = _Waiting(self._watch, self._pull.name, lambda: (self._there(), self._pull.size))
            yield {
                path: stack.enter_context(claimed(remote, self._downloads, waiting))
                for path, remote in self._remote.items()
            }


class _Waiting:
    """Tells of a whole pull what `claimed` tells of one file."""

    def __init__(self, watch: FetchWatch, name: str, standing: Callable[[], tuple[int, int]]) -> None:
        self._watch = watch
        self._name = name
        self._standing = standing

    def said(self, text: str) -> None:
        self._watch.begin(f"waiting for {self._name}")
        self._watch.said(text)

    def moved(self, done: int, total: int | None) -> None:
        self._watch.moved(*self._standing())


def _sha256(path: Path, watch: Watch) -> str:
    digest = hashlib.sha256()
    size = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            watch.moved(done, size)
    return digest.hexdigest()
