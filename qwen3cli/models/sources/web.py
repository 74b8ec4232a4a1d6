"""A GGUF file at a plain URL: no hub lists it, so its size and whatever checksum there is come with it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from qwen3cli.errors import ModelNotFound, QwenError, UsageError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.hitches import Hitch
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hub import Listing, Unreachable
from qwen3cli.models.variants import SUFFIX, HubFile


class Web:
    """One file on the web."""

    def __init__(self, url: str, http: Http) -> None:
        self._url = url
        self._http = http
        address = urlsplit(url)
        self.title = address.hostname or url
        if address.username or address.password:
            raise UsageError("a URL with a password in it would end up in files", "leave the password out")
        self._name = unquote(address.path).rsplit("/", 1)[-1]

    def listing(self) -> Listing:
        """The one file; its etag stands in for a revision."""
        if not self._name.lower().endswith(SUFFIX):
            hint = f"give a URL that ends in `{SUFFIX}`, or the name of a repository"
            raise ModelNotFound(f"`{self._url}` is no GGUF file by its name", hint)
        try:
            with self._http.stream(self._url) as answer:
                length, etag = answer.headers.get("content-length", ""), answer.headers.get("etag", "")
        except HttpRefusal as refusal:
            raise self.explain(refusal) from None
        except Hitch as hitch:
            raise Unreachable(hitch.message, hitch.hint) from None
        file = HubFile(self._name, int(length) if length.isdecimal() else 0)
        return Listing(self._url, etag.strip('W/"'), (file,))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get the file."""
        return RemoteFile(file.name, self._url, file.size or None, None)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """Nothing."""
        return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        if refusal.status in (404, 410):
            return ModelNotFound(f"there is nothing at `{self._url}`", "check the address")
        return refusal
