"""Kaggle's models, by its plain HTTP API.

Source: the requests of its own client, kagglehub 1.0. Kaggle lists no checksums; its storage tells the MD5 of each
file with the file, and download.py checks that. Credentials as for its client: `KAGGLE_API_TOKEN`, or
`KAGGLE_USERNAME` and `KAGGLE_KEY`, or `~/.kaggle/kaggle.json`; public models need none.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.hitches import Hitch
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hub import Listing, Unreachable, odd_answer
from qwen3cli.models.variants import HubFile

_PAGE = 200
_MOST_PAGES = 50


class Kaggle:
    """A variation of a model on Kaggle; `handle` is OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]."""

    title = "Kaggle"

    def __init__(self, handle: str, http: Http) -> None:
        self.handle = handle
        self._http = http
        endpoint = (os.environ.get("KAGGLE_API_ENDPOINT") or "https://www.kaggle.com").rstrip("/")
        variation, self._version = handle, ""
        if handle.count("/") == 4:
            variation, _, self._version = handle.rpartition("/")
        self._base = f"{endpoint}/api/v1/models/{quote(variation)}"
        self._page = f"{endpoint}/models/{quote('/'.join(variation.split('/')[:2]))}"
        self._headers = _credentials()

    def listing(self) -> Listing:
        """The files of the version that is asked for, else of the newest."""
        try:
            about: dict[str, Any] = (
                {} if self._version else self._http.json(f"{self._base}/get", self._headers)
            )
            version = self._version or str(int(about["versionNumber"]))
            files = self._files(version)
        except HttpRefusal as refusal:
            raise self.explain(refusal) from None
        except Hitch as hitch:
            raise Unreachable(f"{self.title} cannot be reached: {hitch.message}", hitch.hint) from None
        except (KeyError, TypeError, ValueError):
            raise odd_answer(self.title) from None
        return Listing(f"kaggle://{self.handle}", version, files, str(about.get("licenseName") or ""))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        url = f"{self._base}/{listing.revision}/download/{quote(file.path)}"
        return RemoteFile(file.name, url, file.size, None, self._headers)

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
        if refusal.status == 404:
            return ModelNotFound(f"{self.title} has no model `{self.handle}`", "check its name and version")
        return refusal

    def _files(self, version: str) -> tuple[HubFile, ...]:
        files: list[HubFile] = []
        token = ""
        for _ in range(_MOST_PAGES):
            asked = urlencode({"pageSize": _PAGE, **({"pageToken": token} if token else {})})
            answer: Mapping[str, Any] = self._http.json(
                f"{self._base}/{version}/files?{asked}", self._headers
            )
            files += [HubFile(str(entry["name"]), int(entry["size"])) for entry in answer["files"]]
            token = str(answer.get("nextPageToken") or "")
            if not token:
                return tuple(files)
        raise NetworkError(f"`{self.handle}` on {self.title} has more files than any model")


def _credentials() -> dict[str, str]:
    token = os.environ.get("KAGGLE_API_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if not (user and key):
        folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads((folder / "kaggle.json").read_text(encoding="utf-8"))
            user, key = str(known["username"]), str(known["key"])
    if not (user and key):
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}
