"""Pulling what is there already, in part, damaged, or under another name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from converters import convert
from tests.cli.homes import FILE, GGUF, Home, repository_of
from tests.converters.checkpoints import Model, make_checkpoint
from tests.hubs import faults
from tests.hubs.hub import Hub
from tests.hubs.modelscope import ModelScope
from tests.hubs.repository import Repository


@pytest.fixture(scope="module")
def weights(demo_gguf: Path) -> bytes:
    return demo_gguf.read_bytes()


@pytest.fixture
def hub(weights: bytes) -> Iterator[Hub]:
    with Hub(Repository(GGUF, {FILE: weights})) as hub:
        yield hub


def flipped(data: bytes) -> bytes:
    """One bit in the weights, which no header tells."""
    return data[:-1] + bytes([data[-1] ^ 1])


def cache_of_hugging_face(home: Home, hub: Hub, repository: str, *files: str) -> Path:
    """Where the real huggingface_hub has put the last of the files."""
    code = "import sys, huggingface_hub as h\nfor f in sys.argv[2:]: print(h.hf_hub_download(sys.argv[1], f))"
    environ = {**home.environ, "HF_ENDPOINT": hub.url, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", code, repository, *files]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, encoding="utf-8")
    return Path(done.stdout.splitlines()[-1])


def test_a_damaged_model_is_brought_back_by_pulling_it(home: Home, hub: Hub, weights: bytes) -> None:
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    home.store.get("8b").facts.path.write_bytes(b"rubbish")
    assert home("show", "8b").returncode == 4
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert home.bytes_of("8b") == weights
    home.store.get("8b").facts.path.unlink()
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert home.bytes_of("8b") == weights


def test_a_twin_is_hashed_before_it_is_believed(home: Home, hub: Hub, weights: bytes) -> None:
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    path = home.store.get("8b").facts.path
    path.write_bytes(flipped(weights))
    sent = hub.storage.server.sent()
    # It can be linked, so that it needs no room: what it would need otherwise is found out on the way.
    dry = home("pull", "8b", "--as", "twin", "--dry-run", "--json", HF_ENDPOINT=hub.url)
    assert json.loads(dry.stdout)["missing_bytes"] == 0
    done = home("pull", "8b", "--as", "twin", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert home.bytes_of("twin") == weights
    assert hub.storage.server.sent() == sent + len(weights)


def test_a_cached_file_that_changed_is_not_used(home: Home, hub: Hub, weights: bytes) -> None:
    path = cache_of_hugging_face(home, hub, GGUF, FILE).resolve()
    path.chmod(0o644)
    path.write_bytes(flipped(weights))
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "holds other bytes than the hub's file" in done.stderr
    assert home.bytes_of("8b") == weights
    assert not home.store.get("8b").external


def test_a_cached_checkpoint_is_not_downloaded_again(home: Home, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "x" / "Qwen3-0.6B-Base", Model(shards=2))
    convert(folder, tmp_path / "expected.gguf", "q8_0")
    identity = "Qwen/Qwen3-0.6B-Base"
    with Hub(repository_of(folder, identity)) as hub:
        cache_of_hugging_face(home, hub, identity, *(path.name for path in folder.iterdir()))
        sent = hub.storage.server.sent()
        small = len(hub.server.asked("resolve"))
        done = home("pull", identity, "--as", "m", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        assert hub.storage.server.sent() == sent
        assert len(hub.server.asked("resolve")) == small
    offline = home("pull", identity, "--as", "n", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert home.bytes_of("m") == home.bytes_of("n") == (tmp_path / "expected.gguf").read_bytes()


def test_a_model_keeps_its_name_when_the_other_hub_is_back(home: Home, hub: Hub, weights: bytes) -> None:
    with ModelScope(Repository(GGUF, {FILE: weights})) as scope:
        assert home("pull", "8b", MODELSCOPE_ENDPOINT=scope.url).returncode == 0
    for _ in range(3):
        done = home("pull", "8b", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        assert "up to date" in done.stderr
    assert [entry.name for entry in home.store.entries()] == ["8b"]


def test_repositories_of_equal_bytes_are_two_models(home: Home, weights: bytes) -> None:
    with Hub(Repository("a/x-GGUF", {FILE: weights}), Repository("b/x-GGUF", {FILE: weights})) as hub:
        for _ in range(2):
            for owner in "ab":
                done = home("pull", f"{owner}/x-GGUF", HF_ENDPOINT=hub.url)
                assert done.returncode == 0, done.stderr
        assert hub.storage.server.sent() == len(weights)
    sources = {entry.name: entry.origin.source for entry in home.store.entries()}
    assert sources == {"x-Q8_0": "a/x-GGUF:Q8_0", "b-x-Q8_0": "b/x-GGUF:Q8_0"}


def test_the_case_of_a_reference_does_not_matter(home: Home, hub: Hub) -> None:
    assert home("pull", GGUF, HF_ENDPOINT=hub.url).returncode == 0
    assert "up to date" in home("pull", GGUF.lower(), HF_ENDPOINT=hub.url).stderr
    assert len(home.store.entries()) == 1


def test_another_quantization_is_not_called_newer(home: Home, weights: bytes, demo_q8_0: Path) -> None:
    files = {FILE: demo_q8_0.read_bytes(), "Qwen3-8B-Q4_K_M.gguf": weights}
    with Hub(Repository(GGUF, files)) as hub:
        assert home("pull", "8b:q4_k_m", "--as", "8b", HF_ENDPOINT=hub.url).returncode == 0
        # What is there is kept, although this machine would take the larger one.
        same = home("pull", "8b", HF_ENDPOINT=hub.url)
        assert "up to date" in same.stderr
        other = home("pull", "8b:q8_0", "--as", "8b", HF_ENDPOINT=hub.url)
        assert "Q8_0 replaces it" in other.stderr
        assert "newer" not in other.stderr
    assert home.bytes_of("8b") == demo_q8_0.read_bytes()


def test_a_model_of_another_repository_is_never_replaced(home: Home, weights: bytes) -> None:
    with Hub(Repository("a/x-GGUF", {FILE: weights}), Repository("b/y-GGUF", {FILE: weights})) as hub:
        assert home("pull", "a/x-GGUF", "--as", "m", HF_ENDPOINT=hub.url).returncode == 0
        done = home("pull", "b/y-GGUF", "--as", "m", HF_ENDPOINT=hub.url)
    assert done.returncode == 2
    assert "`qwen3 rm m`" in done.stderr
    assert home.store.get("m").origin.source == "a/x-GGUF:Q8_0"


def test_the_kind_is_checked_on_every_road(home: Home, tiny_gguf: Path, tmp_path: Path) -> None:
    never = tiny_gguf.read_bytes()
    checkpoint = make_checkpoint(tmp_path / "x" / "Qwen3-0.6B", Model())
    with Hub(Repository(GGUF, {FILE: never}), repository_of(checkpoint, "Qwen/Qwen3-0.6B")) as hub:
        assert home("pull", GGUF, HF_ENDPOINT=hub.url).returncode == 0
        for arguments in (("8b", "--as", "twin"), ("0.6b", "-q", "q8_0")):
            done = home("pull", *arguments, HF_ENDPOINT=hub.url)
            assert done.returncode == 4, done.stderr
            assert "it is one whose thinking is `never`" in done.stderr
        assert home("rm", "Qwen3-8B-Q8_0").returncode == 0
        cache_of_hugging_face(home, hub, GGUF, FILE)
        assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 4
    assert home.store.entries() == []


def test_two_names_for_the_same_files_at_once_are_one_transfer(home: Home, hub: Hub, weights: bytes) -> None:
    hub.storage.server.inject(faults.slow(len(weights)))
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(home, "pull", "8b", "--as", name, HF_ENDPOINT=hub.url) for name in "mn"]
        assert [one.result().returncode for one in started] == [0, 0]
    assert hub.storage.server.sent() == len(weights)
    assert home.bytes_of("m") == home.bytes_of("n") == weights
    assert home.left() == []


def test_what_cannot_be_converted_is_refused_before_the_weights_come(home: Home, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "x" / "Some-AWQ", Model())
    config = (folder / "config.json").read_text(encoding="utf-8")
    awq = '{"quantization_config": {"quant_method": "awq"}, ' + config.lstrip()[1:]
    (folder / "config.json").write_text(awq, encoding="utf-8")
    with Hub(repository_of(folder, "a/Some-AWQ")) as hub:
        done = home("pull", "a/Some-AWQ", HF_ENDPOINT=hub.url)
        assert done.returncode == 4, done.stderr
        assert "AWQ" in done.stderr
        assert hub.storage.server.asked() == []
        needy = home("pull", "a/Some-AWQ", "-q", "iq2_xxs", HF_ENDPOINT=hub.url)
        assert needy.returncode == 2
        assert "`qwen3 convert OWNER/REPO -q iq2_xxs --imatrix FILE --as NAME`" in needy.stderr
    assert home("pull", "a/b", "-q", "nonsense").returncode == 2
    assert home("pull", "a/b:q8_0", "-q", "q8_0").returncode == 2


def test_two_models_of_one_name_at_once_are_not_mixed_up(home: Home, weights: bytes, demo_q8_0: Path) -> None:
    other = demo_q8_0.read_bytes()
    with Hub(Repository("a/x-GGUF", {FILE: weights}), Repository("b/x-GGUF", {FILE: other})) as hub:
        with ThreadPoolExecutor(2) as pool:
            with faults.held(hub.storage.server):
                started = [pool.submit(home, "pull", f"{who}/x-GGUF", HF_ENDPOINT=hub.url) for who in "ab"]
                # Both have their files to fetch before either is there.
                while len({one.request.path for one in hub.storage.server.asked()}) < 2:
                    assert not any(one.done() for one in started)
                    time.sleep(0.05)
            runs = [one.result() for one in started]
        assert sorted(run.returncode for run in runs) == [0, 2], [run.stderr for run in runs]
        assert any("has just been installed from" in run.stderr for run in runs)
        done = [home("pull", f"{who}/x-GGUF", HF_ENDPOINT=hub.url).returncode for who in "ab"]
    assert done == [0, 0]
    assert sorted(len(home.bytes_of(entry.name)) for entry in home.store.entries()) == [
        len(other),
        len(weights),
    ]


def test_a_name_with_base_in_it_changes_no_model(home: Home, hub: Hub) -> None:
    assert home("pull", "8b", "--as", "knowledge-base", HF_ENDPOINT=hub.url).returncode == 0
    facts = home.store.get("knowledge-base").facts
    assert (facts.base, facts.thinking) == (False, "hybrid")


def test_templates_of_every_place_come_along(home: Home, tmp_path: Path, demo_gguf: Path) -> None:
    folder = make_checkpoint(tmp_path / "x" / "Tiny", Model())
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "chat_template.json").write_text(
        '{"chat_template": "{{ messages[0].content }}"}', encoding="utf-8"
    )
    with Hub(repository_of(folder, "a/Tiny")) as hub:
        assert home("pull", "a/Tiny", "--as", "m", HF_ENDPOINT=hub.url).returncode == 0
    convert(folder, tmp_path / "expected.gguf", "q8_0")
    assert home.bytes_of("m") == (tmp_path / "expected.gguf").read_bytes()
    assert b"messages[0].content" in home.bytes_of("m")


def test_what_lies_whole_is_hashed_before_it_is_believed(home: Home, hub: Hub, weights: bytes) -> None:
    downloads = home.folder / "qwen3" / "downloads"
    downloads.mkdir(parents=True)
    sha256 = Repository(GGUF, {FILE: weights}).sha256(FILE)
    (downloads / f"{sha256}.whole").write_bytes(flipped(weights))
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert home.bytes_of("8b") == weights
    assert home.left() == []


def test_a_new_revision_does_not_cost_the_shards_that_are_the_same(home: Home, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "x" / "Tiny", Model(shards=2))
    last = sorted(folder.glob("*.safetensors"))[-1].name
    with Hub(repository_of(folder, "a/Tiny")) as hub:
        hub.storage.server.inject(
            faults.refuse(404), hashlib.sha256((folder / last).read_bytes()).hexdigest()
        )
        assert home("pull", "a/Tiny", "--as", "m", HF_ENDPOINT=hub.url).returncode != 0
        hub.storage.server.heal()
        (folder / "README.md").write_text("# New", encoding="utf-8")
        hub.publish(repository_of(folder, "a/Tiny"))
        before = hub.storage.server.sent()
        done = home("pull", "a/Tiny", "--as", "m", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        assert hub.storage.server.sent() - before == (folder / last).stat().st_size
    assert home.left() == []


def test_a_dry_run_says_how_things_stand(home: Home, hub: Hub) -> None:
    def plan() -> dict[str, Any]:
        return json.loads(home("pull", "8b", "--dry-run", "--json", HF_ENDPOINT=hub.url).stdout)

    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert (plan()["current"], plan()["missing_bytes"], plan()["problems"]) == (True, 0, [])
    home.store.get("8b").facts.path.write_bytes(b"rubbish")
    assert not plan()["current"]
    assert plan()["missing_bytes"] > 0
    text = home("pull", "8b", "--dry-run", HF_ENDPOINT=hub.url).stdout
    assert "yes, but damaged: it would be fetched again" in text


def test_what_nobody_went_on_with_is_swept_up(home: Home, hub: Hub) -> None:
    downloads = home.folder / "qwen3" / "downloads"
    # A killed process has left it: nobody holds its lock.
    (downloads / ".unfinished-0123456789ab" / "x").mkdir(parents=True)
    (downloads / ".unfinished-0123456789ab.lock").touch()
    long_ago = time.time() - 40 * 86_400
    old, young = ("a" * 64, "b" * 64)
    for key in (old, young):
        for kind in ("part", "map"):
            (downloads / f"{key}.{kind}").write_bytes(b"x")
    # What is not ours stays, and does not keep anybody from pulling.
    (downloads / "movie.part").mkdir()
    os.utime(downloads / "movie.part", (long_ago, long_ago))
    (downloads / f"{old}.lock").touch()
    for path in downloads.glob(f"{old}.*"):
        os.utime(path, (long_ago, long_ago))
    # Of this one only the map has not changed for so long: somebody has gone on with it.
    os.utime(downloads / f"{young}.map", (long_ago, long_ago))
    assert home("pull", "8b", HF_ENDPOINT=hub.url).returncode == 0
    assert home.left() == [f"{young}.map", f"{young}.part", "movie.part"]
    assert [path.name for path in downloads.glob("*.lock")] == [".lock"]
