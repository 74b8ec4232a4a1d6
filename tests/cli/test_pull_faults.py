"""Faults between a hub and `qwen3 pull`, on every hub: what is wrong is never installed, what passes is got over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.homes import FILE, GGUF, Home
from tests.conftest import Run
from tests.hubs import faults
from tests.hubs.hub import Hub
from tests.hubs.kaggle import Kaggle
from tests.hubs.modelscope import ModelScope
from tests.hubs.repository import Repository
from tests.hubs.serving import Fault, Server

KAGGLE = "qwen-lm/qwen-3/gguf/8b"
TOKEN = "hf_secret"
HUBS = {"Hugging Face": GGUF, "ModelScope": f"ms://{GGUF}", "Kaggle": f"kaggle://{KAGGLE}"}


class Scene(NamedTuple):
    """A hub with one model, and the server that its files come from."""

    home: Home
    text: str
    environ: dict[str, str]
    storage: Server

    def pull(self) -> tuple[int, str]:
        done = self.home("pull", self.text, "--as", "m", **self.environ)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def weights(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


@pytest.fixture(params=HUBS)
def scene(request: pytest.FixtureRequest, qwen3: Run, tmp_path: Path, weights: bytes) -> Iterator[Scene]:
    kind, files = request.param, {FILE: weights}
    with ExitStack() as stack:
        hub: Hub | ModelScope | Kaggle
        if kind == "Hugging Face":
            hub = stack.enter_context(Hub(Repository(GGUF, files), tokens={TOKEN: set()}))
            environ = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
        elif kind == "ModelScope":
            hub = stack.enter_context(ModelScope(Repository(GGUF, files), tokens={TOKEN: set()}))
            environ = {"MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_API_TOKEN": TOKEN}
        else:
            hub = stack.enter_context(Kaggle(Repository(KAGGLE, files), tokens={TOKEN: set()}))
            environ = {"KAGGLE_API_ENDPOINT": hub.url, "KAGGLE_API_TOKEN": TOKEN}
        yield Scene(Home(qwen3, tmp_path), HUBS[kind], environ, hub.storage.server)


LASTING: dict[str, tuple[Fault, str]] = {
    "first bit flipped": (faults.flip(0), "is not what it should be"),
    "a bit in the middle flipped": (faults.flip(20_000, 7), "is not what it should be"),
    "last bit flipped": (faults.flip(-1), "is not what it should be"),
    "a byte short": (faults.shorten(1), "are listed"),
    "a byte long": (faults.shorten(-1), "another part of"),
    "packed": (faults.gzipped(), "packed (gzip)"),
    "a login page": (faults.error_page(), "an HTML page"),
    "forbidden": (faults.refuse(403), "hint: "),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_is_wrong_is_never_installed(scene: Scene, fault: str, weights: bytes) -> None:
    spoil, sentence = LASTING[fault]
    scene.storage.inject(spoil)
    code, said = scene.pull()
    assert scene.storage.injected
    assert code == 5
    assert sentence in said
    assert scene.home.store.listing() == ([], [])
    scene.storage.heal()
    assert scene.pull()[0] == 0
    assert scene.home.bytes_of("m") == weights
    assert scene.home.left() == []


PASSING: dict[str, Fault] = {
    "cut off": faults.truncate(9_000),
    "reset": faults.reset(9_000),
    "another etag": faults.wrong_etag(),
    "too many requests": faults.refuse(429, retry_after="1"),
    "out of order": faults.error_page(502),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_got_over(scene: Scene, fault: str, weights: bytes) -> None:
    scene.storage.inject(PASSING[fault], times=1)
    code, said = scene.pull()
    assert scene.storage.injected == 1
    assert code == 0, said
    assert scene.home.bytes_of("m") == weights
    assert scene.home.left() == []


def test_a_token_stays_with_its_hub(scene: Scene, weights: bytes) -> None:
    with Server(scene.storage.app, host="localhost") as elsewhere:
        scene.storage.inject(faults.redirect(elsewhere.url))
        code, said = scene.pull()
        assert code == 0, said
        asked = [*elsewhere.asked(), *scene.storage.asked()]
    assert len(asked) >= 2
    assert not any({"authorization", "cookie"} & set(exchange.request.headers) for exchange in asked)
    assert TOKEN not in said
    home = scene.home.folder
    kept = [path for path in home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []
