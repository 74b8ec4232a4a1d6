"""Every fault is really injected: what a plain client sees of it, and what the real ones say."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hubs import faults
from tests.hubs.clients import run
from tests.hubs.hub import Hub
from tests.hubs.kaggle import Kaggle
from tests.hubs.modelscope import ModelScope
from tests.hubs.olah import Olah
from tests.hubs.repository import Repository
from tests.hubs.serving import Fault, Request, Response, Server, file_response
from tests.hubs.storage import Storage

DATA = bytes(range(256)) * 2000
NAME = "model.gguf"
TINY = Repository("Qwen/Tiny-GGUF", {NAME: DATA, "README.md": b"# Tiny\n"})
ETAG = '"an-etag"'


class Answer:
    """What a plain client got."""

    def __init__(self, url: str, patience: float = 60, /, **headers: str) -> None:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=patience)
        self.status, self.body, self.error = 0, b"", ""
        self.headers: dict[str, str] = {}
        try:
            connection.request("GET", f"{place.path}?{place.query}", headers=headers)
            answer = connection.getresponse()
            self.status = answer.status
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            while piece := answer.read1():
                self.body += piece
            if len(self.body) < int(self.headers["content-length"]):
                self.error = "IncompleteRead"
        except (OSError, http.client.HTTPException) as error:
            self.error = type(error).__name__
        connection.close()


def serve(request: Request) -> Response:
    return file_response(request, DATA, ETAG, {"x-linked-etag": ETAG})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(serve) as server:
        yield server


def spoiled(server: Server, fault: Fault, patience: float = 60, /, **headers: str) -> Answer:
    server.inject(fault, times=1)
    answer = Answer(f"{server.url}/file", patience, **headers)
    assert server.injected == 1
    sound = Answer(f"{server.url}/file")
    assert (sound.status, sound.body, sound.error) == (200, DATA, "")
    return answer


@pytest.mark.parametrize("at", [0, 1, 255_000, -1])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_bit_is_turned(server: Server, at: int, bit: int) -> None:
    answer = spoiled(server, faults.flip(at, bit))
    wrong = [i for i, (a, b) in enumerate(zip(answer.body, DATA, strict=True)) if a != b]
    assert wrong == [at % len(DATA)]
    assert answer.body[wrong[0]] ^ DATA[wrong[0]] == 1 << bit


def test_a_bit_is_turned_in_the_range_that_has_it(server: Server) -> None:
    server.inject(faults.flip(1000), times=1)
    assert Answer(f"{server.url}/file", Range="bytes=0-999").body == DATA[:1000]
    assert Answer(f"{server.url}/file", Range="bytes=1000-1999").body[0] == DATA[1000] ^ 1
    assert server.injected == 1


@pytest.mark.parametrize("by", [1, 1000, -1])
def test_a_file_is_shorter_or_longer(server: Server, by: int) -> None:
    answer = spoiled(server, faults.shorten(by))
    assert (len(answer.body), answer.error) == (len(DATA) - by, "")


def test_the_last_range_is_shorter(server: Server) -> None:
    answer = spoiled(server, faults.shorten(3), Range=f"bytes={len(DATA) - 10}-")
    assert (answer.body, answer.error) == (DATA[-10:-3], "")
    assert answer.headers["content-range"].endswith(f"/{len(DATA) - 3}")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.truncate(0), "IncompleteRead"),
        (faults.truncate(100_000), "IncompleteRead"),
        (faults.stall(0), "TimeoutError"),
        (faults.stall(100_000), "TimeoutError"),
    ],
)
def test_a_body_ends_early(server: Server, fault: Fault, error: str) -> None:
    answer = spoiled(server, fault, 2 if error == "TimeoutError" else 60)
    assert (answer.status, answer.error) == (200, error)
    assert len(answer.body) <= 100_000
    assert answer.body == DATA[: len(answer.body)]
    assert int(answer.headers["content-length"]) == len(DATA)


@pytest.mark.parametrize("at", [0, 100_000])
def test_a_connection_is_reset(server: Server, at: int) -> None:
    answer = spoiled(server, faults.reset(at))
    # What was on its way may be lost with the connection.
    assert answer.error == "ConnectionResetError"
    assert answer.body == DATA[: len(answer.body)]
    assert len(answer.body) <= at


def test_a_body_is_slow(server: Server) -> None:
    server.inject(faults.slow(100_000))
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", "/file")
    assert connection.getresponse().read(10_000) == DATA[:10_000]
    assert server.sent() < len(DATA)
    connection.close()


def test_a_body_is_held(server: Server) -> None:
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    with ThreadPoolExecutor(1) as pool:
        with faults.held(server):
            connection.request("GET", "/file")
            body = pool.submit(connection.getresponse().read)
            with pytest.raises(FutureTimeout):
                body.result(0.3)
            assert server.sent() == 0
        assert body.result() == DATA
    connection.close()


def test_etags_are_wrong(server: Server) -> None:
    answer = spoiled(server, faults.wrong_etag('"other"'))
    assert (answer.headers["etag"], answer.headers["x-linked-etag"]) == ('"other"', '"other"')


def test_a_body_is_compressed(server: Server) -> None:
    answer = spoiled(server, faults.gzipped())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == DATA


def test_a_page_comes_instead(server: Server) -> None:
    answer = spoiled(server, faults.error_page())
    assert (answer.status, answer.body) == (200, faults.ERROR_PAGE)


def test_a_status_comes_instead(server: Server) -> None:
    answer = spoiled(server, faults.refuse(429, retry_after="1"))
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "1", b"")


def test_a_client_is_sent_elsewhere(server: Server) -> None:
    answer = spoiled(server, faults.redirect("http://localhost:1"))
    assert (answer.status, answer.headers["location"]) == (302, "http://localhost:1/file?")


def test_ranges_are_ignored(server: Server) -> None:
    answer = spoiled(server, faults.no_ranges(), Range="bytes=10-19")
    assert (answer.status, answer.body) == (200, DATA)


def test_another_range_comes(server: Server) -> None:
    answer = spoiled(server, faults.wrong_range(), Range="bytes=10-19")
    assert (answer.status, answer.body) == (206, DATA[11:21])
    assert answer.headers["content-range"] == f"bytes 11-20/{len(DATA)}"


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ({"Range": "bytes=5-9"}, 206, DATA[5:10]),
        ({"Range": "bytes=5-"}, 206, DATA[5:]),
        ({"Range": "bytes=-5"}, 206, DATA[-5:]),
        ({"Range": f"bytes=5-{len(DATA)}"}, 206, DATA[5:]),
        ({"Range": f"bytes={len(DATA)}-"}, 416, b""),
        ({"Range": "bytes=5-9,11-12"}, 200, DATA),
        ({"Range": "bytes=5-9", "If-Range": ETAG}, 206, DATA[5:10]),
        ({"Range": "bytes=5-9", "If-Range": '"older"'}, 200, DATA),
    ],
)
def test_ranges_without_faults(server: Server, asked: dict[str, str], status: int, body: bytes) -> None:
    answer = Answer(f"{server.url}/file", **asked)
    assert (answer.status, answer.body, answer.error) == (status, body, "")
    assert (server.sent(), server.injected) == (len(body), 0)


def test_faults_wait_end_and_choose(server: Server) -> None:
    server.inject(faults.refuse(503), "/one", skip=1, times=1)
    statuses = [Answer(f"{server.url}/{path}").status for path in ("one", "two", "one", "one")]
    assert statuses == [200, 200, 503, 200]
    server.inject(faults.refuse(503))
    assert Answer(f"{server.url}/one").status == 503
    server.heal()
    assert Answer(f"{server.url}/one").status == 200


def test_storage_wants_its_signature_and_no_token() -> None:
    storage = Storage(etag=lambda _: ETAG)
    url = storage.keep(TINY.sha256(NAME), DATA)
    assert Answer(url).body == DATA
    assert Answer(url, Authorization="Bearer hf_mine").status == 400
    assert Answer(url.partition("?")[0]).status == 403
    assert Answer(url.replace("/objects/", "/objects/0")).status == 403
    storage.close()


def test_the_real_clients_meet_the_faults(tmp_path: Path) -> None:
    """The clients that check what they got refuse a turned bit; the one that does not is fooled."""
    wrong = bytearray(DATA)
    wrong[-1] ^= 1
    with Hub(TINY) as hub:
        hub.storage.server.inject(faults.flip(-1))
        folder = run("hf_snapshot", tmp_path, {"HF_ENDPOINT": hub.url}, repo_id=TINY.id)
        assert (Path(folder) / NAME).read_bytes() == wrong
    with ModelScope(TINY) as hub:
        hub.storage.server.inject(faults.flip(-1))
        environ = {"MODELSCOPE_ENDPOINT": hub.url}
        answer = run("modelscope_snapshot", tmp_path, environ, model_id=TINY.id)
        assert answer["error"] == "FileDownloadError"
    model = Repository("qwen-lm/qwen-3/transformers/0.6b", TINY.files)
    with Kaggle(model) as hub:
        hub.storage.server.inject(faults.flip(-1))
        environ = {"KAGGLE_TEST_ENDPOINT": hub.url}
        answer = run("kaggle_model", tmp_path, environ, handle=model.id, path=NAME)
        assert answer["error"] == "DataCorruptionError"


def test_olah_has_the_faults_in_front(tmp_path: Path) -> None:
    with Olah(tmp_path, TINY) as olah:
        url = f"{olah.url}/{TINY.id}/resolve/main/{NAME}"
        # It knows no ranges.
        answer = Answer(url, Range="bytes=10-19")
        assert (answer.status, answer.body) == (200, DATA)
        olah.server.inject(faults.flip(5), "resolve", times=1)
        assert Answer(url).body[5] == DATA[5] ^ 1
        olah.server.inject(faults.truncate(100), "resolve", times=1)
        assert len(Answer(url).body) == 100
        assert olah.server.injected == 2
