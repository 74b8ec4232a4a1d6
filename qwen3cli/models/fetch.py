"""Carries out a pull: room, turn, transfer, check, store. What it fetches was decided in pull.py.

Files lie whole and verified in the downloads folder until the store has all of them, so that a kill at any moment
costs no more than what was on its way.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.models.conversion import check_folder
from qwen3cli.models.download import (
    Claim,
    RemoteFile,
    Watch,
    bytes_there,
    claimed,
    digest,
    discard,
)
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.installed import is_from
from qwen3cli.models.pull import Pull, Steps
from qwen3cli.models.room import check_disk, disk_of
from qwen3cli.models.store import Entry, ModelStore, Origin
from qwen3cli.models.variants import HubFile
from qwen3cli.models.workshop import translated

if TYPE_CHECKING:
    from qwen3cli.machine import ModelFacts


class FetchWatch(Watch, Steps, Protocol):
    """Who wants to know how it goes: a `Watch` that is told which file it is about."""


class Fetcher:
    """One pull on its way into the store; `downloads` is where transfers are kept until they are whole."""

    def __init__(self, pull: Pull, store: ModelStore, downloads: Path, http: Http, watch: FetchWatch) -> None:
        self._pull = pull
        self._store = store
        self._downloads = downloads
        self._http = http
        self._watch = watch
        self._files = {file.path: file for file in pull.files}
        self._remote: dict[str, RemoteFile] = {
            file.path: pull.hub.remote(pull.listing, file) for file in pull.files
        }
        self.checked = False
        """Whether the files were hashed on the way, and not found installed by another process."""

    def missing(self) -> int:
        """Bytes that are still to come, or to be copied from another disk."""
        return sum(map(self._lacking, self._files))

    @property
    def origin(self) -> Origin:
        """Where the model comes from."""
        listing = self._pull.listing
        sha256 = () if self._pull.recipe else self._pull.sha256
        return Origin(self._pull.source, listing.revision, sha256, listing.license)

    def install(self) -> Entry:
        """Fetch GGUF files and put them into the store; what another process has installed meanwhile is taken."""
        self.check_place()
        cached = self._cached()
        if cached:
            self.checked = True
            return self._store.register(
                self._pull.name, cached, self.origin, check=self.check, may_replace=self.may_replace
            )
        self.check_room()
        with self._claims() as claims:
            done = self._installed_meanwhile() or self._put(claims)
            for claim in claims.values():
                claim.discard()
            return done

    def build(self, build: Callable[[Path], Entry]) -> Entry:
        """Fetch a checkpoint and have `build` make a stored model of its folder.

        What another process has installed meanwhile is taken.
        """
        self.check_place()
        self.check_room()
        with self._claims() as claims:
            done = self._installed_meanwhile() or build(self._assembled(claims))
            self._remove_folder()
            return done

    @contextmanager
    def checkpoint(self) -> Generator[Path]:
        """Fetch a checkpoint; gives its folder, which is gone after the block unless that failed."""
        check_disk(self._pull.name, self._downloads, self.missing())
        with self._claims() as claims:
            yield self._assembled(claims)
            self._remove_folder()

    def may_replace(self, entry: Entry) -> None:
        """Raise `UsageError` for a model of another repository that has got the name meanwhile."""
        if not is_from(entry, self._pull.listing.source):
            raise UsageError(
                f"`{self._pull.name}` has just been installed from {entry.origin.source}",
                "give this one another name with `--as NAME`",
            )

    def check_place(self) -> None:
        """Raise what would keep any model from getting this name."""
        self._store.check_place(self._pull.name)

    def check_room(self) -> None:
        """Raise `NotEnough` unless what is missing has room in the downloads folder, and the model in the store."""
        pull = self._pull
        need = self.missing() + (pull.result_bytes if pull.recipe else 0)
        places = [(self._downloads, need)]
        if disk_of(self._downloads) != disk_of(self._store.folder):
            # Files cannot be linked from disk to disk: they are copied.
            places = [(self._downloads, self.missing()), (self._store.folder, pull.result_bytes)]
        for folder, bytes_ in places:
            check_disk(pull.name, folder, bytes_)

    def check(self, facts: ModelFacts) -> None:
        """Raise `InvalidFile` for a model of another kind than the family's name promises."""
        member = self._pull.member
        reason = member.unlike(facts) if member is not None else ""
        if member is not None and reason:
            raise InvalidFile(
                f"`{self._pull.source}` is no {member.name}: it is {reason}",
                "name the repository instead of the family member if that is what you want",
            )

    def clean(self) -> None:
        """Remove what a killed pull has left of files that are installed, as far as that is allowed."""
        with suppress(QwenError):
            for remote in self._remote.values():
                discard(remote, self._downloads)
            self._remove_folder()
            self._store.clean()

    def _there(self) -> int:
        there = sum(bytes_there(remote, self._downloads) for remote in self._remote.values())
        if self._pull.recipe is None:
            return there
        placed = (self._folder() / path for path in self._remote)
        return there + sum(path.stat().st_size for path in placed if path.is_file())

    def _lacking(self, path: str) -> int:
        """Bytes of a file that need room; none if this disk has it under another name."""
        file = self._files[path]
        if there := bytes_there(self._remote[path], self._downloads):
            return max(0, file.size - there)
        disk = disk_of(self._downloads)
        for known in self._known(file):
            if known.is_file() and known.stat().st_size == file.size and disk_of(known) == disk:
                return 0
        return file.size

    def _put(self, claims: Mapping[str, Claim]) -> Entry:
        self.checked = True
        files = [self._fetched(path, claim) for path, claim in claims.items()]
        names = [file.name for file in self._files.values()]
        # Also where the hub lists none, the bytes have been hashed as they came.
        origin = replace(self.origin, sha256=tuple(claim.sha256 for claim in claims.values()))
        try:
            return self._store.install(
                self._pull.name, files, origin, names=names, check=self.check, may_replace=self.may_replace
            )
        except InvalidFile:
            # No other try makes a model of these bytes.
            for claim in claims.values():
                claim.discard()
            raise

    def _assembled(self, claims: Mapping[str, Claim]) -> Path:
        """The folder with all files of a checkpoint in it; one that cannot be converted is refused at once."""
        folder = self._folder()
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # First what says whether the rest is of any use.
        for path in sorted(claims, key=lambda path: path != "config.json"):
            target = folder / path
            if not (target.is_file() and not self._remote[path].checksum):
                whole = self._fetched(path, claims[path])
                with translated(folder):
                    target.parent.mkdir(exist_ok=True)
                    whole.replace(target)
                # Between two names of one file a rename does nothing.
                claims[path].discard()
            if path == "config.json":
                check_folder(folder)
        return folder

    def _fetched(self, path: str, claim: Claim) -> Path:
        """The file, from this machine if it is here under another name, else from the hub."""
        for known in self._known(self._files[path]):
            self._watch.begin(f"checking {self._remote[path].name}")
            if claim.adopt(known, self._watch):
                break
        remote = self._remote[path]
        number = f"{list(self._files).index(path) + 1}/{len(self._files)} " if len(self._files) > 1 else ""
        there = bytes_there(remote, self._downloads)
        if 0 < there < (remote.size or 0):
            self._watch.said(f"continuing `{remote.name}` at {there / 1e6:,.1f} MB")
        self._watch.begin(f"{number}{remote.name}")
        try:
            return claim.fetch(self._http, self._watch)
        except HttpRefusal as refusal:
            raise self._pull.hub.explain(refusal) from None

    def _known(self, file: HubFile) -> Iterator[Path]:
        """Files of this machine that should be the same, by what is written down of them."""
        if self._pull.recipe is not None and (placed := self._folder() / file.path).is_file():
            yield placed
        cached = self._pull.hub.cached(self._pull.listing, file)
        if cached is not None:
            yield cached
        for entry in self._store.entries() if file.sha256 else ():
            if file.sha256 in entry.origin.sha256 and len(entry.files) == len(entry.origin.sha256):
                yield entry.files[entry.origin.sha256.index(file.sha256)]

    def _cached(self) -> list[Path]:
        """The files where another program's cache has them, all of them and with the right bytes; or none."""
        found: list[Path] = []
        for file in self._pull.files:
            path = self._pull.hub.cached(self._pull.listing, file)
            if path is None or file.sha256 is None:
                return []
            self._watch.begin(f"checking {file.name}")
            with translated(path):
                right = digest(path, "sha256", self._watch) == file.sha256
            if not right:
                self._watch.said(f"`{path}` holds other bytes than the hub's file: it is not used")
                return []
            found.append(path)
        return found

    def _installed_meanwhile(self) -> Entry | None:
        """The model, if another process has brought it while this one waited."""
        entry = self._store.find(self._pull.name)
        if entry is None:
            return None
        self.may_replace(entry)
        with suppress(QwenError):
            if self._pull.gives(entry) and self._store.facts(entry):
                return entry
        return None

    def _folder(self) -> Path:
        """Where a checkpoint is put together; its last part becomes the model's name, as of any checkpoint."""
        listing = self._pull.listing
        # Where every file has a checksum, what came of another revision is good as far as it is the same.
        checked = all(remote.checksum for remote in self._remote.values())
        plain = "\n".join([listing.source, "" if checked else listing.revision])
        key = hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16]
        title = re.sub(r"[^A-Za-z0-9._-]", "-", listing.source.rpartition("/")[2]).strip(".")
        return self._downloads / f"checkpoint-{key}" / (title or "model")

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder().parent, ignore_errors=True)

    @contextmanager
    def _claims(self) -> Generator[dict[str, Claim]]:
        """The right to all files; while another process has them, how far that one is with all of them is shown."""
        claims: dict[str, Claim] = {}
        # In one order everywhere, or two pulls could wait for each other.
        order = sorted(self._remote.items(), key=lambda item: (item[1].sha256 or "", item[1].url))
        with ExitStack() as stack:
            waiting = _Waiting(self._watch, self._pull.name, lambda: (self._there(), self._pull.size))
            for path, remote in order:
                claims[path] = stack.enter_context(claimed(remote, self._downloads, waiting))
            yield {path: claims[path] for path in self._remote}


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
