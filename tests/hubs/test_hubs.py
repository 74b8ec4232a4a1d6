"""The servers of the tests are in the right shape: the real client of each hub passes against it."""

from __future__ import annotations

import base64
import json
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.hubs.clients import run
from tests.hubs.faults import truncate
from tests.hubs.hub import Hub
from tests.hubs.kaggle import Kaggle
from tests.hubs.modelscope import ModelScope
from tests.hubs.olah import Olah
from tests.hubs.repository import Repository
from tests.hubs.serving import Server

WEIGHTS = bytes(range(256)) * 3000
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\nA model of bytes\n",
    "config.json": b'{"model_type": "qwen3"}',
    "config.txt": b"before config/ where git sorts",
    "config/deep/more.json": b"{}",
    "split/Tiny-Q8_0-00001-of-00002.gguf": WEIGHTS,
    "Tiny Q4_K_M+.gguf": b"GGUF" + WEIGHTS[:100_000],
}
TINY = Repository("Qwen/Tiny-GGUF", FILES)
GATED = Repository("Qwen/Gated", FILES, gated=True)
PRIVATE = Repository("Qwen/Private", FILES, private=True)
ON_KAGGLE = Repository("qwen-lm/qwen-3/transformers/0.6b", FILES)
CUT = 300_000
LARGE = "large.gguf"


def files_under(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def leaked(server: Server) -> list[str]:
    """Requests that carried credentials."""
    secret = ("authorization", "cookie")
    return [e.request.target for e in server.exchanges if any(name in e.request.headers for name in secret)]


def ranges(server: Server) -> list[str]:
    return [e.request.headers["range"] for e in server.exchanges if "range" in e.request.headers]


def test_huggingface_hub_downloads_a_repository(tmp_path: Path) -> None:
    with Hub(TINY) as hub:
        folder = run("hf_snapshot", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=TINY.id)
        assert files_under(folder) == FILES
        assert Path(folder).name == TINY.commit
        # Large files came from the other host, and only once.
        assert hub.storage.server.sent() == sum(
            len(data) for path, data in FILES.items() if TINY.is_lfs(path)
        )


def test_huggingface_hub_downloads_a_file_and_finds_it_again(tmp_path: Path) -> None:
    name = "Tiny Q4_K_M+.gguf"
    with Hub(TINY) as hub:
        path = run("hf_file", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=TINY.id, filename=name)
    assert Path(path).read_bytes() == FILES[name]
    assert Path(path).resolve().name == TINY.sha256(name)


@pytest.mark.parametrize("page", [2, 1000])
def test_huggingface_hub_lists_a_repository(page: int, tmp_path: Path) -> None:
    with Hub(TINY, page=page) as hub:
        about = run("hf_about", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=TINY.id.lower())
        assert len(hub.server.asked("/tree/")) == (5 if page == 2 else 1)
    expected = {p: [len(data), TINY.sha256(p) if TINY.is_lfs(p) else None] for p, data in FILES.items()}
    assert about["files"] == about["siblings"] == expected
    assert about["folders"] == ["config", "config/deep", "split"]
    # Ids are case-insensitive; the answer spells them as the owner does.
    assert (about["id"], about["sha"]) == (TINY.id, TINY.commit)


def test_huggingface_hub_sees_a_newer_commit_and_keeps_the_old(tmp_path: Path) -> None:
    newer = Repository(TINY.id, {**FILES, "config.json": b"{}"})
    with Hub(TINY, newer) as hub:
        environ = {"HF_ENDPOINT": hub.url}
        assert run("hf_about", tmp_path, environ, repo_id=TINY.id)["sha"] == newer.commit != TINY.commit
        assert Path(run("hf_snapshot", tmp_path, environ, repo_id=TINY.id)).name == newer.commit
        assert run("hf_snapshot", tmp_path, environ, repo_id=TINY.id, revision=TINY.commit).endswith(
            TINY.commit
        )
        assert hub.server.asked(f"resolve/{TINY.commit}/config.json")


@pytest.mark.parametrize(
    ("id", "token", "error"),
    [
        ("Qwen/Gated", "", "GatedRepoError 401"),
        ("Qwen/Gated", "hf_other", "GatedRepoError 403"),
        ("Qwen/Private", "", "RepositoryNotFoundError 401"),
        ("Qwen/Private", "hf_other", "RepositoryNotFoundError 404"),
        ("Qwen/Nothing", "", "RepositoryNotFoundError 401"),
        ("Qwen/Tiny-GGUF", "hf_invalid", "HfHubHTTPError 401"),
    ],
)
def test_huggingface_hub_understands_refusals(id: str, token: str, error: str, tmp_path: Path) -> None:
    with Hub(TINY, GATED, PRIVATE, tokens={"hf_other": set()}) as hub:
        environ = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token}
        answer = run("hf_file", tmp_path, environ, repo_id=id, filename="config.json")
    assert refused(answer) == error


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"filename": "nothing.gguf"}, "RemoteEntryNotFoundError 404"),
        ({"filename": "config.json", "revision": "nothing"}, "RevisionNotFoundError 404"),
    ],
)
def test_huggingface_hub_understands_what_is_missing(
    arguments: dict[str, str], error: str, tmp_path: Path
) -> None:
    with Hub(TINY) as hub:
        answer = run("hf_file", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=TINY.id, **arguments)
    assert refused(answer) == error


