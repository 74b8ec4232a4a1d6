"""A server of ours in the shape of Hugging Face's hub, and its storage at another host.

Proven by huggingface_hub 2.4.0, which asks:

- `GET /api/models/{id}` or `/api/models/{id}/revision/{revision}`: JSON with `id` (spelled as the owner did), `sha`
  (the commit), `gated` (false, "auto" or "manual"), `private`, `siblings[].rfilename`; with `?blobs=true` also
  `size`, `blobId` and `lfs` of each sibling.
- `GET /api/models/{id}/tree/{revision}[/{folder}]?recursive=true`: a list of `type` ("file" or "directory"),
  `path`, `size`, `oid` (git's), and for files kept by LFS `lfs.oid` (SHA-256 in hex), `lfs.size`,
  `lfs.pointerSize`. Pages of at most 1000; the next one is `Link: <url>; rel="next"`.
- `HEAD`, then `GET /{id}/resolve/{revision}/{path}` (accepting only `identity`): always `X-Repo-Commit`. LFS files
  are a 302 to storage with `X-Linked-Etag` (SHA-256, quoted) and `X-Linked-Size`; the others a relative 307 whose
  target has the file, its `ETag` (git's id, quoted) and `Content-Length`. Range goes to storage.

Errors carry `X-Error-Code` and `X-Error-Message`: 404 `RevisionNotFound` and `EntryNotFound`; `RepoNotFound` is 404
for whoever is logged in and 401 for others, private ones included. A gated repository is listed for everyone; its
files are 401 `GatedRepo` without a token and 403 with one that is not on the list. Ids are case-insensitive
everywhere, without a redirect, and answers spell them right; that is how users' error messages show the real one.
Storage refuses any `Authorization`: its URLs are signed, and a token has no business there. Its `ETag` is no hash
of the file. Not imitated: Xet (`X-Xet-Hash`, which sends a client with hf_xet another way), tags, pull requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from tests.hubs.repository import Repository
from tests.hubs.serving import Request, Response, Server, file_response, json_response
from tests.hubs.storage import Storage

PAGE = 1000
MOMENT = "2025-05-09T06:38:50.000Z"


@dataclass
class Refusal(Exception):
    """An answer that is an error."""

    status: int
    code: str
    message: str

    def response(self) -> Response:
        """The error as the hub words it."""
        headers = {"x-error-message": self.message, **({"x-error-code": self.code} if self.code else {})}
        return json_response({"error": self.message}, self.status, headers)


@dataclass(frozen=True)
class _Wanted:
    """A repository at a revision, and what in it is meant."""

    repository: Repository
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict[str, str])


class Hub:
    """The hub with some repositories; `tokens` has for each valid token the gated or private ids it opens."""

    def __init__(
        self, *repositories: Repository, tokens: Mapping[str, set[str]] | None = None, page: int = PAGE
    ) -> None:
        self.tokens = tokens or {}
        self.page = page
        self._commits: dict[str, list[Repository]] = {}
        self.storage = Storage(etag=lambda sha256: f'"{sha256[:32]}-8"')  # as of an upload in parts: no hash
        self.server = Server(self._app)
        self.url = self.server.url
        for repository in repositories:
            self.publish(repository)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.storage.close()

    def publish(self, repository: Repository) -> None:
        """Makes a new commit the `main` of its id; earlier commits stay."""
        self._commits.setdefault(repository.id.lower(), []).append(repository)

    def _app(self, request: Request) -> Response:
        try:
            return self._route(request)
        except Refusal as refusal:
            return refusal.response()

    def _route(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[:3] == ["api", "resolve-cache", "models"] and len(parts) > 6:
            repository = self._find(request, parts[3:5], parts[5], files=True)
            return self._small_file(request, repository, "/".join(parts[6:]))
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            verb, revision = [*parts[4:6], "", ""][:2]
            wanted = self._find(request, parts[2:4], revision or "main")
            if verb in ("", "revision"):
                return json_response(_info(wanted, "blobs" in request.query))
            if verb == "tree":
                return self._tree(request, _Wanted(wanted, "/".join(parts[6:]), request.query))
            if verb == "refs":
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": wanted.commit}
                return json_response({"branches": [main], "tags": [], "converts": []})
        if len(parts) > 4 and parts[2] == "resolve":
            repository = self._find(request, parts[:2], parts[3], files=True)
            return self._resolve(repository, "/".join(parts[4:]))
        raise Refusal(404, "", "Sorry, we can't find the page you are looking for.")

    def _find(self, request: Request, name: list[str], revision: str, files: bool = False) -> Repository:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise Refusal(401, "", "Invalid credentials in Authorization header")
        commits = self._commits.get("/".join(name).lower(), [])
        opened = bool(commits) and commits[-1].id in self.tokens.get(token, set())
        if not commits or (commits[-1].private and not opened):
            raise Refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        id = commits[-1].id
        if commits[-1].gated and files and not opened:
            if token:
                text = f"Access to model {id} is restricted and you are not in the authorized list."
                text += f" Visit https://huggingface.co/{id} to ask for access."
                raise Refusal(403, "GatedRepo", text)
            text = f"Access to model {id} is restricted. You must have access to it and be authenticated"
            raise Refusal(401, "GatedRepo", f"{text} to access it. Please log in.")
        found = [c for c in commits if c.commit == revision]
        if not found and revision != "main":
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found[-1] if found else commits[-1]

    def _tree(self, request: Request, wanted: _Wanted) -> Response:
        recursive = wanted.query.get("recursive", "").lower() in ("true", "1")
        entries = _entries(wanted.repository, wanted.path, recursive)
        if not entries:
            text = f'{wanted.path} does not exist on "{wanted.repository.commit}"'
            raise Refusal(404, "EntryNotFound", text)
        start = int(wanted.query.get("cursor", 0))
        page = entries[start : start + self.page]
        if start + self.page >= len(entries):
            return json_response(page)
        query = urlencode({**wanted.query, "cursor": start + self.page})
        path = request.target.partition("?")[0]
        return json_response(page, headers={"link": f'<{self.url}{path}?{query}>; rel="next"'})

    def _resolve(self, repository: Repository, path: str) -> Response:
        if path not in repository.files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        headers = {"x-repo-commit": repository.commit, "accept-ranges": "bytes"}
        if not repository.is_lfs(path):
            etag = urlencode({"etag": f'"{repository.oid(path)}"'})
            place = f"/api/resolve-cache/models/{repository.id}/{repository.commit}/{quote(path)}"
            return Response(307, {**headers, "location": f"{place}?{etag}"})
        sha256 = repository.sha256(path)
        linked = {"x-linked-etag": f'"{sha256}"', "x-linked-size": str(len(repository.files[path]))}
        place = self.storage.keep(sha256, repository.files[path])
        return Response(302, {**headers, **linked, "location": place}, b"Found. Redirecting to storage")

    def _small_file(self, request: Request, repository: Repository, path: str) -> Response:
        if path not in repository.files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        etag = dict(parse_qsl(request.target.partition("?")[2])).get("etag", f'"{repository.oid(path)}"')
        return file_response(
            request,
            repository.files[path],
            etag,
            {"x-repo-commit": repository.commit, "content-type": "text/plain"},
        )


def _entries(repository: Repository, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    found: list[dict[str, Any]] = []
    for path, oid in repository.folders.items():
        found.append({"type": "directory", "oid": oid, "size": 0, "path": path})
    for path, data in repository.files.items():
        lfs = {"lfs": _lfs(repository, path)} if repository.is_lfs(path) else {}
        found.append({"type": "file", "oid": repository.oid(path), "size": len(data), "path": path, **lfs})
    inside = [e for e in found if e["path"].startswith(prefix)]
    shown = inside if recursive else [e for e in inside if "/" not in e["path"][len(prefix) :]]
    return sorted(shown, key=lambda entry: entry["path"])


def _lfs(repository: Repository, path: str) -> dict[str, Any]:
    size = len(repository.files[path])
    return {"oid": repository.sha256(path), "size": size, "pointerSize": len(repository.blob(path))}


def _info(repository: Repository, blobs: bool) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for path, data in sorted(repository.files.items()):
        sibling: dict[str, Any] = {"rfilename": path}
        if blobs:
            sibling |= {"size": len(data), "blobId": repository.oid(path)}
            if repository.is_lfs(path):
                lfs = _lfs(repository, path)
                sibling["lfs"] = {
                    "sha256": lfs["oid"],
                    "size": lfs["size"],
                    "pointerSize": lfs["pointerSize"],
                }
        siblings.append(sibling)
    return {
        "_id": repository.commit[:24],
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.owner,
        "sha": repository.commit,
        "createdAt": MOMENT,
        "lastModified": MOMENT,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "tags": [f"license:{repository.license}"],
        "cardData": {"license": repository.license},
        "siblings": siblings,
    }
