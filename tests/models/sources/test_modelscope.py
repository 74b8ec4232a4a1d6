"""What ModelScope lists may lie in the cache of Hugging Face already; what its refusals mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.errors import NetworkError
from qwen3cli.models.hitches import HttpRefusal
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Listing
from qwen3cli.models.sources.modelscope import ModelScope
from qwen3cli.models.variants import HubFile
from tests.hubs.serving import Response, Server
from tests.models.sources.elsewhere import WEIGHTS, cached, digest_of
from tests.models.sources.listings import modelscope, no_settings

NAME, FILE = "Qwen/Qwen3-8B-GGUF", "Qwen3-8B-Q8_0.gguf"
pytestmark = pytest.mark.usefixtures(no_settings.__name__)


def test_a_file_in_the_cache_of_hugging_face_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    link = cached(tmp_path, NAME, FILE)
    listing = Listing(f"ms://{NAME}", "of ModelScope's own", ())
    size, sha256 = len(WEIGHTS), digest_of(WEIGHTS)
    with Http() as http:
        hub = ModelScope(NAME, http)
        assert hub.cached(listing, HubFile(FILE, size, sha256)) == link
        assert hub.cached(listing, HubFile(FILE, size + 1, sha256)) is None
        assert hub.cached(listing, HubFile("other.gguf", size, sha256)) is None
        # Another hub's branch may hold something else by that name: without a checksum nobody could tell.
        assert hub.cached(listing, HubFile(FILE, size)) is None


def test_a_file_that_was_listed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(modelscope((FILE,))) as server, Http() as http:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        hub = ModelScope(NAME, http)
        assert "has no repository" in hub.explain(HttpRefusal("h", 404)).message
        hub.listing()
        assert "has lost a file that it lists" in hub.explain(HttpRefusal("h", 404)).message


def test_a_repository_with_terms_names_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _: Response(403)) as server, Http() as http:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        with pytest.raises(NetworkError) as error:
            ModelScope(NAME, http).listing()
    assert f"{server.url}/models/{NAME}" in (error.value.hint or "")
    assert "MODELSCOPE_API_TOKEN" in (error.value.hint or "")
