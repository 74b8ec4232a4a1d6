"""What hubs list, and what settings say of them: believed only where it can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3cli.errors import ExitCode, NetworkError, UsageError
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Listing
from qwen3cli.models.sources.huggingface import HuggingFace
from qwen3cli.models.sources.kaggle import Kaggle
from qwen3cli.models.variants import HubFile
from tests.hubs.hub import Hub as Server
from tests.hubs.repository import Repository
from tests.hubs.serving import Response
from tests.hubs.serving import Server as Plain
from tests.models.fetching import HASTE
from tests.models.sources.elsewhere import COMMIT, WEIGHTS, put
from tests.models.sources.listings import HUBS, TOKEN, kaggle, no_settings

NAME = "Qwen/Qwen3-8B-GGUF"
pytestmark = pytest.mark.usefixtures(no_settings.__name__)

BAD_PATHS = (
    *(
        "",
        "/",
        ".",
        "..",
        "../a.gguf",
        "a/../b.gguf",
        "a/..",
        "/etc/a.gguf",
        "//h/a.gguf",
        "a//b.gguf",
        "./a.gguf",
    ),
    *(
        "a/./b.gguf",
        "a\0.gguf",
        "a\n.gguf",
        "a\x1b[2J.gguf",
        "a\x9b.gguf",
        "a\x7f.gguf",
        "..\\a.gguf",
        "a\\b.gguf",
    ),
    *("\ud800.gguf", "a/", "C:\\a.gguf"),
)
GOOD_PATHS = ("a b.gguf", "模型.gguf", "a#b?c%2e.gguf", "..a/b..gguf", "x/...gguf", "a:b.gguf", ".hidden")


@pytest.mark.parametrize("kind", HUBS)
def test_paths_that_no_file_has_are_left_out(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    variable, make, app = HUBS[kind]
    with Plain(app((*BAD_PATHS, *GOOD_PATHS, *GOOD_PATHS))) as server, Http(HASTE) as http:
        monkeypatch.setenv(variable, server.url)
        hub = make(http)
        listing = hub.listing()
        assert tuple(one.path for one in listing.files) == GOOD_PATHS
        for one in listing.files:
            http.json(hub.remote(listing, one).url)
            asked = server.asked()[-1].request
            assert (asked.query.get("FilePath") or asked.path).endswith(one.path)


@pytest.mark.parametrize("kind", ["modelscope", "kaggle"])
@pytest.mark.parametrize(
    "text",
    [
        '{"Data": {"Files": [{"Type": "blob", "Path": "a", "Size": 1, "Sha256": 7}]}}',
        '{"Data": {"Files": [{"Type": "blob", "Path": "a", "Size": "1"}]}}',
        '{"Data": {"Files": [{"Type": "blob", "Path": 5, "Size": 1}]}}',
        '{"versionNumber": -1}',
        '{"versionNumber": 1, "files": [{"name": 5, "size": 1}]}',
        '{"versionNumber": 1, "files": [{"name": "a", "size": 1e400}]}',
        '{"versionNumber": 1, "files": [], "licenseName": ["x"]}',
        '{"versionNumber": 1, "files": [], "nextPageToken": {"a": 1}}',
    ],
)
def test_odd_answers_of_the_others(monkeypatch: pytest.MonkeyPatch, kind: str, text: str) -> None:
    variable, make, _ = HUBS[kind]
    with Plain(lambda _: Response(200, {}, text.encode())) as server, Http(HASTE) as http:
        monkeypatch.setenv(variable, server.url)
        with pytest.raises(NetworkError, match="did not answer as it usually does"):
            make(http).listing()


SECRETS = {
    "HF_TOKEN": HUBS["hf"],
    "HUGGING_FACE_HUB_TOKEN": HUBS["hf"],
    "MODELSCOPE_API_TOKEN": HUBS["modelscope"],
    "KAGGLE_API_TOKEN": HUBS["kaggle"],
}


@pytest.mark.parametrize("variable", SECRETS)
@pytest.mark.parametrize(
    "token", ["one\ns3cret", "one\x1bs3cret", "one s3cret", "onés3cret", "one\udcff", "one\r\nX-Y: s3cret"]
)
def test_a_token_that_is_none_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, token: str
) -> None:
    endpoint, make, app = SECRETS[variable]
    with Plain(app(("a.gguf",))) as server, Http(HASTE) as http:
        monkeypatch.setenv(endpoint, server.url)
        monkeypatch.setenv(variable, token)
        with pytest.raises(UsageError, match="holds characters that no token has") as error:
            make(http).listing()
        assert "s3cret" not in error.value.message
        assert server.asked() == []
        monkeypatch.setenv(variable, f"\n {TOKEN} \r\n")
        make(http).listing()
        assert server.asked()[-1].request.headers["authorization"] == f"Bearer {TOKEN}"


def test_kaggles_other_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Plain(kaggle(("a.gguf",))) as server, Http(HASTE) as http:
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", server.url)
        monkeypatch.setenv("KAGGLE_USERNAME", " me")
        monkeypatch.setenv("KAGGLE_KEY", "key\n")
        Kaggle("a/b/c/d", http).listing()
        assert server.asked()[-1].request.headers["authorization"] == "Basic bWU6a2V5"
        monkeypatch.setenv("KAGGLE_KEY", "k\ney")
        with pytest.raises(UsageError, match="`KAGGLE_KEY` holds"):
            Kaggle("a/b/c/d", http)
        monkeypatch.delenv("KAGGLE_KEY")
        path = put(tmp_path / ".kaggle" / "kaggle.json", b'{"username": "me", "key": "key"}')
        Kaggle("a/b/c/d", http).listing()
        assert server.asked()[-1].request.headers["authorization"] == "Basic bWU6a2V5"
        for bad in (b"[]", b"7", b"{", b"[" * 100_000, b"\xff"):
            path.write_bytes(bad)
            Kaggle("a/b/c/d", http).listing()
            assert "authorization" not in server.asked()[-1].request.headers


NO_ADDRESSES = (
    *(
        "http://[::1",
        "hf-mirror.com",
        "ftp://h",
        "http://",
        "https:///x",
        "http://h:99999",
        "http://h:x",
        "http://h:0",
    ),
    *(
        "http://h/?token=s3cret",
        "http://h/#x",
        "http://a b",
        "http://h\\x",
        "http://me:s3cret@h",
        "file:///etc/s3cret",
    ),
)


@pytest.mark.parametrize(
    "variable", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN", "KAGGLE_API_ENDPOINT"]
)
@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    if (variable, text) == ("MODELSCOPE_DOMAIN", "hf-mirror.com"):
        return  # A domain is one.
    kind = {"H": "hf", "M": "modelscope", "K": "kaggle"}[variable[0]]
    monkeypatch.setenv(variable, text)
    with Http(HASTE) as http, pytest.raises(UsageError, match=f"`{variable}`") as error:
        HUBS[kind][1](http).listing()
    assert error.value.hint
    assert "s3cret" not in error.value.message.replace("/etc/s3cret", "")


LOOK = """
import sys
from qwen3cli.cli import main
sys.exit(main(sys.argv[1:]))
"""


def program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program in an environment with nothing but what is named."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "HF_HOME")}
    return subprocess.run(
        [sys.executable, "-c", LOOK, *arguments],
        env={
            **kept,
            "QWEN3_HOME": f"{kept['HOME']}/qwen3",
            "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9",
            **environ,
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HF_ENDPOINT": "http://[::1"}, "`HF_ENDPOINT` is no address"),
        ({"HF_ENDPOINT": "http://h:99999"}, "`HF_ENDPOINT` is no address"),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "soon"}, "huggingface_hub cannot use its settings"),
        ({"HTTPS_PROXY": "http://h:s3cret"}, "name a proxy whose address is none"),
        ({"HTTPS_PROXY": "http://me:s3cret/x@h:1"}, "name a proxy whose address is none"),
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "SOCKS proxy"),
        ({"HF_TOKEN": "one\ns3cret"}, "`HF_TOKEN` holds characters"),
    ],
)
def test_settings_that_cannot_be_used_are_sentences(environ: dict[str, str], said: str) -> None:
    done = program("pull", NAME, **environ)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert said in done.stderr
    assert "s3cret" not in done.stderr
    assert all(line.startswith(("error: ", "hint: ")) for line in done.stderr.splitlines()), done.stderr


def test_nothing_of_huggingface_hub_is_printed() -> None:
    with Server(Repository(NAME, {"m-Q8_0.gguf": WEIGHTS})) as hub:
        done = program("pull", NAME, "--dry-run", HF_ENDPOINT=hub.url, HF_HUB_ENABLE_HF_TRANSFER="1")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "HF_" not in done.stderr


def test_an_empty_endpoint_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "  "):
        monkeypatch.setenv("HF_ENDPOINT", text)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", text)
        with Http(HASTE) as http:
            remote = HuggingFace(NAME, http).remote(Listing(NAME, COMMIT, ()), HubFile("m.gguf", 1))
        assert remote.url == f"https://huggingface.co/{NAME}/resolve/{COMMIT}/m.gguf"
