"""A server of ours in the shape of ModelScope's API, and its storage at another host.

Proven by modelscope 1.40.2 (modelscope_hub 0.5.1), pointed here by MODELSCOPE_ENDPOINT (MODELSCOPE_DOMAIN works with
a warning). It asks:

- `GET /api/v1/models/{id}/repo/files?Revision=master&Recursive=True[&Root=folder]`: `Data.Files[]` with `Path`,
  `Name`, `Type` ("blob" or "tree"), `Size`, `Sha256` (hex, of every file, LFS or not; "" for folders), `Revision`
  (the commit), `IsLFS`. There are no pages: past 3000 entries the list is cut in silence, and the client then walks
  the folders one by one by `Root`.
- `GET /api/v1/models/{id}/repo?Revision=master&FilePath=path`: LFS files are a 302 to storage, which serves ranges;
  the others come at once, whole whatever Range asks, without an etag.
- `GET /api/v1/models/{id}/revisions[?EndTime=…]`, before a single file: `Data.RevisionMap.Branches[]` and `.Tags[]`
  with `Revision` and `CreatedAt` (seconds). The newest tag before the client's own release wins over `master`.
- `GET /api/v1/repos/internalAccelerationInfo`, once, in hope of a route inside Alibaba's cloud; any answer will do.

Each answer is `{"Code": 200, "Data": …, "Message": "", "RequestId": …, "Success": true}`; errors have a long code, a
sentence in `Message`, `Success` false and the HTTP status. A token goes as `Authorization: Bearer` and as the cookie
`m_session_id`. Not known, and so not imitated: whether the real one minds upper and lower case (this one does), what
it answers for gated models (here 403), and which error codes it gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

from tests.hubs.repository import Repository
from tests.hubs.serving import Request, Response, Server, json_response
from tests.hubs.storage import Storage

CAP = 3000
MOMENT = 1746772730
REQUEST_ID = "0f3c2b1a-test"


class ModelScope:
    """The hub with some repositories; `tokens` has for each valid token the gated or private ids it opens."""

    def __init__(
        self, *repositories: Repository, tokens: Mapping[str, set[str]] | None = None, cap: int = CAP
    ) -> None:
        self.tokens = tokens or {}
        self.cap = cap
        self._models: dict[str, list[Repository]] = {}
        self.storage = Storage(etag=lambda sha256: f'"{sha256[:32].upper()}"')
        self.server = Server(self._app)
        self.url = self.server.url
        for repository in repositories:
            self.publish(repository)

    def __enter__(self) -> ModelScope:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.storage.close()

    def publish(self, repository: Repository) -> None:
        """Makes a new commit the `master` of its id; earlier commits stay."""
        self._models.setdefault(repository.id, []).append(repository)

    def _app(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[:3] == ["api", "v1", "repos"]:
            return _data({"InternalRegionQueryAddress": ""})
        if parts[:3] != ["api", "v1", "models"] or len(parts) < 5:
            return _error(404, 10010205001, "page not found")
        id = "/".join(parts[3:5])
        commits = self._models.get(id, [])
        opened = id in self.tokens.get(_token(request), set())
        if not commits or (commits[-1].private and not opened):
            return _error(404, 10010205001, "model not found or no permission to access")
        revision = request.query.get("Revision", "master")
        found = [c for c in commits if revision in (c.commit, "master")]
        if not found:
            return _error(404, 10010205002, f"revision {revision} does not exist")
        return self._route(request, parts[5:], found[-1], opened)

    def _route(self, request: Request, verb: list[str], repository: Repository, opened: bool) -> Response:
        if not verb:
            license = repository.license
            return _data({"Path": repository.owner, "Name": repository.name, "License": license})
        if verb == ["revisions"]:
            branch = {"Revision": "master", "CreatedAt": MOMENT}
            return _data({"RevisionMap": {"Branches": [branch], "Tags": []}})
        if verb == ["repo", "files"]:
            return self._files(request, repository)
        if verb == ["repo"] and repository.gated and not opened:
            return _error(403, 10010205003, "please apply for access to this model first")
        if verb == ["repo"]:
            return self._file(request.query.get("FilePath", ""), repository)
        return _error(404, 10010205001, "page not found")

    def _files(self, request: Request, repository: Repository) -> Response:
        root = request.query.get("Root", "").strip("/")
        prefix = f"{root}/" if root else ""
        recursive = request.query.get("Recursive") == "True"
        entries = [_entry(repository, path) for path in sorted({*repository.folders, *repository.files})]
        inside = [e for e in entries if e["Path"].startswith(prefix)]
        shown = inside if recursive else [e for e in inside if "/" not in e["Path"][len(prefix) :]]
        if root and not inside:
            return _error(404, 10010205004, f"{root} does not exist")
        return _data({"Files": shown[: self.cap], "LatestCommitter": None})

    def _file(self, path: str, repository: Repository) -> Response:
        if path not in repository.files:
            return _error(404, 10010205004, f"{path} does not exist")
        data = repository.files[path]
        if not repository.is_lfs(path):
            return Response(200, {"content-type": "application/octet-stream"}, data)
        place = self.storage.keep(repository.sha256(path), data, repository.name)
        return Response(302, {"location": place, "x-linked-etag": f'"{repository.sha256(path)}"'})


def _entry(repository: Repository, path: str) -> dict[str, Any]:
    is_file = path in repository.files
    return {
        "CommitMessage": "test",
        "CommittedDate": MOMENT,
        "CommitterName": "test",
        "InCheck": False,
        "IsLFS": is_file and repository.is_lfs(path),
        "Mode": "33188" if is_file else "16384",
        "Name": path.rpartition("/")[2],
        "Path": path,
        "Revision": repository.commit,
        "Sha256": repository.sha256(path) if is_file else "",
        "Size": len(repository.files[path]) if is_file else 0,
        "Type": "blob" if is_file else "tree",
    }


def _token(request: Request) -> str:
    cookie = SimpleCookie(request.headers.get("cookie", "")).get("m_session_id")
    return request.headers.get("authorization", "").removeprefix("Bearer ") or (
        cookie.value if cookie else ""
    )


def _data(data: Any) -> Response:
    return json_response({"Code": 200, "Data": data, "Message": "", "RequestId": REQUEST_ID, "Success": True})


def _error(status: int, code: int, message: str) -> Response:
    body = {"Code": code, "Data": None, "Message": message, "RequestId": REQUEST_ID, "Success": False}
    return json_response(body, status)
