"""A file at a plain URL: what comes with it is believed, and the secrets in its address are told to nobody."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError, UsageError
from qwen3cli.models.http import Http
from qwen3cli.models.sources.hub import Listing, Unreachable
from qwen3cli.models.sources.web import Web
from qwen3cli.models.variants import HubFile
from tests.hubs.faults import refuse
from tests.hubs.serving import Response
from tests.models.fetching import HASTE, Shop

SECRET = "?token=two&Signature=two#two"


@pytest.fixture
def shop() -> Generator[Shop]:
    with Shop() as server:
        server.put("/a/m.gguf", b"GGUF")
        yield server


@pytest.fixture
def http() -> Generator[Http]:
    with Http(HASTE) as connections:
        yield connections


def test_the_query_is_a_part_of_the_download_only(shop: Shop, http: Http) -> None:
    web = Web(f"{shop.url}/a/m.gguf{SECRET}", http)
    listing = web.listing()
    assert (listing.source, listing.revision) == (f"{shop.url}/a/m.gguf", "1")
    assert [(file.path, file.size) for file in listing.files] == [("m.gguf", 4)]
    assert web.title == "127.0.0.1"
    assert web.remote(listing, listing.files[0]).url == f"{shop.url}/a/m.gguf{SECRET}"
    assert shop.asked()[-1].request.target == "/a/m.gguf?token=two&Signature=two"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/a/none.gguf", 0, ModelNotFound),
        ("/a/m.gguf", 410, ModelNotFound),
        ("/a/m.gguf", 403, NetworkError),
        ("/a/m.gguf", 503, Unreachable),
        ("/a/m.html", 0, ModelNotFound),
        ("/a/x%0a.gguf", 200, ModelNotFound),
        ("/a/x%00.gguf", 200, ModelNotFound),
        ("/a/..%5cx.gguf", 200, ModelNotFound),
        (":99999/m.gguf", 0, QwenError),
        (":x/m.gguf", 0, UsageError),
    ],
)
def test_no_sentence_has_the_query(
    shop: Shop, http: Http, path: str, status: int, kind: type[QwenError]
) -> None:
    if status:
        shop.inject(refuse(status))  # 200 is none: the name alone is the fault.
    address = "http://h.invalid" if path.startswith(":") else shop.url
    with pytest.raises(kind) as error:
        Web(f"{address}{path}{SECRET}", http).listing()
    assert "two" not in f"{error.value.message} {error.value.hint}"
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    "url", ["http://me:two@h/m.gguf", "http://two@h/m.gguf", f"http://[::1/m.gguf{SECRET}"]
)
def test_an_address_that_is_not_taken(http: Http, url: str) -> None:
    with pytest.raises(UsageError) as error:
        Web(url, http)
    assert "two" not in error.value.message


@pytest.mark.parametrize(
    ("etag", "length", "revision", "size"),
    [
        ('"WaW"', "4", "WaW", 4),
        ('W/"Wa/"', "4", "Wa/", 4),
        ("bare", "4", "", 4),
        ('""', "4", "", 4),
        (f'"{"x" * 5000}"', "4", "", 4),
        ('"a"', "4" * 16, "a", 0),
    ],
)
def test_what_comes_with_a_file(
    shop: Shop, http: Http, etag: str, length: str, revision: str, size: int
) -> None:
    shop.inject(lambda _, __: Response(200, {"etag": etag, "content-length": length}, b"GGUF"))
    listing = Web(f"{shop.url}/a/m.gguf", http).listing()
    assert (listing.revision, listing.files[0].size) == (revision, size)


@pytest.mark.parametrize(
    ("changed", "revision"),
    [("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"), ("<b>", ""), ("x" * 50, "")],
)
def test_without_an_etag_the_date_tells(shop: Shop, http: Http, changed: str, revision: str) -> None:
    shop.inject(lambda _, __: Response(200, {"last-modified": changed, "content-length": "4"}, b"GGUF"))
    assert Web(f"{shop.url}/a/m.gguf", http).listing().revision == revision


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("X-Amz-Date=2&X-Amz-Signature=b", True),
        ("sp=r&se=2&sv=2&sr=b&sig=b", True),
        ("Expires=2&Signature=b&Key-Pair-Id=k", True),
        ("OSSAccessKeyId=k&Expires=2&Signature=b", True),
        ("file=2", False),
        ("X-Amz-Date=2&versionId=2", False),
    ],
)
def test_a_new_signature_is_the_same_download(http: Http, tmp_path: Path, query: str, same: bool) -> None:
    def place(query: str) -> str:
        web = Web(f"https://storage.example/m.gguf?{query}", http)
        return web.remote(Listing("", "", ()), HubFile("m.gguf", 4)).places(tmp_path).key

    assert (place(query) == place(query.replace("2", "1").replace("b", "a"))) == same
