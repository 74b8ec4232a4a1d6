"""Carries out a pull: room, turn, transfer, check, store. What it fetches was decided in pull.py.

Files lie whole and verified in the downloads folder until the store has the model, so that a kill at any moment costs
no more than what was on its way. A checkpoint is put together in a folder of this process alone, out of second names
for its files: pulls of it in several types at once are one transfer, and no file of another revision gets in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.models.conversion import check_folder
from qwen3cli.models.download import (
    Claim,
    RemoteFile,
    bytes_there,
    claimed,
    digest,
    discard,
)
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.installed import is_from
from qwen3cli.models.naming import titled
from qwen3cli.models.parts import is_weights
from qwen3cli.models.placing import second_name
from qwen3cli.models.pull import Pull
from qwen3cli.models.room import check_disk, disk_of
from qwen3cli.models.store import Entry, ModelStore, Origin
from qwen3cli.models.variants import HubFile
from qwen3cli.models.waiting import FetchWatch, Waiting, making
from qwen3cli.models.workshop import sweep_alone, translated, under_construction, unfinished

if TYPE_CHECKING:
    from qwen3cli.machine import ModelFacts


class Fetcher:
    """One pull on its way into the store; `downloads` is where transfers are kept until they are whole."""

    def __init__(self, pull: Pull, store: ModelStore, downloads: Path, http: Http, watch: FetchWatch) -> None:
        self.pull = pull
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
        listing = self.pull.listing
        sha256 = () if self.pull.recipe else self.pull.sha256
        return Origin(self.pull.source, listing.revision, sha256, listing.license)

    def install(self) -> Entry:
        """Fetch GGUF files and put them into the store; what another process has installed meanwhile is taken."""
        self.check_place()
        cached = self._cached()
        if cached:
            self.checked = True
            return self._store.register(
                self.pull.name, cached, self.origin, check=self.check, may_replace=self.may_replace
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
        with making(self._downloads, self.pull.name, self._waiting()):
            done = self._installed_meanwhile()
            if done is None:
                with self.checkpoint() as folder:
                    done = build(folder)
            return done

    @contextmanager
    def checkpoint(self) -> Generator[Path]:
        """Fetch a checkpoint; gives its folder, which is gone after the block, and what was fetched for it, too.

        If the block fails, what was fetched stays for the next time.
        """
        with unfinished(self._downloads) as fresh:
            folder = fresh / self._mark / titled(self.pull.listing.source)
            with translated(self._downloads):
                folder.mkdir(parents=True)
            try:
                with self._claims() as claims:
                    self._assemble(claims, folder)
                yield folder
            except InvalidFile as error:
                # The folder is nothing that the person could look into.
                plain = error.message.replace(f"{folder}{os.sep}", "")
                error.message = plain.replace(str(folder), self.pull.listing.source)
                raise
        self._discard()

    def may_replace(self, entry: Entry) -> None:
        """Raise `UsageError` for a model of another repository that has got the name meanwhile."""
        if not is_from(entry, self.pull.listing.source):
            raise UsageError(
                f"`{self.pull.name}` has just been installed from {entry.origin.shown}",
                "give this one another name with `--as NAME`",
            )

    def check_place(self) -> None:
        """Raise what would keep any model from getting this name."""
        self._store.check_place(self.pull.name)

    def check_room(self, target: Path | None = None) -> None:
        """Raise `NotEnough` unless what is missing has room in the downloads folder, and the model in `target`.

        That is the store's folder unless the model goes elsewhere.
        """
        pull = self.pull
        target = target or self._store.folder
        places = [(self._downloads, self.missing() + (pull.result_bytes if pull.recipe else 0))]
        if disk_of(self._downloads) != disk_of(target):
            # Files cannot be linked from disk to disk: they are copied.
            places = [(self._downloads, self.missing()), (target, pull.result_bytes)]
        for folder, bytes_ in places:
            check_disk(pull.name, folder, bytes_)

    def check(self, facts: ModelFacts) -> None:
        """Raise `InvalidFile` for a model of another kind than the family's name promises."""
        member = self.pull.member
        reason = member.unlike(facts) if member is not None else ""
        if member is not None and reason:
            raise InvalidFile(
                f"`{self.pull.source}` is no {member.name}: it is {reason}",
                "name the repository instead of the family member if that is what you want",
            )

    def clean(self, installed: Entry) -> None:
        """Remove what a killed pull has left of the files of a model that is installed, as far as that is allowed.

        What came later than the model is for another one.
        """
        with suppress(QwenError):
            for remote in self._remote.values():
                # A manifest's time has whole seconds.
                discard(remote, self._downloads, until=installed.added + 1)
            self._store.clean()
            sweep_alone(self._downloads)

    @property
    def _mark(self) -> str:
        """What tells others that just these files are being put together."""
        keys = sorted(remote.places(self._downloads).key for remote in self._remote.values())
        return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]

    def _discard(self) -> None:
        """Drop what was fetched, unless others put it together, too: then the last of them does it."""
        with suppress(QwenError):
            sweep_alone(self._downloads)
            if not under_construction(self._downloads, self._mark):
                for remote in self._remote.values():
                    discard(remote, self._downloads)

    def _there(self) -> int:
        return sum(bytes_there(remote, self._downloads) for remote in self._remote.values())

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
                self.pull.name, files, origin, names=names, check=self.check, may_replace=self.may_replace
            )
        except InvalidFile:
            # No other try makes a model of these bytes.
            for claim in claims.values():
                claim.discard()
            raise

    def _assemble(self, claims: Mapping[str, Claim], folder: Path) -> None:
        """Put all files of a checkpoint into its folder; one that cannot be converted is refused before its weights."""
        weights = [path for path in claims if is_weights(path)]
        try:
            for path in (path for path in claims if path not in weights):
                self._place(path, claims[path], folder)
            wanted = check_folder(folder, weights, self.pull.member)
        except InvalidFile:
            for claim in claims.values():
                claim.discard()
            raise
        for path in wanted:
            self._place(path, claims[path], folder)

    def _place(self, path: str, claim: Claim, folder: Path) -> None:
        whole = self._fetched(path, claim)
        with translated(self._downloads):
            (folder / path).parent.mkdir(exist_ok=True)
            second_name(whole, folder / path)

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
            raise self.pull.hub.explain(refusal) from None

    def _known(self, file: HubFile) -> Iterator[Path]:
        """Files of this machine that should be the same, by what is written down of them."""
        cached = self.pull.hub.cached(self.pull.listing, file)
        if cached is not None:
            yield cached
        for entry in self._store.entries() if file.sha256 else ():
            if file.sha256 in entry.origin.sha256 and len(entry.files) == len(entry.origin.sha256):
                yield entry.files[entry.origin.sha256.index(file.sha256)]

    def _cached(self) -> list[Path]:
        """The files where another program's cache has them, all of them and with the right bytes; or none."""
        found: list[Path] = []
        for file in self.pull.files:
            path = self.pull.hub.cached(self.pull.listing, file)
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
        entry = self._store.find(self.pull.name)
        if entry is None:
            return None
        self.may_replace(entry)
        with suppress(QwenError):
            if self.pull.gives(entry) and self._store.facts(entry):
                return entry
        return None

    def _waiting(self) -> Waiting:
        return Waiting(self._watch, self.pull.name, lambda: (self._there(), self.pull.size))

    @contextmanager
    def _claims(self) -> Generator[dict[str, Claim]]:
        """The right to all files; while another process has them, how far that one is with all of them is shown."""
        claims: dict[str, Claim] = {}
        # In one order everywhere, or two pulls could wait for each other.
        order = sorted(self._remote.items(), key=lambda item: item[1].places(self._downloads).key)
        with ExitStack() as stack:
            waiting = self._waiting()
            for path, remote in order:
                claims[path] = stack.enter_context(claimed(remote, self._downloads, waiting))
            yield {path: claims[path] for path in self._remote}
