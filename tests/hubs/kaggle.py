"""A server of ours in the shape of Kaggle's API, and its storage at another host.

Proven by kagglehub 1.0.2 (kagglesdk), which calls procedures: `POST {base}/v1/models.ModelApiService/{name}` with a
JSON body, where base is `https://api.kaggle.com` for the real one and `{endpoint}/api` for any other endpoint:

- `GetModelInstance` {ownerSlug, modelSlug, framework, instanceSlug}, when no version was named: `versionNumber`,
  `licenseName`, `totalUncompressedBytes`. `framework` goes as "MODEL_FRAMEWORK_TRANSFORMERS", comes back as either.
- `ListModelInstanceVersionFiles` {…, versionNumber, pageSize, pageToken}: `files[]` with `name`, `size`,
  `creationDate`, and `nextPageToken` ("" at the end). No checksum. The client asks for one page of 25, and takes the
  archive when there are more.
- `DownloadModelInstanceVersion` {…, versionNumber, path}: a 302 to storage, for one file or, without `path`, for a
  tar.gz of all. Storage gives `x-goog-hash: crc32c=…,md5=…` (Base64 of 4 and 16 bytes), which is all that proves the
  bytes, `ETag` (MD5 in hex), `Content-Length`, and serves ranges.

The same is at `https://www.kaggle.com/api/v1/models/{owner}/{model}/{framework}/{variation}` as plain GETs, by the
SDK's own table of paths: `…/get`, `…/{version}/files?pageSize=&pageToken=` (also as page_size, page_token) and
`…/{version}/download/{path}` or, for the archive, `…/{version}/download`. kagglehub 0.3.6, which asked this way
(with page_size, and an endpoint from KAGGLE_API_ENDPOINT), passed here by hand. Both ways lead to one answer.

Public models need no login. Credentials are `Authorization: Bearer` (KAGGLE_API_TOKEN) or Basic (KAGGLE_USERNAME and
KAGGLE_KEY); a model that wants consent is 403. Errors are `{"code": 404, "message": …}` with the HTTP status.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from tests.hubs.repository import Repository
from tests.hubs.serving import Request, Response, Server, json_response
from tests.hubs.storage import Storage

PAGE = 20
NO_CRC = "crc32c=AAAAAA=="  # not counted: Python has none, and the client reads the MD5 only
SERVICE = ["api", "v1", "models.ModelApiService"]


class Kaggle:
    """The hub with some models; `tokens` has for each token or `user:key` the gated or private ids it opens."""

    def __init__(self, *repositories: Repository, tokens: Mapping[str, set[str]] | None = None) -> None:
        self.tokens = tokens or {}
        self._models: dict[str, list[Repository]] = {}  # versions 1, 2, …
        self._etags: dict[str, str] = {}
        self.storage = Storage(etag=lambda sha256: self._etags[sha256])
        self.server = Server(self._app)
        self.url = self.server.url
        for repository in repositories:
            self.publish(repository)

    def __enter__(self) -> Kaggle:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.storage.close()

    def publish(self, repository: Repository) -> None:
        """Adds a version; earlier ones stay."""
        self._models.setdefault(_key(repository.id.split("/")), []).append(repository)

    def _app(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[:3] == SERVICE and request.method == "POST" and len(parts) == 4:
            asked = json.loads(request.body)
            handle = [asked[name] for name in ("ownerSlug", "modelSlug", "framework", "instanceSlug")]
            return self._answer(request, parts[3], handle, asked)
        if parts[:3] == ["api", "v1", "models"] and len(parts) > 7:
            query: dict[str, Any] = {**request.query}
            if parts[7] == "get":
                return self._answer(request, "GetModelInstance", parts[3:7], query)
        if parts[:3] == ["api", "v1", "models"] and len(parts) > 8 and parts[7].isdigit():
            query = {**request.query, "versionNumber": int(parts[7]), "path": "/".join(parts[9:])}
            query.setdefault("pageSize", query.get("page_size"))
            query.setdefault("pageToken", query.get("page_token"))
            if parts[8] == "files":
                return self._answer(request, "ListModelInstanceVersionFiles", parts[3:7], query)
            if parts[8] == "download":
                return self._answer(request, "DownloadModelInstanceVersion", parts[3:7], query)
        return _error(404, "Not found")

    def _answer(self, request: Request, name: str, handle: list[str], asked: Mapping[str, Any]) -> Response:
        versions = self._models.get(_key(handle), [])
        credentials = _credentials(request)
        if credentials and credentials not in self.tokens:
            return _error(401, "Unauthenticated")
        opened = bool(versions) and versions[-1].id in self.tokens.get(credentials, set())
        if not versions or (versions[-1].private and not opened):
            return _error(404 if not versions else 403, "Permission 'models.get' was denied")
        if name == "GetModelInstance":
            return json_response(_instance(versions))
        number = int(asked.get("versionNumber") or len(versions))
        if not 1 <= number <= len(versions):
            return _error(404, f"version {number} not found")
        repository = versions[number - 1]
        if name == "ListModelInstanceVersionFiles":
            return _files(repository, asked)
        if name == "DownloadModelInstanceVersion":
            if repository.gated and not opened:
                return _error(403, "This model requires consent: accept its license on its page first")
            return self._download(repository, str(asked.get("path") or ""))
        return _error(404, "Not found")

    def _download(self, repository: Repository, path: str) -> Response:
        if path and path not in repository.files:
            return _error(404, f"{path} not found")
        data = repository.files[path] if path else archive(repository)
        sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).digest()
        self._etags[sha256] = f'"{md5.hex()}"'
        hashes = f"{NO_CRC},md5={base64.b64encode(md5).decode()}"
        place = self.storage.keep(sha256, data, path or "archive.tar.gz", {"x-goog-hash": hashes})
        return Response(302, {"location": place})


def archive(repository: Repository) -> bytes:
    """All files as Kaggle packs them: the same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, data in sorted(repository.files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), 1, mtime=0)


def _instance(versions: list[Repository]) -> dict[str, Any]:
    latest = versions[-1]
    _, model, framework, variation = latest.id.split("/")
    return {
        "id": 1,
        "slug": variation,
        "framework": framework,
        "versionId": 100 + len(versions),
        "versionNumber": len(versions),
        "url": f"https://www.kaggle.com/models/{latest.owner}/{model}/{framework}/{variation}",
        "licenseName": latest.license,
        "totalUncompressedBytes": sum(map(len, latest.files.values())),
    }


def _files(repository: Repository, asked: Mapping[str, Any]) -> Response:
    names = sorted(repository.files)
    start = int(asked.get("pageToken") or 0)
    end = start + int(asked.get("pageSize") or PAGE)
    files = [
        {"name": name, "size": len(repository.files[name]), "creationDate": "2025-05-09T06:38:50.123Z"}
        for name in names[start:end]
    ]
    return json_response({"files": files, "nextPageToken": str(end) if end < len(names) else ""})


def _key(handle: list[str]) -> str:
    owner, model, framework, variation = handle[:4]
    plain = framework.lower().removeprefix("model_framework_").replace("_", "")
    return "/".join((owner, model, plain, variation)).lower()


def _credentials(request: Request) -> str:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return base64.b64decode(value).decode() if kind == "Basic" else value


def _error(status: int, message: str) -> Response:
    return json_response({"code": status, "message": message}, status)
