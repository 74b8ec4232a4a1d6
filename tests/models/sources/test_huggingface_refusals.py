"""What it means when Hugging Face does not list a repository, or does not give a file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.hitches import HttpRefusal
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Unreachable
from qwen3cli.models.sources.huggingface import HuggingFace
from tests.hubs.faults import error_page, gzipped, refuse, reset, stall
from tests.hubs.hub import Hub
from tests.hubs.repository import Repository
from tests.hubs.serving import Fault
from tests.models.fetching import HASTE
from tests.models.sources.elsewhere import put
from tests.models.sources.listings import (
    FILES,
    NAME,
    TOKEN,
    failing,
    listed,
    no_settings,
)

pytestmark = pytest.mark.usefixtures(no_settings.__name__)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    with Hub(Repository(NAME, FILES), tokens={TOKEN: set()}, page=2) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


AWAY: dict[str, tuple[Fault, str]] = {
    "out of order": (refuse(503), "503"),
    "too many": (refuse(429), "429"),
    "too many for long": (refuse(429, retry_after="3600"), "429"),
    "a login page": (error_page(), "does not answer with JSON"),
    "packed": (gzipped(), "packed (gzip)"),
    "reset": (reset(1), "broke off"),
    "silent": (stall(1), "has sent nothing"),
    "forbidden by law": (
        refuse(451, x_error_message="because"),
        "451 Unavailable For Legal Reasons: because",
    ),
    "a blocking page": (error_page(403), "403"),
    "a page that wants to know who asks": (error_page(401), "401"),
}


@pytest.mark.parametrize("fault", AWAY)
@pytest.mark.parametrize("path", ["/revision/", "/tree/"])
def test_a_hub_that_is_out_of_reach_gives_way(hub: Hub, fault: str, path: str) -> None:
    spoil, said = AWAY[fault]
    hub.server.inject(spoil, path)
    error = failing()
    assert isinstance(error, Unreachable)
    assert said in error.message
    hub.server.heal()
    hub.server.inject(refuse(503), path, times=2)
    assert len(listed().files) == len(FILES)


def test_a_page_with_a_word_of_the_hub_is_the_hubs_own(hub: Hub) -> None:
    hub.server.inject(refuse(403, x_error_code="GatedRepo", content_type="text/html"), "/revision/")
    assert "is gated" in failing().message


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = failing()
    assert isinstance(error, Unreachable)
    assert "`HF_ENDPOINT`" in (error.hint or "")


@pytest.mark.parametrize(
    ("status", "code", "token", "kind", "said"),
    [
        (401, "RepoNotFound", "", ModelNotFound, "has no repository"),
        (401, "RepoNotFound", TOKEN, ModelNotFound, "has no repository"),
        (404, "RepoNotFound", TOKEN, ModelNotFound, "has no repository"),
        (404, "RevisionNotFound", "", ModelNotFound, "has no repository"),
        (404, "", "", ModelNotFound, "has no repository"),
        (401, "", "", ModelNotFound, "has no repository"),
        (401, "", TOKEN, NetworkError, "the token in `HF_TOKEN`: it is not valid"),
        (401, "GatedRepo", "", NetworkError, "is gated"),
        (403, "GatedRepo", TOKEN, NetworkError, "is gated"),
        (403, "", TOKEN, NetworkError, "is gated"),
        (403, "", "", NetworkError, "(403)"),
        (403, "Disabled", TOKEN, NetworkError, "(403): because"),
    ],
)
def test_what_refusals_mean(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    token: str,
    kind: type[QwenError],
    said: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    for path in ("/revision/", "/tree/"):
        hub.server.heal()
        told = {"x_error_code": code} if code else {}
        hub.server.inject(refuse(status, x_error_message="because", **told), path)
        error = failing()
        assert type(error) is kind
        assert said in error.message


def test_what_refusals_of_files_mean(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(status: int, code: str = "", *, is_page: bool = False) -> str:
        error = one.explain(HttpRefusal("h", status, "", code, is_page=is_page))
        return f"{error.message} ({error.hint})"

    with Http(HASTE) as http:
        one = HuggingFace(NAME, http)
        one.listing()
        assert "is gated" in said(401)
        assert "is gated" in said(403)
        for code in ("EntryNotFound", "RevisionNotFound", ""):
            assert "has lost a file" in said(404, code)
        assert "has lost a file" in said(404, is_page=True)
        assert "has no repository" in said(404, "RepoNotFound")
        assert "is gated" in said(403, "GatedRepo", is_page=True)
        for blocked in (said(401, is_page=True), said(403, is_page=True), said(451)):
            assert "does not give its files: `h` refuses: 4" in blocked
            assert f"try `--source modelscope`, or name it `ms://{NAME}`" in blocked
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        one = HuggingFace(NAME, http)
        one.listing()
        assert "is not valid" in said(401)
        assert "is gated" in said(403)


def test_an_expired_token_on_a_public_repository(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert "refuses the token in `HF_TOKEN`: it is not valid" in failing().message
    monkeypatch.delenv("HF_TOKEN")
    path = put(tmp_path / "token", b"hf_expired\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(path))
    assert "refuses the token of `hf auth login`: it is not valid" in failing().message
