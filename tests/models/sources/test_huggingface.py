"""Hugging Face's listing, against a server in its shape: where the token goes, what is believed, what settings do."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import ModelNotFound, NetworkError
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Listing
from qwen3cli.models.sources.huggingface import HuggingFace
from qwen3cli.models.variants import HubFile
from tests.hubs.hub import Hub
from tests.hubs.olah import Olah
from tests.hubs.repository import Repository
from tests.hubs.serving import App, Request, Response, Server
from tests.models.fetching import HASTE
from tests.models.sources.elsewhere import COMMIT, WEIGHTS, cached, digest_of, put
from tests.models.sources.listings import (
    FILES,
    LARGE,
    NAME,
    TOKEN,
    answers,
    failing,
    file,
    listed,
    no_settings,
)

pytestmark = pytest.mark.usefixtures(no_settings.__name__)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    with Hub(Repository(NAME, FILES), tokens={TOKEN: set()}, page=2) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_a_repository_is_listed(hub: Hub) -> None:
    repository = Repository(NAME, FILES)
    listing = listed()
    assert (listing.source, listing.revision, listing.license) == (NAME, repository.commit, "apache-2.0")
    assert {file.path: (file.size, file.sha256, file.git) for file in listing.files} == {
        path: (len(data), repository.sha256(path), None)
        if repository.is_lfs(path)
        else (len(data), None, repository.oid(path))
        for path, data in FILES.items()
    }
    assert len(hub.server.asked("/tree/")) == 5
    assert all(e.request.headers["accept-encoding"] == "identity" for e in hub.server.asked())


def test_olah_lists_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    repository = Repository(NAME, FILES)
    with Olah(tmp_path, repository) as olah:
        for end in ("", "/", "//"):
            monkeypatch.setenv("HF_ENDPOINT", olah.url + end)
            listing = listed()
            assert {file.path: file.size for file in listing.files} == {k: len(v) for k, v in FILES.items()}
        assert isinstance(failing("Qwen/none"), ModelNotFound)


def test_an_endpoint_may_have_a_path(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def below(request: Request) -> Response:
        assert request.target.startswith("/api/hf/")
        return hub.server.app(replace(request, target=request.target.removeprefix("/api/hf")))

    with Server(below) as mirror, Http(HASTE) as http:
        monkeypatch.setenv("HF_ENDPOINT", f"{mirror.url}/api/hf/")
        hugging = HuggingFace(NAME, http)
        listing = hugging.listing()
        assert {file.path for file in listing.files} == set(FILES)
        remote = hugging.remote(listing, listing.files[0])
        assert remote.url.startswith(f"{mirror.url}/api/hf/{NAME}/resolve/{listing.revision}/")
        assert len(mirror.asked()) == 6
    assert hub.server.asked() == []


@pytest.mark.parametrize(
    "away", ["http://elsewhere.invalid/hub", "https://127.0.0.1:1", "//elsewhere.invalid"]
)
def test_the_next_page_is_asked_of_the_same_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, away: str) -> None:
    def elsewhere(_: Request, response: Response) -> Response | None:
        link = response.headers.get("link")
        return (
            replace(response, headers={**response.headers, "link": link.replace(hub.url, away)})
            if link
            else None
        )

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.server.inject(elsewhere)
    assert {file.path for file in listed().files} == set(FILES)
    assert hub.server.injected == 4
    assert {e.request.headers.get("authorization") for e in hub.server.asked()} == {f"Bearer {TOKEN}"}


def test_a_token_goes_to_its_hub_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\n")
    with Server(hub.server.app, host="localhost") as other:
        hub.server.inject(lambda r, _: Response(307, {"location": other.url + r.target}), "/tree/")
        assert {file.path for file in listed().files} == set(FILES)
        assert len(other.asked()) == 5
        assert not any("authorization" in e.request.headers for e in other.asked())


def test_a_renamed_repository_keeps_its_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    private = Repository("new/name", FILES, private=True)
    hub.publish(private)
    hub.tokens = {TOKEN: {private.id}}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for place in ("", hub.url):
        hub.server.heal()
        hub.server.inject(
            lambda r, _, at=place: (
                Response(307, {"location": at + r.target.replace("old/n", "new/name")})
                if "old/n" in r.target
                else None
            )
        )
        assert {file.path for file in listed("old/n").files} == set(FILES)


def from_hub(monkeypatch: pytest.MonkeyPatch, app: App) -> Listing:
    with Server(app) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        return listed()


@pytest.mark.parametrize(
    "link",
    [
        '<?recursive=true>; rel="next"',
        "<http://h/x?recursive=true>; rel=next",
        "<>; rel=next",
        "<http://h/x>; rel=next",
        "<x?a=b>; rel=prev",
        "<x?a=b>;rel=prev,<y?c>;rel=nextish",
        "x?a=b; rel=next",
        "<x?a=b",
        "<x?" + "a" * 5000 + ">; rel=next",
    ],
)
def test_a_link_to_nothing_new_is_the_end(monkeypatch: pytest.MonkeyPatch, link: str) -> None:
    with Server(answers([file("a.gguf")], link=link)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert [f.path for f in listed().files] == ["a.gguf"]
        assert len(server.asked()) == 2


def test_a_listing_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(request: Request) -> Response:
        number = int(request.query.get("cursor", 0)) + 1
        return answers([file(f"{number}.gguf")], link=f'<?a>; rel="prev", <?cursor={number}>; rel="next"')(
            request
        )

    with Server(endless) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert "more files than" in failing().message
        assert len(server.asked()) == 51
    with pytest.raises(NetworkError, match="more files than"):
        from_hub(monkeypatch, answers([file(f"{n}") for n in range(20_001)]))
    with pytest.raises(NetworkError, match="more than 10,485,760 bytes"):
        from_hub(monkeypatch, answers(["x" * (10 << 20)]))


LFS = {"oid": "a" * 64, "size": 1}
NOTHING: list[Any] = [None, [], {}, True, "x"]
SIZES: list[Any] = [*NOTHING, "1", -1, 1.5, 10**400, 1 << 60]
LFS_ODD: list[Any] = [[], {}, True, "x", 7, False]
LFS_PARTS: list[dict[str, Any]] = [{"size": -1}, {"size": "1"}, {"oid": 7}, {"oid": ""}, {"oid": "A"}]
ABOUTS: list[Any] = [[], {}, True, "x", 7, *({"sha": sha} for sha in (7, None, "../x", "main"))]
ODD: list[tuple[Any, Any]] = [
    *(([file("a.gguf", size)], None) for size in SIZES),
    *(([file(path)], None) for path in (5, *NOTHING[:4])),
    *(([file("a.gguf", lfs=lfs)], None) for lfs in LFS_ODD),
    *(([file("a.gguf", lfs={**LFS, **part})], None) for part in LFS_PARTS),
    *(([file("a.gguf", oid=oid)], None) for oid in (7, "x", "a" * 39, "a" * 64)),
    *(([bad], None) for bad in (7, {"type": "file"}, *NOTHING)),
    *((tree, None) for tree in (7, None, True, "x", {"error": "x"})),
    *(([], about) for about in ABOUTS),
]


@pytest.mark.parametrize(("tree", "about"), ODD, ids=lambda value: json.dumps(value)[:60])
def test_what_is_no_listing_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tree: Any, about: Any) -> None:
    with pytest.raises(NetworkError, match="did not answer as it usually does"):
        from_hub(monkeypatch, answers(tree, about))


@pytest.mark.parametrize(
    ("tags", "license"),
    [
        *((tags, "") for tags in ([1], 7, "license:x", None, {"license:x": 1})),
        ([None, "license:mit", "x"], "mit"),
    ],
)
def test_tags_may_be_anything(monkeypatch: pytest.MonkeyPatch, tags: Any, license: str) -> None:
    listing = from_hub(monkeypatch, answers([file("a.gguf")], {"sha": COMMIT, "tags": tags}))
    assert listing.license == license


OFFLINE = "huggingface_hub.constants.HF_HUB_OFFLINE"


def put_small(folder: Path, name: str, data: bytes) -> str:
    """A small file of a snapshot, as huggingface_hub caches it; gives git's id of it."""
    git = Repository("a/b", {name: data}).oid(name)
    put(folder / "blobs" / git, data)
    (folder / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{git}")
    return git


def test_offline_the_cache_is_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(OFFLINE, True)
    link = cached(tmp_path / "hf" / "hub", NAME, LARGE)
    folder = link.parent.parent.parent
    git = put_small(folder, "config.json", b"{}")
    put(link.parent / digest_of(b"x"), b"x")
    put(link.parent / "sub" / "plain.gguf", b"plain")
    (link.parent / "gone.gguf").symlink_to("../../blobs/gone")
    (link.parent / "out.gguf").symlink_to(put(tmp_path / "blobs" / "secret"))
    with Http(HASTE) as http:
        one = HuggingFace(NAME, http)
        listing = one.listing()
        assert (listing.source, listing.revision) == (NAME, COMMIT)
        assert {file.path: (file.size, file.sha256, file.git) for file in listing.files} == {
            LARGE: (len(WEIGHTS), digest_of(WEIGHTS), None),
            "config.json": (2, None, git),
            digest_of(b"x"): (1, None, None),
            "sub/plain.gguf": (5, None, None),
        }
        large = next(file for file in listing.files if file.path == LARGE)
        assert one.cached(listing, large) == link
        assert one.cached(listing, replace(large, size=1)) is None
        # Only what is there may be asked for; if its bytes turn out to be wrong, asking says why not.
        remote = one.remote(listing, large)
        assert remote.headers == {}
        with pytest.raises(NetworkError, match="`HF_HUB_OFFLINE` forbids"):
            one.remote(listing, HubFile("gone.gguf", 1))
        for ask in (http.json, http.stream):
            with pytest.raises(NetworkError, match="`HF_HUB_OFFLINE` forbids"):
                ask(remote.url)
    for missing in ("Qwen/none", "../..", "a--b/c", "qwen"):
        assert "`HF_HUB_OFFLINE` forbids" in failing(missing).message
    assert hub.server.asked() == []
