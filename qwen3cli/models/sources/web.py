"""A GGUF file at a plain URL: no hub lists it, so its size and whatever checksum there is come with it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from qwen3cli.errors import ModelNotFound, QwenError, UsageError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.hitches import Barrier, Hitch
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.reference import without_secrets
from qwen3cli.models.sources.hub import Listing, Unreachable, is_fit
from qwen3cli.models.variants import SUFFIX, HubFile

_DATE = re.compile(r"[A-Za-z0-9,: -]{1,40}")
_ETAG = re.compile(r'(?:W/)?"([!#-~]{1,200})"')


class Web:
    """One file on the web; the query of its URL may be a secret, and is a part of the download only."""

    def __init__(self, url: str, http: Http) -> None:
        self._url = url
        self._http = http
        self._shown = without_secrets(url)
        try:
            address = urlsplit(url)
        except ValueError:
            raise UsageError(f"`{self._shown}` is no address of the web") from None
        self.title = address.hostname or self._shown
        if "@" in address.netloc:
            raise UsageError("a URL with a password in it would end up in files", "leave the password out")
        self._name = unquote(address.path).rsplit("/", 1)[-1]

    def listing(self) -> Listing:
        """The one file; its etag, or the date of its last change, stands in for a revision."""
        if not self._name.lower().endswith(SUFFIX) or not is_fit(self._name):
            hint = f"give a URL that ends in `{SUFFIX}`, or the name of a repository"
            raise ModelNotFound(f"`{self._shown}` is no GGUF file by its name", hint)
        try:
            with self._http.stream(self._url) as answer:
                length = answer.headers.get("content-length", "")
                revision = _revision(answer.headers.get("etag", ""), answer.headers.get("last-modified", ""))
        except HttpRefusal as refusal:
            raise self.explain(refusal) from None
        except (Hitch, Barrier) as error:
            raise Unreachable(error.message, error.hint) from None
        size = int(length) if re.fullmatch(r"[0-9]{1,15}", length) else 0
        return Listing(self._shown, revision, (HubFile(self._name, size),))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get the file."""
        return RemoteFile(file.name, self._url, file.size or None, None, version=listing.revision)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """Nothing."""
        return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        if refusal.status in (404, 410):
            return ModelNotFound(f"there is nothing at `{self._shown}`", "check the address")
        return refusal


def _revision(etag: str, changed: str) -> str:
    version = _ETAG.fullmatch(etag.strip())
    if version:
        return version[1]
    return changed.strip() if _DATE.fullmatch(changed.strip()) else ""