def refused(answer: dict[str, Any]) -> str:
    return f"{answer['error']} {answer['status']}"


def test_a_token_opens_what_is_gated_and_stays_with_the_hub(tmp_path: Path) -> None:
    with Hub(GATED, PRIVATE, tokens={"hf_mine": {GATED.id, PRIVATE.id}}) as hub:
        environ = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_mine"}
        for id in (GATED.id, PRIVATE.id):
            assert files_under(run("hf_snapshot", tmp_path, environ, repo_id=id)) == FILES
        assert leaked(hub.server)
        assert leaked(hub.storage.server) == []


def test_huggingface_hub_resumes_within_a_process(tmp_path: Path) -> None:
    # The client writes 10 MiB at a time, and resumes after what it wrote.
    large = Repository(TINY.id, {LARGE: WEIGHTS * 15})
    with Hub(large) as hub:
        hub.storage.server.inject(truncate(11_000_000), times=1)
        answer = run("hf_file", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=large.id, filename=LARGE)
        assert Path(answer).read_bytes() == large.files[LARGE]
        assert ranges(hub.storage.server) == [f"bytes={10 << 20}-"]


def test_repositories_are_sound_to_git(tmp_path: Path) -> None:
    TINY.write(tmp_path)
    checked = subprocess.run(
        ["git", "fsck", "--full", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_olah_passes_with_huggingface_hub(tmp_path: Path) -> None:
    (tmp_path / "olah").mkdir()
    with Olah(tmp_path / "olah", TINY) as olah:
        environ = {"HF_ENDPOINT": olah.url}
        folder = run("hf_snapshot", tmp_path, environ, repo_id=TINY.id)
        about = run("hf_about", tmp_path, environ, repo_id=TINY.id, revision="main")
        assert olah.server.sent("resolve") == sum(map(len, FILES.values()))
    assert files_under(folder) == FILES
    # The ids are git's: olah, which has them from git, says the same as our hub.
    assert about["sha"] == Path(folder).name == TINY.commit
    assert about["oids"] == {path: TINY.oid(path) for path in FILES}
    assert about["files"] == {
        p: [len(data), TINY.sha256(p) if TINY.is_lfs(p) else None] for p, data in FILES.items()
    }


def test_modelscope_downloads_a_repository(tmp_path: Path) -> None:
    with ModelScope(TINY) as hub:
        folder = run("modelscope_snapshot", tmp_path, {"MODELSCOPE_ENDPOINT": hub.url}, model_id=TINY.id)
    assert files_under(folder) == FILES


def test_modelscope_reads_past_the_cap_of_a_listing(tmp_path: Path) -> None:
    many = Repository("Qwen/Many", {f"{n % 2}/{n}.json": b"" for n in range(3100)})
    with ModelScope(many) as hub:
        listing = f"{hub.url}/api/v1/models/{many.id}/repo/files?Recursive=True"
        assert len(json.loads(get(listing)[0])["Data"]["Files"]) == 3000
        paths = run("modelscope_paths", tmp_path, {"MODELSCOPE_ENDPOINT": hub.url}, model_id=many.id)
        assert len(hub.server.asked("Root=")) == 2
    assert set(many.files) <= set(paths)


def test_modelscope_resumes_in_another_process(tmp_path: Path) -> None:
    path = "split/Tiny-Q8_0-00001-of-00002.gguf"
    with ModelScope(TINY) as hub:
        environ = {"MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "0"}
        hub.storage.server.inject(truncate(CUT), times=1)
        wanted = {"model_id": TINY.id, "file_path": path}
        assert run("modelscope_file", tmp_path, environ, **wanted)["error"] == "NetworkError"
        assert Path(run("modelscope_file", tmp_path, environ, **wanted)).read_bytes() == FILES[path]
        (resumed,) = ranges(hub.storage.server)
    assert 0 < int(resumed.removeprefix("bytes=").removesuffix("-")) <= CUT


@pytest.mark.parametrize(("id", "status"), [(GATED.id, 403), (PRIVATE.id, 404)])
def test_modelscope_opens_with_a_token(id: str, status: int, tmp_path: Path) -> None:
    with ModelScope(GATED, PRIVATE, tokens={"ms-mine": {id}}) as hub:
        environ = {"MODELSCOPE_ENDPOINT": hub.url}
        wanted = {"model_id": id, "file_path": "Tiny Q4_K_M+.gguf"}
        assert refused(run("modelscope_file", tmp_path, environ, **wanted)) == f"HTTPError {status}"
        path = run("modelscope_file", tmp_path, {**environ, "MODELSCOPE_API_TOKEN": "ms-mine"}, **wanted)
        assert Path(path).read_bytes() == FILES["Tiny Q4_K_M+.gguf"]
        assert leaked(hub.server)
        assert leaked(hub.storage.server) == []


def kaggle(hub: Kaggle, home: Path, handle: str, path: str | None = None, **environ: str) -> Any:
    return run("kaggle_model", home, {"KAGGLE_TEST_ENDPOINT": hub.url, **environ}, handle=handle, path=path)


# Of many files its client gets an archive, which it unpacks safely from Python 3.10.12 and 3.11.4 on; before, it fails.
@pytest.mark.parametrize("extra", [0, 30] if hasattr(tarfile, "data_filter") else [0])
def test_kagglehub_downloads_a_model(extra: int, tmp_path: Path) -> None:
    """Up to 25 files one by one, more as an archive."""
    files = {**FILES, **{f"extra/{n}.json": b"{}" for n in range(extra)}}
    with Kaggle(ON_KAGGLE, Repository(ON_KAGGLE.id, files)) as hub:
        folder = kaggle(hub, tmp_path, ON_KAGGLE.id)
        assert len(hub.storage.server.exchanges) == (1 if extra else len(files))
    assert files_under(folder) == files
    assert Path(folder).name == "2"


def test_kagglehub_downloads_a_file_of_a_version(tmp_path: Path) -> None:
    with Kaggle(ON_KAGGLE, Repository(ON_KAGGLE.id, {"config.json": b"newer"})) as hub:
        path = kaggle(hub, tmp_path, f"{ON_KAGGLE.id}/1", "config.json")
        assert Path(path).read_bytes() == FILES["config.json"]
        answer = kaggle(hub, tmp_path, f"{ON_KAGGLE.id}/3", "config.json")
        assert refused(answer) == "KaggleApiHTTPError 404"


def test_kagglehub_resumes_in_another_process(tmp_path: Path) -> None:
    large = Repository(ON_KAGGLE.id, {LARGE: WEIGHTS * 5})
    with Kaggle(large) as hub:
        hub.storage.server.inject(truncate(2_500_000), times=1)
        assert kaggle(hub, tmp_path, large.id, LARGE)["error"] == "ChunkedEncodingError"
        assert Path(kaggle(hub, tmp_path, large.id, LARGE)).read_bytes() == large.files[LARGE]
        # The client writes 1 MiB at a time.
        assert ranges(hub.storage.server) == [f"bytes={2 << 20}-"]


def test_kagglehub_opens_with_credentials(tmp_path: Path) -> None:
    gated = Repository(ON_KAGGLE.id, FILES, gated=True)
    with Kaggle(gated, tokens={"KGAT_mine": {gated.id}, "me:key": {gated.id}}) as hub:
        assert refused(kaggle(hub, tmp_path, gated.id, "config.json")) == "KaggleApiHTTPError 403"
        wrong = kaggle(hub, tmp_path, gated.id, "config.json", KAGGLE_API_TOKEN="KGAT_wrong")
        assert refused(wrong) == "KaggleApiHTTPError 401"
        for environ in ({"KAGGLE_API_TOKEN": "KGAT_mine"}, {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "key"}):
            path = kaggle(hub, tmp_path / min(environ), gated.id, "config.json", **environ)
            assert Path(path).read_bytes() == FILES["config.json"]
        assert leaked(hub.server)
        assert leaked(hub.storage.server) == []


def get(url: str, body: Any = None) -> tuple[Any, dict[str, str]]:
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.read(), {name.lower(): value for name, value in answer.headers.items()}


def test_kaggle_has_pages_and_plain_paths() -> None:
    """What the client does not use: the pages of a listing, and the same answers at plain paths."""
    with Kaggle(ON_KAGGLE) as hub:
        plain = f"{hub.url}/api/v1/models/{ON_KAGGLE.id}"
        assert json.loads(get(f"{plain}/get")[0])["versionNumber"] == 1
        names: list[str] = []
        token = ""
        while True:
            page = json.loads(get(f"{plain}/1/files?pageSize=4&pageToken={token}")[0])
            names += [file["name"] for file in page["files"]]
            token = page["nextPageToken"]
            if not token:
                break
        assert names == sorted(FILES)
        assert len(hub.server.exchanges) == 3
        asked = {"ownerSlug": "qwen-lm", "modelSlug": "qwen-3", "framework": "transformers"}
        asked |= {"instanceSlug": "0.6b", "versionNumber": 1, "pageSize": 4, "pageToken": "4"}
        listed = get(f"{hub.url}/api/v1/models.ModelApiService/ListModelInstanceVersionFiles", asked)
        assert [file["name"] for file in json.loads(listed[0])["files"]] == sorted(FILES)[4:]
        data, headers = get(f"{plain}/1/download/config.json")
        assert data == FILES["config.json"]
        md5 = base64.b64encode(ON_KAGGLE.md5("config.json")).decode()
        assert headers["x-goog-hash"].endswith(f",md5={md5}")
