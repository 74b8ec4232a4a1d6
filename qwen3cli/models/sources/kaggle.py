"""Kaggle's models, by its plain HTTP API.

Source: the requests of its own client, kagglehub 1.0. Kaggle lists no checksums; its storage tells the MD5 of each
file with the file, and download.py checks that. Credentials as for its client: `KAGGLE_API_TOKEN`, or
`KAGGLE_USERNAME` and `KAGGLE_KEY`, or `~/.kaggle/kaggle.json`; public models need none.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hub import (
    MOST_PAGES,
    Listing,
    asking,
    bytes_in,
    gathered,
    lost_file,
    text_in,
    too_large,
)
from qwen3cli.models.sources.settings import checked_secret, endpoint_of, secret_of
from qwen3cli.models.variants import HubFile

_PAGE = 200


class Kaggle:
    """A variation of a model on Kaggle; `handle` is OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]."""

    title = "Kaggle"

    def __init__(self, handle: str, http: Http) -> None:
        self.handle = handle
        self._http = http
        endpoint = endpoint_of("KAGGLE_API_ENDPOINT", "https://www.kaggle.com")
        variation, self._version = handle, ""
        if handle.count("/") == 4:
            variation, _, self._version = handle.rpartition("/")
        self._base = f"{endpoint}/api/v1/models/{quote(variation)}"
        self._page = f"{endpoint}/models/{quote('/'.join(variation.split('/')[:2]))}"
        self._headers = _credentials()
        self._listed = False

    def listing(self) -> Listing:
        """The files of the version that is asked for, else of the newest."""
        with asking(self, ""):
            about: dict[str, Any] = (
                {} if self._version else self._http.json(f"{self._base}/get", self._headers)
            )
            version = self._version or str(bytes_in(about["versionNumber"]))
            files = gathered(f"`{self.handle}`", self._files(version))
            self._listed = True
            return Listing(f"kaggle://{self.handle}", version, files, text_in(about.get("licenseName") or ""))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        url = f"{self._base}/{listing.revision}/download/{quote(file.path)}"
        return RemoteFile(file.name, url, file.size, None, self._headers, version=listing.revision)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """Nothing: its own client's cache is not looked at."""
        return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        if refusal.status in (401, 403):
            return NetworkError(
                f"{self.title} does not give `{self.handle}` to everybody",
                f"accept its terms at {self._page} and set `KAGGLE_API_TOKEN`",
            )
        if refusal.status == 404 and self._listed:
            return lost_file(self.handle)
        if refusal.status == 404:
            return ModelNotFound(f"{self.title} has no model `{self.handle}`", "check its name and version")
        return refusal

    def _files(self, version: str) -> Iterator[HubFile]:
        token = ""
        for _ in range(MOST_PAGES):
            asked = urlencode({"pageSize": _PAGE, **({"pageToken": token} if token else {})})
            answer = self._http.json(f"{self._base}/{version}/files?{asked}", self._headers)
            for entry in answer["files"]:
                yield HubFile(text_in(entry["name"]), bytes_in(entry["size"]))
            token = text_in(answer.get("nextPageToken") or "")
            if not token:
                return
        raise too_large(f"`{self.handle}`")


def _credentials() -> dict[str, str]:
    token = secret_of("KAGGLE_API_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user, key = secret_of("KAGGLE_USERNAME"), secret_of("KAGGLE_KEY")
    if not (user and key):
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 (pathlib's fails where there is none)
        path = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle") / "kaggle.json"
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            known = json.loads(path.read_text(encoding="utf-8"))
            user, key = (checked_secret(str(known[name]), f"`{path}`") for name in ("username", "key"))
    if not (user and key):
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}
