"""Hugging Face, by its plain HTTP API; huggingface_hub knows its token, its endpoint, and whether it may be asked.

Source: https://huggingface.co/docs/hub/api, and the requests of huggingface_hub 2.4. The token goes to the endpoint
only. In offline mode the cache of huggingface_hub stands in for the hub (hf_cache.py), and nothing is asked at all.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError, UsageError
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hf_cache import cached_files, find_whole, home_folder
from qwen3cli.models.sources.hub import (
    MOST_PAGES,
    Listing,
    Unreachable,
    asking,
    bytes_in,
    gathered,
    hash_in,
    lost_file,
    text_in,
    too_large,
)
from qwen3cli.models.sources.settings import checked_secret, endpoint_of, secret_of
from qwen3cli.models.variants import HubFile

if TYPE_CHECKING:
    from qwen3cli.models.download import RemoteFile

_BRANCH = "main"
_ENDPOINT = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT = re.compile(r'<[^<>?]*\?([!-;=?-~]{1,2000})>[^<>]*;\s*rel="?next\b')
_HINT = "check the connection, set `HF_ENDPOINT` to a mirror, or try `--source modelscope`"


class HuggingFace:
    """A repository on Hugging Face, or on the mirror that `HF_ENDPOINT` names."""

    title = "Hugging Face"

    def __init__(self, repository: str, http: Http) -> None:
        self.repository = repository
        self._http = http
        self._listed = False

    def listing(self) -> Listing:
        """The repository's main branch now; in offline mode, what the cache has of it."""
        if _is_offline():
            self._http.forbid(self._forbidden())
            return self._cached_listing()
        api = f"{_endpoint()}/api/models/{quote(self.repository)}"
        with asking(self, _HINT):
            about = self._http.json(f"{api}/revision/{_BRANCH}", self._headers)
            revision = text_in(about["sha"])
            if not _COMMIT.fullmatch(revision):
                raise ValueError
            entries = self._pages(f"{api}/tree/{revision}")
            files = gathered(f"`{self.repository}`", map(_as_file, entries))
            self._listed = True
            return Listing(self.repository, revision, files, _license(about.get("tags")))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`; in offline mode, an error unless the cache has it."""
        from qwen3cli.models.download import RemoteFile

        offline = _is_offline()
        if offline and self.cached(listing, file) is None:
            raise self._forbidden()
        place = f"{quote(self.repository)}/resolve/{quote(listing.revision, safe='')}/{quote(file.path)}"
        headers: Mapping[str, str] = {} if offline else self._headers
        return RemoteFile(file.name, f"{_endpoint()}/{place}", file.size, file.sha256, headers, file.git)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """The file in the cache of huggingface_hub, if its size is right."""
        return find_whole(self.repository, file, listing.revision)

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        if _is_blocked(refusal):
            return self._blocked(refusal)
        asked = self._headers
        page = f"{_endpoint()}/{self.repository}"
        if refusal.status == 401 and asked and not refusal.code:
            return NetworkError(
                f"{self.title} refuses {_place_of_token()}: it is not valid (any more)",
                "set `HF_TOKEN` to a new one, or to none",
            )
        # Not all mirrors pass on the code; who may see a listing but not its files has not accepted the terms.
        unnamed = refusal.status in (401, 403) and not refusal.code
        if refusal.code == "GatedRepo" or (unnamed and (self._listed or asked)):
            return NetworkError(
                f"`{self.repository}` is gated: {self.title} gives it only to people who accepted its terms",
                f"accept them at {page}, and set `HF_TOKEN` to a token of that account",
            )
        vanished = self._listed and refusal.status == 404 and refusal.code != "RepoNotFound"
        if vanished or refusal.code == "EntryNotFound":
            return lost_file(self.repository)
        if refusal.status in (401, 404):
            private = "this token may not see it" if asked else "set `HF_TOKEN` if it is private"
            return ModelNotFound(
                f"{self.title} has no repository `{self.repository}`", f"check its name; {private}"
            )
        said = f": {refusal.reason}" if refusal.reason else ""
        hint = "set `HF_TOKEN` to a valid token" if refusal.status == 403 else refusal.hint
        return NetworkError(
            f"{self.title} refuses `{self.repository}` ({refusal.status}){said}", hint or "try again later"
        )

    def _blocked(self, refusal: HttpRefusal) -> NetworkError:
        """What to say where somebody else refuses: another hub may do what this one is kept from."""
        if not self._listed:
            return Unreachable(f"{self.title} gives no listing: {refusal.message}", _HINT)
        return NetworkError(
            f"{self.title} lists `{self.repository}`, but does not give its files: {refusal.message}",
            f"try `--source modelscope`, or name it `ms://{self.repository}`",
        )

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        token = _token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _pages(self, url: str) -> Iterator[Any]:
        """The entries of all pages.

        Of the address of a next page only the query counts: a mirror may pass on that of the real hub.
        """
        asked: list[str] = []
        query = "recursive=true"
        while query and query not in asked:
            if len(asked) == MOST_PAGES:
                raise too_large(f"`{self.repository}`")
            asked.append(query)
            entries, told = self._http.document(f"{url}?{query}", self._headers)
            yield from entries
            following = _NEXT.search(told.get("link", ""))
            query = following[1] if following else ""

    def _cached_listing(self) -> Listing:
        revision, files = cached_files(self.repository, _BRANCH, os.environ, home_folder())
        if not files:
            raise self._forbidden()
        return Listing(
            self.repository, revision, gathered(f"`{self.repository}`", files), gap=self._forbidden()
        )

    def _forbidden(self) -> NetworkError:
        return NetworkError(
            f"`{self.repository}` is not whole in the cache of Hugging Face, and `HF_HUB_OFFLINE` forbids to ask"
            " for it",
            "unset `HF_HUB_OFFLINE`, or name a model that is there",
        )


