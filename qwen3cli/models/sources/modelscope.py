"""ModelScope, by its plain HTTP API: the hub that answers in China.

Source: the requests of its own client, modelscope 1.40. Endpoint and token come from the variables that this client
obeys: `MODELSCOPE_ENDPOINT`, `MODELSCOPE_DOMAIN` and `MODELSCOPE_API_TOKEN`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.sources.hf_cache import find_whole
from qwen3cli.models.sources.hub import Listing, asking, bytes_in, gathered, hash_in, lost_file, text_in
from qwen3cli.models.sources.settings import checked_address, endpoint_of, secret_of
from qwen3cli.models.variants import HubFile

_BRANCH = "master"
_THEIR_BRANCH = "main"
"""The same on Hugging Face."""
_CUT_AT = 3000
"""Entries past which the hub cuts a listing without a word."""
_MOST_FOLDERS = 200
_COMMIT = re.compile(r"[0-9A-Za-z._-]{0,64}")


class ModelScope:
    """A repository on ModelScope."""

    title = "ModelScope"

    def __init__(self, repository: str, http: Http) -> None:
        self.repository = repository
        self._http = http
        self._listed = False

    def listing(self) -> Listing:
        """The repository's main branch now."""
        with asking(self, ""):
            entries = self._entries(Recursive="True")
            if len(entries) >= _CUT_AT:
                entries = list(self._walk())
            files = gathered(f"`{self.repository}`", map(_as_file, entries))
            self._listed = True
            return Listing(f"ms://{self.repository}", _revision(entries), files)

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        asked = urlencode({"Revision": _BRANCH, "FilePath": file.path})
        return RemoteFile(file.name, f"{self._base}/repo?{asked}", file.size, file.sha256, self._headers)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """The file in the cache of huggingface_hub, whose revisions are not this hub's: only where a checksum tells."""
        return find_whole(self.repository, file, _THEIR_BRANCH) if file.sha256 else None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means."""
        token = (
            "set `MODELSCOPE_API_TOKEN` if it is private"
            if not self._headers
            else "this token may not see it"
        )
        if refusal.status in (401, 403):
            page = f"{_endpoint()}/models/{self.repository}"
            return NetworkError(
                f"{self.title} does not give `{self.repository}` to everybody",
                f"see {page} for terms to accept; {token}",
            )
        if refusal.status == 404 and self._listed:
            return lost_file(self.repository)
        if refusal.status == 404:
            return ModelNotFound(
                f"{self.title} has no repository `{self.repository}`", f"check its name; {token}"
            )
        return refusal

    @cached_property
    def _base(self) -> str:
        return f"{_endpoint()}/api/v1/models/{quote(self.repository)}"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        token = secret_of("MODELSCOPE_API_TOKEN")
        return {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}

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
        found: list[Mapping[str, Any]] = self._http.json(url, self._headers)["Data"]["Files"] or []
        return found


def _endpoint() -> str:
    domain = os.environ.get("MODELSCOPE_DOMAIN", "").strip()
    if not domain or os.environ.get("MODELSCOPE_ENDPOINT", "").strip():
        return endpoint_of("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn")
    return checked_address(domain if "://" in domain else f"https://{domain}", "MODELSCOPE_DOMAIN")


def _as_file(entry: Mapping[str, Any]) -> HubFile | None:
    if entry["Type"] == "tree":
        return None
    return HubFile(text_in(entry["Path"]), bytes_in(entry["Size"]), hash_in(entry.get("Sha256"), 64))


def _revision(entries: list[Mapping[str, Any]]) -> str:
    """The commit; where files name different ones, as the listing does for old files, a hash of them all."""
    commits = {
        str(entry["Path"]): str(entry.get("Revision") or "") for entry in entries if entry["Type"] != "tree"
    }
    if len(set(commits.values())) == 1:
        commit = next(iter(commits.values()))
        if _COMMIT.fullmatch(commit):
            return commit
    return hashlib.sha256(repr(sorted(commits.items())).encode()).hexdigest()[:40]
