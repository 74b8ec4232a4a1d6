"""`qwen3 pull` on the real program, against real servers on loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from converters import convert
from qwen3cli.models.machines import total_memory
from tests.cli.homes import FILE, GGUF, NOWHERE, Home, repository_of
from tests.converters.checkpoints import Model, make_checkpoint
from tests.hubs import faults
from tests.hubs.hub import Hub
from tests.hubs.kaggle import Kaggle
from tests.hubs.modelscope import ModelScope
from tests.hubs.olah import Olah
from tests.hubs.repository import Repository
from tests.hubs.serving import Fault, Request, Response, Server, file_response, json_response
from tests.models.stored import shards


@pytest.fixture(scope="session")
def weights(demo_gguf: Path) -> bytes:
    """A model that can switch its thinking, as `8b` can."""
    return demo_gguf.read_bytes()


@pytest.fixture
def hub(weights: bytes) -> Iterator[Hub]:
    more = {"README.md": b"# a card", "mmproj-model-f16.gguf": b"GGUF", "imatrix.gguf": b"GGUF"}
    with Hub(Repository(GGUF, {FILE: weights, **more})) as hub:
        yield hub


def test_a_family_name_becomes_a_model(home: Home, hub: Hub, weights: bytes) -> None:
    done = home("pull", "8B", HF_ENDPOINT=hub.url)
    assert (done.returncode, done.stdout) == (0, "")
    sha256 = Repository("a/b", {"x": weights}).sha256("x")
    assert f"checked {FILE}: its SHA-256 is the hub's ({sha256[:12]}...)" in done.stderr
    assert "installed 8b" in done.stderr
    entry = home.store.get("8b")
    assert entry.facts.path.name == FILE
    assert entry.facts.path.parent == home.store.folder / "8b"
    assert entry.origin.source == f"{GGUF}:Q8_0"
    assert entry.origin.sha256 == (sha256,)
    assert entry.origin.license == "apache-2.0"
    assert len(entry.origin.revision) == 40
    assert home.bytes_of("8b") == weights
    assert home.left() == []


def test_a_model_is_found_by_the_reference_that_pulled_it(home: Home, hub: Hub) -> None:
    assert home("pull", f"{GGUF}:q8_0", HF_ENDPOINT=hub.url).returncode == 0
    assert [entry.name for entry in home.store.entries()] == ["Qwen3-8B-Q8_0"]
    for text in (GGUF, GGUF.lower(), f"{GGUF}:Q8_0", f"hf.co/{GGUF}:{FILE}", "8b", "8b:q8_0", "Qwen3-8B"):
        assert json.loads(home("show", text, "--json").stdout)["name"] == "Qwen3-8B-Q8_0"
    done = home("show", "8b:q4_k_m")
    assert done.returncode == 3
    assert "`qwen3 pull 8b:q4_k_m` installs it" in done.stderr


def test_olah_serves_hugging_face(home: Home, tmp_path: Path, weights: bytes) -> None:
    (tmp_path / "olah").mkdir()
    with Olah(tmp_path / "olah", Repository(GGUF, {FILE: weights})) as olah:
        done = home("pull", "8b", HF_ENDPOINT=olah.url)
    assert done.returncode == 0, done.stderr
    assert home.bytes_of("8b") == weights


@pytest.mark.parametrize(
    ("text", "name"), [(f"ms://{GGUF}", "Qwen3-8B-Q8_0"), ("8b", "8b"), (GGUF, "Qwen3-8B-Q8_0")]
)
def test_modelscope_serves_what_hugging_face_cannot(home: Home, text: str, name: str, weights: bytes) -> None:
    with ModelScope(Repository(GGUF, {FILE: weights, "README.md": b"# a card"})) as scope:
        done = home("pull", text, MODELSCOPE_ENDPOINT=scope.url)
        again = home("pull", text, "--source", "auto", MODELSCOPE_ENDPOINT=scope.url)
    assert done.returncode == 0, done.stderr
    assert ("trying ModelScope" in done.stderr) == (not text.startswith("ms:"))
    assert home.store.get(name).origin.source == f"ms://{GGUF}:Q8_0"
    assert home.bytes_of(name) == weights
    assert "up to date" in again.stderr


def test_one_source_alone_is_asked_where_that_is_wanted(home: Home, hub: Hub, weights: bytes) -> None:
    with ModelScope(Repository(GGUF, {FILE: weights})) as scope:
        done = home("pull", "8b", "--source", "hf", MODELSCOPE_ENDPOINT=scope.url)
        assert done.returncode == 5
        assert "cannot be reached" in done.stderr
        assert home("pull", "8b", "--source", "modelscope", HF_ENDPOINT=hub.url).returncode == 5
        assert scope.server.asked() == []
        assert hub.server.asked() == []
    assert home("pull", f"ms://{GGUF}", "--source", "hf").returncode == 2
    assert home("pull", "8b", "--source", "kaggle").returncode == 2


def test_kaggle_gives_a_version(home: Home, weights: bytes) -> None:
    handle = "qwen-lm/qwen-3/gguf/8b"
    with Kaggle(Repository(handle, {f"q8/{FILE}": weights}), Repository(handle, {FILE: weights})) as kaggle:
        assert home("pull", f"kaggle://{handle}/1", KAGGLE_API_ENDPOINT=kaggle.url).returncode == 0
        newest = home("pull", f"kaggle://{handle}", "--as", "new", KAGGLE_API_ENDPOINT=kaggle.url)
    assert newest.returncode == 0, newest.stderr
    assert "nobody says" not in newest.stderr  # the storage told the MD5
    assert home.store.get("new").origin.revision == "2"
    assert home.bytes_of("new") == weights
    assert home.store.get("new").origin.sha256 == (hashlib.sha256(weights).hexdigest(),)
    assert {entry.origin.revision for entry in home.store.entries()} == {"1", "2"}


def test_a_plain_url(home: Home, weights: bytes) -> None:
    with Server(lambda request: file_response(request, weights, '"v1"', {})) as server:
        url = f"{server.url}/some/where/My%20Model.gguf?token=1"
        done = home("pull", url)
        assert done.returncode == 0, done.stderr
        assert "only its size could be checked" in done.stderr
        assert home.bytes_of("My-Model") == weights
        assert "up to date" in home("pull", f"{server.url}/some/where/My%20Model.gguf?token=2").stderr
        assert json.loads(home("show", url, "--json").stdout)["name"] == "My-Model"
        assert home("pull", f"{server.url}/index.html").returncode == 3
    assert home("pull", "http://127.0.0.1:9/x.gguf").returncode == 5


def test_a_second_pull_says_whether_there_is_a_newer_one(
    home: Home, hub: Hub, demo_q8_0: Path, weights: bytes
) -> None:
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    sent = hub.storage.server.sent()
    same = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert "`8b` is installed and up to date" in same.stderr
    hub.publish(Repository(GGUF, {FILE: weights, "README.md": b"# another card"}))
    assert "up to date" in home("pull", "8b", HF_ENDPOINT=hub.url).stderr
    assert hub.storage.server.sent() == sent
    hub.publish(Repository(GGUF, {FILE: demo_q8_0.read_bytes()}))
    newer = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert newer.returncode == 0, newer.stderr
    assert "there is a newer `8b`" in newer.stderr
    assert home.bytes_of("8b") == demo_q8_0.read_bytes()


def test_the_same_files_are_not_fetched_twice(home: Home, hub: Hub, weights: bytes) -> None:
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    sent = hub.storage.server.sent()
    done = home("pull", GGUF, "--as", "twin", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert hub.storage.server.sent() == sent
    assert home.bytes_of("twin") == weights


def test_an_unmatched_tag_lists_what_there_is(home: Home, hub: Hub) -> None:
    done = home("pull", "8b:q4_k_m", HF_ENDPOINT=hub.url)
    assert done.returncode == 3
    assert "has no `q4_k_m`" in done.stderr
    assert "`Q8_0`" in done.stderr
    assert "`qwen3 pull 8b -q q4_k_m` makes it from the checkpoint" in done.stderr
    done = home("pull", GGUF, "-q", "q4_k_m", HF_ENDPOINT=hub.url)
    assert done.returncode == 2
    assert "is no checkpoint" in done.stderr


def test_shards_are_one_model(home: Home, tmp_path: Path) -> None:
    parts = {f"Q4_K_M/{path.name}": path.read_bytes() for path in shards(tmp_path / "parts")}
    with Hub(Repository("a/m-GGUF", parts)) as hub:
        done = home("pull", "a/m-GGUF", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    entry = home.store.get("m-Q4_K_M")
    assert {f"Q4_K_M/{path.name}": path.read_bytes() for path in entry.files} == parts
    assert home.left() == []


def test_a_dry_run_downloads_nothing(home: Home, hub: Hub, weights: bytes) -> None:
    done = home("pull", "8b", "--dry-run", HF_ENDPOINT=hub.url)
    assert done.returncode == 0
    assert FILE in done.stdout
    plan = json.loads(home("pull", "8b", "--dry-run", "--json", HF_ENDPOINT=hub.url).stdout)
    assert (plan["name"], plan["bytes"], plan["missing_bytes"]) == ("8b", len(weights), len(weights))
    assert hub.storage.server.asked() == []
    assert home.store.entries() == []


def claiming(size: int) -> Fault:
    """A listing that says of every file that it has so many bytes."""

    def fault(_: Request, response: Response) -> Response:
        entries = json.loads(response.body)
        for entry in entries:
            entry["size"] = size
            entry.get("lfs", {})["size"] = size
        return json_response(entries)

    return fault


def test_what_the_memory_cannot_hold_is_refused_before_the_first_byte(home: Home, hub: Hub) -> None:
    hub.server.inject(claiming(10**15), "/tree/")
    for text in ("8b", "8b:q8_0", GGUF):
        done = home("pull", text, HF_ENDPOINT=hub.url)
        assert done.returncode == 6, done.stderr
        assert "has 1000 TB of weights, too much for this machine's" in done.stderr
    assert "fits; `--force` downloads it all the same" in home("pull", "8b", HF_ENDPOINT=hub.url).stderr
    forced = home("pull", "8b", "--force", HF_ENDPOINT=hub.url)
    assert forced.returncode == 6
    assert "MB on the disk of" in forced.stderr
    dry = home("pull", "8b", "--dry-run", HF_ENDPOINT=hub.url)
    assert dry.returncode == 0
    assert dry.stderr.count("note: ") == 2
    assert hub.storage.server.asked() == []


def test_what_would_hardly_run_is_taken_only_if_it_is_asked_for(home: Home, hub: Hub) -> None:
    hub.server.inject(claiming(total_memory() - 1), "/tree/")
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 6, done.stderr
    assert "too much to run well in this machine's" in done.stderr
    asked = home("pull", "8b:q8_0", "--dry-run", HF_ENDPOINT=hub.url)
    assert "which leaves little of this machine's" in asked.stderr
    assert hub.storage.server.asked() == []


def test_json_tells_scripts_what_happens(home: Home, hub: Hub, weights: bytes) -> None:
    lines = [
        json.loads(line) for line in home("pull", "8b", "--json", HF_ENDPOINT=hub.url).stdout.splitlines()
    ]
    assert {"event": "progress", "file": FILE, "bytes": len(weights), "total": len(weights)} in lines
    assert lines[-1]["event"] == "done"
    assert (lines[-1]["name"], lines[-1]["current"]) == ("8b", False)
    missing = home("pull", "Qwen/none", "--json", HF_ENDPOINT=hub.url)
    assert json.loads(missing.stdout)["exit_code"] == missing.returncode == 3


def test_gated_repositories_say_what_to_accept(home: Home, weights: bytes) -> None:
    gated = Repository("a/gated-GGUF", {FILE: weights}, gated=True)
    with Hub(gated, tokens={"good": {gated.id}, "other": set()}) as hub:
        without = home("pull", gated.id, HF_ENDPOINT=hub.url)
        assert without.returncode == 5
        assert f"accept them at {hub.url}/{gated.id}, and set `HF_TOKEN`" in without.stderr
        assert home("pull", gated.id, HF_ENDPOINT=hub.url, HF_TOKEN="other").returncode == 5
        done = home("pull", gated.id, HF_ENDPOINT=hub.url, HF_TOKEN="good")
        assert done.returncode == 0, done.stderr
        # Storage is another host: it must never see the token.
        assert hub.storage.server.asked()
        assert not any("authorization" in one.request.headers for one in hub.storage.server.asked())


def test_wrong_bytes_are_never_installed(home: Home, hub: Hub, weights: bytes) -> None:
    hub.storage.server.inject(faults.flip(len(weights) // 2))
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 5
    assert "is not what it should be" in done.stderr
    assert home.store.entries() == []
    hub.storage.server.heal()
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert home.bytes_of("8b") == weights
    assert home.left() == []


def test_another_kind_than_asked_is_refused(home: Home, weights: bytes) -> None:
    with Hub(Repository("unsloth/Qwen3-4B-Thinking-2507-GGUF", {"m-Q8_0.gguf": weights})) as hub:
        done = home("pull", "4b-thinking-2507", HF_ENDPOINT=hub.url)
        assert done.returncode == 4
        assert "is no 4b-thinking-2507" in done.stderr
        assert home.store.entries() == []
        assert home("pull", "unsloth/Qwen3-4B-Thinking-2507-GGUF", HF_ENDPOINT=hub.url).returncode == 0
    with Hub(Repository("Qwen/Qwen3-30B-A3B-GGUF", {"m-Q8_0.gguf": weights})) as hub:
        dense = home("pull", "30b-a3b", HF_ENDPOINT=hub.url)
        assert dense.returncode == 4
        assert "is no 30b-a3b: it is a dense model" in dense.stderr


def test_what_is_no_model_file_is_refused(home: Home) -> None:
    with Hub(Repository("a/bad-GGUF", {"bad-Q8_0.gguf": b"GGUF" + bytes(1000)})) as hub:
        done = home("pull", "a/bad-GGUF", HF_ENDPOINT=hub.url)
    assert done.returncode == 4
    assert home.store.entries() == []


def test_two_owners_may_have_models_of_one_name(home: Home, weights: bytes, demo_q8_0: Path) -> None:
    other = Repository("else/Qwen3-8B-GGUF", {FILE: demo_q8_0.read_bytes()})
    with Hub(Repository(GGUF, {FILE: weights}), other) as hub:
        assert home("pull", GGUF, HF_ENDPOINT=hub.url).returncode == 0
        assert home("pull", other.id, HF_ENDPOINT=hub.url).returncode == 0
    assert home.bytes_of("Qwen3-8B-Q8_0") == weights
    assert home.bytes_of("else-Qwen3-8B-Q8_0") == demo_q8_0.read_bytes()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen3-0.6B-Base", Model(shards=2))


@pytest.mark.parametrize("kind", ["hf", "modelscope", "kaggle"])
def test_a_checkpoint_is_pulled_and_converted(
    home: Home, checkpoint: Path, kind: str, tmp_path: Path
) -> None:
    convert(checkpoint, tmp_path / "expected.gguf", "q8_0")
    expected = (tmp_path / "expected.gguf").read_bytes()
    identity = "Qwen/Qwen3-0.6B-Base"
    if kind == "kaggle":
        with Kaggle(repository_of(checkpoint, "qwen-lm/qwen-3/transformers/Qwen3-0.6B-Base")) as server:
            text = "kaggle://qwen-lm/qwen-3/transformers/Qwen3-0.6B-Base"
            done = home("pull", text, "--as", "0.6b-base", KAGGLE_API_ENDPOINT=server.url)
    elif kind == "modelscope":
        with ModelScope(repository_of(checkpoint, identity)) as server:
            done = home("pull", "0.6b-base", "--source", "modelscope", MODELSCOPE_ENDPOINT=server.url)
    else:
        with Hub(repository_of(checkpoint, identity)) as server:
            done = home("pull", "0.6b-base", HF_ENDPOINT=server.url)
            assert "up to date" in home("pull", "0.6b-base", HF_ENDPOINT=server.url).stderr
            assert not [e for e in server.storage.server.asked() if "pytorch" in e.request.target]
    assert done.returncode == 0, done.stderr
    assert home.store.get("0.6b-base").facts.quantization == "Q8_0"
    assert home.bytes_of("0.6b-base") == expected
    assert home.left() == []
    assert "only its size" not in done.stderr


def test_convert_takes_a_reference_to_a_hub(home: Home, checkpoint: Path, tmp_path: Path) -> None:
    with Hub(repository_of(checkpoint, "Qwen/Qwen3-0.6B-Base")) as hub:
        target = tmp_path / "out.gguf"
        done = home("convert", "Qwen/Qwen3-0.6B-Base", "-o", str(target), "-q", "f16", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
    convert(checkpoint, tmp_path / "expected.gguf", "f16")
    assert target.read_bytes() == (tmp_path / "expected.gguf").read_bytes()
    assert home.left() == []


def test_a_file_in_the_cache_of_hugging_face_is_used_where_it_lies(
    home: Home, hub: Hub, weights: bytes
) -> None:
    fetch = "import sys, huggingface_hub as h; print(h.hf_hub_download(sys.argv[1], sys.argv[2]))"
    environ = {**home.environ, "HF_ENDPOINT": hub.url, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", fetch, GGUF, FILE]
    path = subprocess.run(
        command, env=environ, check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()
    sent = hub.storage.server.sent()
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert hub.storage.server.sent() == sent
    entry = home.store.get("8b")
    assert entry.external
    assert entry.facts.path == Path(path)
    assert home("rm", "8b").returncode == 0
    assert Path(path).read_bytes() == weights
    offline = home("pull", "8b", HF_ENDPOINT=NOWHERE, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    missing = home("pull", "4b", HF_HUB_OFFLINE="1")
    assert missing.returncode == 5
    assert "`HF_HUB_OFFLINE` forbids" in missing.stderr


def test_eight_pulls_at_once_transfer_once(home: Home, hub: Hub, weights: bytes) -> None:
    hub.storage.server.inject(faults.slow(len(weights)))
    with ThreadPoolExecutor(8) as pool:
        started = [pool.submit(home, "pull", "8b", HF_ENDPOINT=hub.url) for _ in range(8)]
        runs = [one.result() for one in started]
    assert [run.returncode for run in runs] == [0] * 8, [run.stderr for run in runs]
    assert hub.storage.server.sent() == len(weights)
    assert home.bytes_of("8b") == weights
    assert home.left() == []


@pytest.mark.parametrize(
    "text", ["./x.gguf", "ollama://qwen3:8b", "demo", "why is the sky blue", "a/b/c", "mine"]
)
def test_what_no_hub_has_is_a_usage_error(home: Home, text: str) -> None:
    assert home("pull", text).returncode == 2