def _as_file(entry: Any) -> HubFile | None:
    """Large files are kept by LFS under their SHA-256, the others by git."""
    if entry["type"] != "file":
        return None
    path, lfs = text_in(entry["path"]), entry.get("lfs")
    if lfs is None:
        return HubFile(path, bytes_in(entry["size"]), git=hash_in(entry.get("oid"), 40))
    sha256 = hash_in(lfs["oid"], 64)
    if sha256 is None:
        raise ValueError
    return HubFile(path, bytes_in(lfs["size"]), sha256)


def _is_blocked(refusal: HttpRefusal) -> bool:
    """Whether somebody on the way, or the law, keeps the hub from us, so that another one may do."""
    page = refusal.status in (401, 403) and refusal.is_page and not refusal.code
    return page or refusal.status == 451


def _license(tags: Any) -> str:
    listed = cast("list[object]", tags) if isinstance(tags, list) else []
    known = [tag for tag in listed if isinstance(tag, str)]
    return next((tag.removeprefix("license:") for tag in known if tag.startswith("license:")), "")


@contextmanager
def _undisturbed() -> Generator[None]:
    """Keeps what huggingface_hub warns of or prints to itself; what it cannot read is a setting's fault."""
    endpoint_of("HF_ENDPOINT", _ENDPOINT)  # Its import fails, and prints, where this is no address.
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        except (ValueError, OSError) as error:
            raise UsageError(
                f"huggingface_hub cannot use its settings: {error}",
                "look at the variables whose names begin with `HF_`",
            ) from None


def _is_offline() -> bool:
    with _undisturbed():
        from huggingface_hub import is_offline_mode

        return is_offline_mode()


def _endpoint() -> str:
    with _undisturbed():
        from huggingface_hub import constants

        return endpoint_of("HF_ENDPOINT", constants.ENDPOINT.strip() or _ENDPOINT)


def _token() -> str:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        secret_of(variable)
    with _undisturbed():
        import httpx2
        from huggingface_hub import errors, get_token

        try:
            return checked_secret(get_token() or "", _place_of_token())
        except (errors.OIDCError, httpx2.HTTPError) as error:
            raise NetworkError(
                f"there is no token for Hugging Face: {error}", "unset `HF_OIDC_RESOURCE`"
            ) from None


def _place_of_token() -> str:
    named = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return "the token in `HF_TOKEN`" if named else "the token of `hf auth login`"
