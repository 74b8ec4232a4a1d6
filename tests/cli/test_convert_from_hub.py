"""`qwen3 convert OWNER/REPO`: what can be wrong with the wishes is said before a hub is asked or a byte comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.homes import Home, repository_of
from tests.converters.adapters import lora, make_adapter
from tests.converters.checkpoints import Model, make_checkpoint
from tests.converters.imatrices import write_gguf
from tests.hubs.faults import held
from tests.hubs.hub import Hub

NAME = "someone/Tiny"
MODEL = Model(layers=1, hidden=256, feed_forward=256, head=64, tied=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "Tiny", MODEL)


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[Hub]:
    with Hub(repository_of(checkpoint, NAME)) as hub:
        yield hub


@pytest.mark.parametrize(
    ("wishes", "code", "words"),
    [
        (("--as", "in-the-way"), 4, "it is no folder of a model"),
        (("--as", "link"), 4, "link"),
        (("--as", "con"), 2, "cannot name a model"),
        (("--as", "m", "--imatrix", "absent.gguf"), 4, "there is no importance matrix `absent.gguf`"),
        (("--as", "m", "--imatrix", "page.html"), 4, "page.html"),
        (("--as", "m", "--adapter", "absent"), 4, "absent"),
        (("-o", "absent/m.gguf"), 1, "absent` does not exist"),
        (("-o", "page.html/m.gguf"), 1, "is not a folder"),
        (("-o", "page.html"), 1, "exists and is no GGUF file"),
        (("-o", "folder"), 1, "exists and is not a file"),
        (("-o", "m.gguf", "-q", "iq2_xxs"), 2, "IQ2_XXS needs an importance matrix"),
        (("-o", "m.gguf", "--tensor-type", "attn_v=iq2_xxs"), 2, "needs an importance matrix"),
        (("-o", "m.gguf", "--embedding-type", "iq2_xs"), 2, "needs an importance matrix"),
        (("-o", "m.gguf", "-q", "bf16", "--tensor-type", "attn_v=q8_0"), 2, "does not take types"),
        (("--dry-run",), 2, "a dry run needs the checkpoint's folder"),
        (("--dry-run", "-o", "m.gguf", "-q", "q4_k_m"), 2, f"`qwen3 pull {NAME} -q q4_k_m --dry-run`"),
    ],
)
def test_wishes_are_checked_before_anything_is_asked(
    home: Home, hub: Hub, monkeypatch: pytest.MonkeyPatch, wishes: tuple[str, ...], code: int, words: str
) -> None:
    place = home.folder / "work"
    (place / "folder").mkdir(parents=True)
    (place / "page.html").write_text("<html>" * 10, encoding="utf-8")
    models = home.folder / "qwen3" / "models"
    models.mkdir(parents=True)
    (models / "in-the-way").write_text("mine", encoding="utf-8")
    (models / "link").symlink_to(place)
    monkeypatch.chdir(place)
    done = home("convert", NAME, *wishes, HF_ENDPOINT=hub.url)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr
    assert hub.server.asked() == []
    assert not (home.folder / "qwen3" / "downloads").exists()


def test_a_model_from_elsewhere_is_not_replaced(home: Home, hub: Hub, checkpoint: Path) -> None:
    assert home("convert", str(checkpoint), "--as", "m").returncode == 0
    before = home.bytes_of("m")
    done = home("convert", NAME, "--as", "M", "-q", "f16", HF_ENDPOINT=hub.url)
    assert done.returncode == 2, done.stderr
    assert "the store has another model of the name `m`" in done.stderr
    assert hub.server.asked() == []
    assert home.bytes_of("m") == before
    assert home("rm", "m").returncode == 0
    for kind in ("f16", "bf16"):
        done = home("convert", NAME, "--as", "m", "-q", kind, HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
    assert home.store.get("m").facts.quantization == "BF16"
    assert home.left() == []


def test_a_name_that_is_taken_meanwhile_stays_taken(home: Home, hub: Hub, checkpoint: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(hub.storage.server):
            remote = pool.submit(home, "convert", NAME, "--as", "m", "-q", "f16", HF_ENDPOINT=hub.url)
            while not hub.storage.server.asked() and not remote.done():
                time.sleep(0.05)
            local = home("convert", str(checkpoint), "--as", "m", "-q", "bf16")
        done = remote.result()
    assert (local.returncode, done.returncode) == (0, 2), done.stderr
    assert "the store has another model of the name `m`" in done.stderr
    assert home.store.get("m").facts.quantization == "BF16"


def test_what_is_sound_is_used(home: Home, hub: Hub) -> None:
    imatrix = write_gguf(home.folder / "im.gguf", MODEL)
    adapter = make_adapter(home.folder / "rhymes", lora("model.layers.0.mlp.up_proj", (256, 256), 4))
    wishes = ("--imatrix", str(imatrix), "--adapter", str(adapter), "-o", str(home.folder / "out.gguf"))
    done = home("convert", NAME, "-q", "iq2_xs", *wishes, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    # Where other types are wished for, none is left that needs a matrix.
    wishes = ("--tensor-type", ".=q8_0", "--output-type", "q8_0", "--embedding-type", "q8_0")
    done = home("convert", NAME, "-q", "iq2_xs", *wishes, "--as", "m", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr


def test_an_address_that_is_none_is_shown_as_it_is(home: Home) -> None:
    done = home("convert", "https://[x", "-o", "m.gguf")
    assert done.returncode == 2, done.stderr
    assert "`https://[x`" in done.stderr
