"""ModelScope, by its plain HTTP API: the hub that answers in China.

Source: the requests of its own client, modelscope 1.40. Endpoint and token come from the variables that this client
obeys: `MODELSCOPE_ENDPOINT`, `MODELSCOPE_DOMAIN` and `MODELSCOPE_API_TOKEN`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.hitches import Hitch
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hub import Listing, Unreachable, odd_answer
from qwen3cli.models.variants import HubFile

_BRANCH = "master"
_CUT_AT = 3000
"""Entries past which the hub cuts a listing without a word."""
_MOST_FOLDERS = 200


class ModelScope:
    """A repository on ModelScope."""

    title = "ModelScope"

    def __init__(self, repository: str, http: Http) -> None:
        self.repository = repository
        self._http = http
        domain = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
        endpoint = os.environ.get("MODELSCOPE_ENDPOINT") or (
            domain if "://" in domain else f"https://{domain}"
        )
        self._base = f"{endpoint.rstrip('/')}/api/v1/models/{quote(repository)}"
        token = os.environ.get("MODELSCOPE_API_TOKEN")
        self._headers = (
            {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
        )

    def listing(self) -> Listing:
        """The repository's main branch now."""
        try:
            entries = self._entries(Recursive="True")
            if len(entries) >= _CUT_AT:
                entries = list(self._walk())
        except HttpRefusal as refusal:
            raise self.explain(refusal) from None
        except Hitch as hitch:
            raise Unreachable(f"{self.title} cannot be reached: {hitch.message}", hitch.hint) from None
        try:
            files = tuple(_as_file(entry) for entry in entries if entry["Type"] != "tree")
            revision = _revision(entries)
        except (KeyError, TypeError, ValueError):
            raise odd_answer(self.title) from None
        return Listing(f"ms://{self.repository}", revision, files)

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        asked = urlencode({"Revision": _BRANCH, "FilePath": file.path})
        return RemoteFile(file.name, f"{self._base}/repo?{asked}", file.size, file.sha256, self._headers)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """Nothing: its own client's cache is not looked at."""
        return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        token = (
            "set `MODELSCOPE_API_TOKEN` if it is private"
            if not self._headers
            else "this token may not see it"
        )
        if refusal.status in (401, 403):
            return NetworkError(f"{self.title} does not give `{self.repository}` to everybody", token)
        if refusal.status == 404:
            return ModelNotFound(
                f"{self.title} has no repository `{self.repository}`", f"check its name; {token}"
            )
        return refusal

    def _walk(self) -> Iterator[Mapping[str, Any]]:
        """All entries, folder by folder."""
        folders = [""]
        for number, folder in enumerate(folders):
            if number == _MOST_FOLDERS:
                raise NetworkError(
                    f"`{self.repository}` on {self.title} has more folders than any model's repository"
                )
            for entry in self._entries(**({"Root": folder} if folder else {})):
                yield entry
                if entry.get("Type") == "tree" and entry.get("Path") not in folders:
                    folders.append(str(entry.get("Path")))

    def _entries(self, **asked: str) -> list[Mapping[str, Any]]:
        url = f"{self._base}/repo/files?{urlencode({'Revision': _BRANCH, **asked})}"
        answer = self._http.json(url, self._headers)
        try:
            found: list[Any] = answer["Data"]["Files"] or []
            return [cast("dict[str, Any]", entry) for entry in found if isinstance(entry, dict)]
        except (KeyError, TypeError):
            raise odd_answer(self.title) from None


def _as_file(entry: Mapping[str, Any]) -> HubFile:
    sha256 = str(entry.get("Sha256") or "").lower()
    return HubFile(str(entry["Path"]), int(entry["Size"]), sha256 if len(sha256) == 64 else None)


def _revision(entries: list[Mapping[str, Any]]) -> str:
    """The commit; where files name different ones, as the listing does for old files, a hash of them all."""
    commits = {
        str(entry["Path"]): str(entry.get("Revision") or "") for entry in entries if entry["Type"] != "tree"
    }
    if len(set(commits.values())) == 1:
        return next(iter(commits.values()))
    return hashlib.sha256(repr(sorted(commits.items())).encode()).hexdigest()[:40]
