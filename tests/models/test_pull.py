"""What a pull decides and installs when a hub, or what stands in its place, says what it should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import InvalidFile, ModelNotFound, NetworkError, QwenError, UsageError
from qwen3cli.models import catalog
from qwen3cli.models.download import RemoteFile
from qwen3cli.models.fetch import Fetcher
from qwen3cli.models.hitches import Patience
from qwen3cli.models.http import Http, HttpRefusal
from qwen3cli.models.pull import Pull, Request, decide
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.sources import open as opening
from qwen3cli.models.sources.hub import Hub, Listing, Unreachable
from qwen3cli.models.sources.huggingface import HuggingFace
from qwen3cli.models.sources.kaggle import Kaggle
from qwen3cli.models.sources.modelscope import ModelScope
from qwen3cli.models.store import ModelStore
from qwen3cli.models.variants import HubFile
from tests.hubs.serving import Request as Asked
from tests.hubs.serving import Response, Server, file_response
from tests.models.fetching import Watcher
from tests.models.stored import put

QUICK = Patience(connect_s=1, silence_s=1, tries=2, first_pause_s=0.01, longest_pause_s=0.01)


@dataclass
class Shelf:
    """A hub that lists what a test wants, with one file behind every path."""

    url: str
    paths: tuple[str, ...]
    size: int
    title: str = "Shelf"
    source: str = "a/b"
    revision: str = "1"
    sha256: str | None = None
    asked: list[str] = field(default_factory=list[str])

    def listing(self) -> Listing:
        files = tuple(HubFile(path, self.size, self.sha256) for path in self.paths)
        return Listing(self.source, self.revision, files)

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        self.asked.append(file.path)
        return RemoteFile(file.name, f"{self.url}/{len(self.asked)}", file.size, file.sha256)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        return refusal


class Told(Watcher):
    """A watch that is told which file it is about, too."""

    begun = ""

    def begin(self, name: str) -> None:
        self.begun = name


@pytest.fixture(scope="module")
def shop(tiny_gguf: Path) -> Iterator[Server]:
    data = tiny_gguf.read_bytes()
    with Server(lambda request: file_response(request, data, '"e"', {})) as server:
        yield server


def always(hubs: Sequence[Hub]) -> Callable[..., Sequence[Hub]]:
    def hubs_of(*_: object, **__: object) -> Sequence[Hub]:
        return hubs

    return hubs_of


def decided(hub: Hub, store: ModelStore, text: str = "a/b", **wanted: Any) -> Pull:
    with pytest.MonkeyPatch.context() as patch, Http(QUICK) as http:
        patch.setattr("qwen3cli.models.pull.hubs_of", always([hub]))
        request = Request(ModelRef.parse(text), **wanted)
        return decide(request, store, http, lambda size, member: True, Told())


HOSTILE = (
    *("../evil.gguf", "../../../evil.gguf", "a/../../evil.gguf", "/evil.gguf", "//evil.gguf", "./evil.gguf"),
    *(
        "..\\evil.gguf",
        "\\evil.gguf",
        "C:\\evil.gguf",
        "C:evil.gguf",
        "a\\..\\..\\evil.gguf",
        "\\\\host\\evil.gguf",
    ),
    *(
        "CON.gguf",
        "nul.gguf",
        "COM1.gguf",
        "aux.x.gguf",
        "x.gguf:stream.gguf",
        "x\0.gguf",
        "\0.gguf",
        "x\n.gguf",
    ),
    *("\x1b[2J.gguf", "\u202egpj.gguf", "x" * 5000 + ".gguf", ".gguf", "..gguf", ".hidden.gguf", " .gguf"),
    *(
        "manifest.json.gguf",
        "-rf.gguf",
        "~.gguf",
        "$HOME.gguf",
        "`id`.gguf",
        "模型.gguf",
        "\ud800.gguf",
        "a b .gguf",
    ),
    *("models/8b/evil.gguf", ".lock.gguf", "%2e%2e%2fevil.gguf", "file://evil.gguf", "changing.json.gguf"),
)


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_hostile_paths_never_leave_the_home(path: str, tmp_path: Path, shop: Server, tiny_gguf: Path) -> None:
    home = tmp_path / "home"
    store = ModelStore(home / "models")
    hub = Shelf(shop.url, (path, "config.json"), tiny_gguf.stat().st_size)
    with Http(QUICK) as http:
        try:
            pull = decided(hub, store)
            entry = Fetcher(pull, store, home / "downloads", http, Told()).install()
        except QwenError as error:
            assert "\n" not in error.message
        else:
            assert entry.facts.path.parent.parent == store.folder
            assert entry.facts.path.read_bytes() == tiny_gguf.read_bytes()
            assert not store.listing()[1]
    assert [path.name for path in tmp_path.iterdir()] in ([], ["home"])
    assert {path.name for path in home.iterdir()} <= {"models", "downloads"} if home.exists() else True
    assert not list(tmp_path.rglob("*evil*")) or all(
        store.folder in found.parents for found in tmp_path.rglob("*evil*")
    )


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_hostile_paths_are_no_part_of_a_checkpoint(path: str, tmp_path: Path, shop: Server) -> None:
    hostile = path.replace(".gguf", ".safetensors")
    hub = Shelf(shop.url, (hostile, "model.safetensors", "config.json", "tokenizer.json"), 10)
    store = ModelStore(tmp_path / "models")
    names = {file.path for file in decided(hub, store).files}
    assert names - {hostile} == {"model.safetensors", "config.json", "tokenizer.json"}
    assert not any(mark in name for name in names for mark in "/\\\0:")


def test_a_mirror_that_lists_other_bytes_than_qwens_is_not_trusted(tmp_path: Path) -> None:
    (source, path), (revision, sha256) = next(iter(catalog.PINS.items()))
    store = ModelStore(tmp_path)
    good = Shelf("", (path,), 10, source="Qwen/Qwen3-0.6B-GGUF", revision=f"{revision}00", sha256=sha256)
    assert source == good.source.lower()
    assert decided(good, store, good.source).files[0].sha256 == sha256
    good.sha256 = "0" * 64
    with pytest.raises(NetworkError, match="not Qwen's at this revision"):
        decided(good, store, good.source)
    good.revision = "f" * 40
    assert decided(good, store, good.source).files[0].sha256 == "0" * 64


def test_names_say_what_was_pulled(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)

    def name(text: str, path: str, **wanted: Any) -> str:
        paths = (path, "config.json", "tokenizer.json")
        return decided(Shelf("", paths, 10, source=wanted.pop("source", text)), store, text, **wanted).name

    assert name("8b", "Qwen3-8B-Q8_0.gguf", source="Qwen/Qwen3-8B-GGUF") == "8b"
    assert name("8B:Q8_0", "Qwen3-8B-Q8_0.gguf", source="Qwen/Qwen3-8B-GGUF") == "8b-q8_0"
    assert name("u/Qwen3-8B-GGUF", "Qwen3-8B-UD-Q4_K_XL.gguf") == "Qwen3-8B-UD-Q4_K_XL"
    assert name("u/my-model-q8_0-gguf", "m-Q8_0.gguf") == "my-model-q8_0"
    assert name("u/plain", "model.gguf") == "plain-model"
    assert name("u/plain", "model.safetensors") == "plain-Q8_0"
    assert name("u/plain", "model.safetensors", recipe="q4_k_m") == "plain-Q4_K_M"
    assert name("u/plain:iq4_nl", "model.safetensors", source="u/plain") == "plain-IQ4_NL"
    assert name("u/x" + "y" * 95, "m-Q8_0.gguf") == ("x" + "y" * 95)
    assert name("https://h/a%20b.gguf", "a b.gguf") == "a-b"
    assert name("u/x", "m-Q8_0.gguf", name="mine") == "mine"


def test_a_name_that_is_taken_by_everyone_is_an_error(tmp_path: Path, tiny_gguf: Path) -> None:
    store = ModelStore(tmp_path)
    for name in ("b-Q8_0", "a-b-Q8_0"):
        put(store, name, tiny_gguf, "else/where")
    with pytest.raises(UsageError, match="`a-b-Q8_0`"):
        decided(Shelf("", ("m-Q8_0.gguf",), 10), store)


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        (("model.safetensors", "tokenizer.json"), "config.json"),
        (("model.safetensors", "config.json"), "tokenizer.json"),
        (
            (
                "model-00001-of-00003.safetensors",
                "model-00003-of-00003.safetensors",
                "config.json",
                "tokenizer.json",
            ),
            "model-00002-of-00003.safetensors",
        ),
    ],
)
def test_half_a_checkpoint_is_refused(tmp_path: Path, paths: tuple[str, ...], missing: str) -> None:
    with pytest.raises(InvalidFile, match=f"lacks {missing}"):
        decided(Shelf("", paths, 10), ModelStore(tmp_path))


def test_what_is_no_model_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="neither GGUF files nor a safetensors"):
        decided(Shelf("", ("README.md", "mmproj-x.gguf"), 10), ModelStore(tmp_path))
    with pytest.raises(UsageError, match="q9"):
        decided(Shelf("", ("model.safetensors",), 10), ModelStore(tmp_path), recipe="q9")
    with pytest.raises(UsageError, match="exclude each other"):
        decided(Shelf("", ("model.safetensors",), 10), ModelStore(tmp_path), "a/b:q8_0", recipe="q8_0")


NONSENSE = (
    *("null", "[]", "{}", '"x"', "0", "[[[]]]", "", "{", "<html>login</html>", "\ufeff{}", "[" * 100_000),
    *('{"Data": null}', '{"Data": {"Files": 7}}', '{"Data": {"Files": [7]}}', '{"Data": {"Files": [{}]}}'),
    '{"Data": {"Files": [{"Path": "x.gguf", "Type": "blob", "Size": "many"}]}}',
    '{"Data": {"Files": [{"Path": null, "Type": "blob", "Size": null}]}}',
    '{"versionNumber": null}',
    '{"versionNumber": 1, "files": [{"name": "x.gguf", "size": []}]}',
    '{"versionNumber": 1, "files": "x", "nextPageToken": 1}',
    '{"sha": 7, "siblings": 7}',
    '{"id": "a/b", "sha": null, "tags": 7}',
)


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: ascii(text)[:40])
def test_nonsense_in_place_of_a_listing_is_a_sentence(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: Asked) -> Response:
        return Response(200, {"content-type": "application/json"}, text.encode())

    with Server(answer) as server, Http(QUICK) as http:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", server.url)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        for hub in (ModelScope("a/b", http), Kaggle("a/b/c/d", http), HuggingFace("a/b", http)):
            try:
                assert hub.listing().files == ()
            except NetworkError as error:
                assert error.hint
                assert "\n" not in error.message


def test_an_unreachable_hub_gives_way_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Shelf):
        def listing(self) -> Listing:
            raise Unreachable("Away cannot be reached", "")

    here, told = Shelf("", ("m-Q8_0.gguf",), 10), Told()
    hubs = [Away("", (), 0, title="Away"), here]
    monkeypatch.setattr("qwen3cli.models.pull.hubs_of", always(hubs))
    with Http(QUICK) as http:
        request = Request(ModelRef.parse("a/b"))
        pull = decide(request, ModelStore(tmp_path), http, lambda size, member: True, told)
    assert pull.hub is here
    assert told.says == ["Away cannot be reached; trying Shelf"]
    assert told.begun == "asking Shelf"


def test_a_family_name_leads_to_its_own_repositories() -> None:
    with Http(QUICK) as http:
        for member in catalog.FAMILY.values():
            for checkpoint in (False, True):
                hubs = opening.hubs_of(ModelRef.parse(member.name), "auto", http, checkpoint=checkpoint)
                expected = member.repository if checkpoint or member.gguf is None else member.gguf
                assert [(hub.title, vars(hub)["repository"]) for hub in hubs] == [
                    ("Hugging Face", expected),
                    ("ModelScope", expected),
                ]
