"""Checkpoints that are pulled side by side, stopped, published anew: no file gets into another one's model."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from converters import convert
from tests.cli.homes import GGUF, Home, repository_of
from tests.converters.adapters import lora, make_adapter
from tests.converters.checkpoints import Model, make_checkpoint
from tests.hubs.faults import held, refuse, slow
from tests.hubs.hub import Hub
from tests.hubs.repository import Repository

NAME = "a/Tiny"
MODEL = Model(layers=1, hidden=256, feed_forward=256, head=64, tied=False)
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    def make(place: str, model: Model = MODEL, **config: object) -> Path:
        folder = make_checkpoint(tmp_path / place / "Tiny", model)
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(values | config), encoding="utf-8")
        return folder

    return make


def expected(folder: Path, kind: str) -> bytes:
    """What a conversion of the folder itself gives."""
    output = folder.parent / f"{kind}.gguf"
    convert(folder, output, kind)
    return output.read_bytes()


def started(pool: ThreadPoolExecutor, hub: Hub, home: Home, *arguments: str) -> Future[Done]:
    """A command that has begun to ask for files."""
    before = len(hub.storage.server.asked())
    running = pool.submit(home, *arguments, HF_ENDPOINT=hub.url)
    while len(hub.storage.server.asked()) == before and not running.done():
        time.sleep(0.05)
    return running


def test_files_of_an_earlier_revision_do_not_get_into_the_model(
    home: Home, made: Callable[..., Path]
) -> None:
    old, new = made("old", Model(shards=2)), made("new", Model(), rope_theta=123456.0)
    (new / "generation_config.json").unlink(missing_ok=True)
    last = sorted(old.glob("*.safetensors"))[-1].name
    first = repository_of(old, NAME)
    with Hub(first) as hub:
        hub.storage.server.inject(refuse(404), first.sha256(last))
        assert home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url).returncode != 0
        hub.storage.server.heal()
        hub.publish(repository_of(new, NAME))
        done = home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert home.bytes_of("m") == expected(new, "bf16")


def test_two_revisions_at_once_are_two_models(home: Home, made: Callable[..., Path]) -> None:
    old, new = made("old"), made("new", rope_theta=123456.0)
    with Hub(repository_of(old, NAME)) as hub, ThreadPoolExecutor(1) as pool:
        hub.storage.server.inject(slow(1 << 20))
        running = started(pool, hub, home, "pull", NAME, "-q", "bf16", "--as", "old")
        hub.publish(repository_of(new, NAME))
        done = [home("pull", NAME, "-q", "bf16", "--as", "new", HF_ENDPOINT=hub.url), running.result()]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert home.bytes_of("old") == expected(old, "bf16")
    assert home.bytes_of("new") == expected(new, "bf16")
    assert home.left() == []


def test_several_types_at_once_are_one_transfer(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x")
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    with Hub(repository_of(folder, NAME)) as hub, ThreadPoolExecutor(3) as pool:
        hub.storage.server.inject(slow(weights // 6))
        runs = [
            started(pool, hub, home, "pull", NAME, "-q", "bf16", "--as", "m"),
            pool.submit(home, "pull", NAME, "-q", "f16", "--as", "n", HF_ENDPOINT=hub.url),
            pool.submit(home, "convert", NAME, "-o", str(home.folder / "o.gguf"), HF_ENDPOINT=hub.url),
        ]
        done = [run.result() for run in runs]
        assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
        assert hub.storage.server.sent() < 1.5 * weights
    assert (home.bytes_of("m"), home.bytes_of("n")) == (expected(folder, "bf16"), expected(folder, "f16"))
    assert (home.folder / "o.gguf").read_bytes() == expected(folder, "q8_0")
    assert home.left() == []


def test_one_that_is_up_to_date_leaves_the_work_of_others_alone(
    home: Home, made: Callable[..., Path]
) -> None:
    folder = made("x")
    with Hub(repository_of(folder, NAME)) as hub, ThreadPoolExecutor(1) as pool:
        assert home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url).returncode == 0
        time.sleep(2.1)  # Manifests have whole seconds.
        with held(hub.storage.server):
            running = started(pool, hub, home, "convert", NAME, "-o", str(home.folder / "o.gguf"))
            current = home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url)
        assert "up to date" in current.stderr
        done = running.result()
    assert done.returncode == 0, done.stderr


def test_what_was_changed_on_the_way_is_not_what_a_pull_brings(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x")
    adapter = make_adapter(home.folder / "rhymes", lora("model.layers.0.mlp.up_proj", (256, 256), 4))
    with Hub(repository_of(folder, NAME)) as hub:
        wishes = ("--as", "m", "--adapter", str(adapter))
        for _ in range(2):
            done = home("convert", NAME, *wishes, HF_ENDPOINT=hub.url)
            assert done.returncode == 0, done.stderr
        merged = home.bytes_of("m")
        assert home.store.get("m").origin.changes == "adapter rhymes"
        assert home("show", NAME).returncode == 3
        done = home("pull", NAME, "-q", "q8_0", "--as", "m", HF_ENDPOINT=hub.url)
        assert (done.returncode, home.bytes_of("m")) == (2, merged), done.stderr
        done = home("convert", NAME, "--as", "m", HF_ENDPOINT=hub.url)
        assert (done.returncode, home.bytes_of("m")) == (2, merged), done.stderr
        assert f"from {NAME} + adapter rhymes" in done.stderr
        # Other changes would take its place, too.
        done = home("convert", NAME, "--as", "m", "--tensor-type", "attn_v=bf16", HF_ENDPOINT=hub.url)
        assert (done.returncode, home.bytes_of("m")) == (2, merged), done.stderr
    assert f"{NAME} + adapter rhymes" in home("show", "m").stdout


def test_a_folder_takes_no_other_models_name(home: Home, made: Callable[..., Path]) -> None:
    one, other = made("one"), made("other", rope_theta=123456.0)
    assert home("convert", str(one), "--as", "m").returncode == 0
    before = home.bytes_of("m")
    done = home("convert", str(other), "--as", "m")
    assert (done.returncode, home.bytes_of("m")) == (2, before)
    assert f"the store has another model of the name `m`, from {one}" in done.stderr
    assert home("convert", str(one), "--as", "m", "-q", "bf16").returncode == 0
    assert home.store.get("m").facts.quantization == "BF16"


def test_names_that_a_conversion_does_not_use_do_not_matter(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x")
    for name in ("Tiny-Q8_0", "a-Tiny-Q8_0"):
        assert home("convert", str(folder), "--as", name).returncode == 0
    output = home.folder / "o.gguf"
    with Hub(repository_of(folder, NAME)) as hub:
        done = home("convert", NAME, "-o", str(output), HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == expected(folder, "q8_0")


def without_files(folder: Path, *names: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in names}


def test_what_small_files_tell_is_said_before_the_weights_come(home: Home, made: Callable[..., Path]) -> None:
    files = without_files(made("x"))
    tokenizer = json.loads(files["tokenizer.json"])
    tokenizer["model"]["type"] = "Unigram"
    index = {"weight_map": {"model.embed_tokens.weight": "elsewhere.safetensors"}}
    bad = {
        "t/tokenizer": {**files, "tokenizer.json": json.dumps(tokenizer).encode()},
        "t/index": {**files, "model.safetensors.index.json": json.dumps(index).encode()},
    }
    for name, contents in bad.items():
        repository = Repository(name, contents)
        with Hub(repository) as hub:
            done = home("pull", name, "-q", "q8_0", "--as", "m", HF_ENDPOINT=hub.url)
            assert done.returncode == 4, done.stderr
            assert "downloads" not in done.stderr
            digest = repository.sha256("model.safetensors")
            assert not [one for one in hub.storage.server.asked() if digest in one.request.target]
        assert home.left() == []


def test_the_index_says_which_weights_are_fetched(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x", Model(shards=2))
    first, last = sorted(path.name for path in folder.glob("*.safetensors"))
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    index["weight_map"] = {
        name: "extra.safetensors" if file == last else file for name, file in index["weight_map"].items()
    }
    (folder / last).rename(folder / "extra.safetensors")
    (folder / first).rename(folder / "first.safetensors")
    index["weight_map"] = {
        name: "first.safetensors" if file == first else file for name, file in index["weight_map"].items()
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    files = without_files(folder) | {"unused.safetensors": b"x" * 100}
    repository = Repository(NAME, files)
    with Hub(repository) as hub:
        done = home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        digest = repository.sha256("unused.safetensors")
        assert not [one for one in hub.storage.server.asked() if digest in one.request.target]
    assert home.bytes_of("m") == expected(folder, "bf16")
    assert home.left() == []


@pytest.mark.parametrize("names", ["no links", "no names"])
def test_without_second_names_a_stop_costs_no_more(
    home: Home, made: Callable[..., Path], tmp_path: Path, names: str
) -> None:
    refusing = "def refuse(*_, **__): raise PermissionError(1, 'Operation not permitted')\n"
    hook = f"import os\n{refusing}os.link = refuse\n"
    (tmp_path / "sitecustomize.py").write_text(
        hook + ("os.symlink = refuse\n" if names == "no names" else ""), encoding="utf-8"
    )
    folder = made("x", Model(shards=2))
    last = sorted(folder.glob("*.safetensors"))[-1].name
    repository = repository_of(folder, NAME)
    with Hub(repository) as hub:
        environ = {"HF_ENDPOINT": hub.url, "PYTHONPATH": str(tmp_path)}
        hub.storage.server.inject(refuse(404), repository.sha256(last))
        assert home("pull", NAME, "-q", "bf16", "--as", "m", **environ).returncode != 0
        hub.storage.server.heal()
        before = hub.storage.server.sent()
        done = home("pull", NAME, "-q", "bf16", "--as", "m", **environ)
        assert done.returncode == 0, done.stderr
        assert hub.storage.server.sent() - before == (folder / last).stat().st_size
    assert home.bytes_of("m") == expected(folder, "bf16")
    assert home.left() == []


def test_one_that_is_up_to_date_keeps_what_a_stopped_one_has_fetched(
    home: Home, made: Callable[..., Path]
) -> None:
    folder = made("x", Model(shards=2))
    last = sorted(folder.glob("*.safetensors"))[-1].name
    repository = repository_of(folder, NAME)
    with Hub(repository) as hub:
        assert home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url).returncode == 0
        time.sleep(2.1)  # Manifests have whole seconds.
        hub.storage.server.inject(refuse(404), repository.sha256(last))
        assert home("pull", NAME, "-q", "f16", "--as", "n", HF_ENDPOINT=hub.url).returncode != 0
        hub.storage.server.heal()
        before = hub.storage.server.sent()
        assert "up to date" in home("pull", NAME, "-q", "bf16", "--as", "m", HF_ENDPOINT=hub.url).stderr
        assert home("pull", NAME, "-q", "f16", "--as", "n", HF_ENDPOINT=hub.url).returncode == 0
        assert hub.storage.server.sent() - before == (folder / last).stat().st_size


def test_one_name_at_once_is_one_conversion(home: Home, made: Callable[..., Path]) -> None:
    with Hub(repository_of(made("x"), NAME)) as hub, ThreadPoolExecutor(3) as pool:
        hub.storage.server.inject(slow(1 << 20))
        wishes = ("pull", NAME, "-q", "bf16", "--as", "m", "--json")
        runs = [pool.submit(home, *wishes, HF_ENDPOINT=hub.url) for _ in range(3)]
        done = [run.result() for run in runs]
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert sum('"tensors"' in one.stdout for one in done) == 1
    assert home.left() == []


def test_only_one_form_of_the_weights_is_fetched(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x")
    files = without_files(folder) | {"consolidated.safetensors": b"x" * 100}
    with Hub(Repository(NAME, files)) as hub:
        done = home("pull", NAME, "-q", "q8_0", "--as", "m", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        plan = home("pull", NAME, "-q", "q8_0", "--as", "n", "--dry-run", HF_ENDPOINT=hub.url).stdout
    assert "consolidated" not in plan
    assert home.bytes_of("m") == expected(folder, "q8_0")


def test_weights_in_two_forms_are_reckoned_once(home: Home, made: Callable[..., Path]) -> None:
    sharded, whole = made("x", Model(shards=2)), made("y", Model())
    twice = without_files(sharded) | {"model.safetensors": (whole / "model.safetensors").read_bytes()}
    named = {
        name.replace("model-", "consolidated-"): data.replace(b"model-0000", b"consolidated-0000")
        if name.endswith(".index.json")
        else data
        for name, data in without_files(sharded).items()
    }
    with Hub(Repository("a/Twice", twice), Repository("a/Named", named)) as hub:
        dry = home("pull", "a/Twice", "-q", "bf16", "--dry-run", "--json", HF_ENDPOINT=hub.url)
        assert json.loads(dry.stdout)["bytes"] < sum(map(len, without_files(sharded).values())) + 1
        for name in ("Twice", "Named"):
            done = home("pull", f"a/{name}", "-q", "bf16", "--as", name, HF_ENDPOINT=hub.url)
            assert done.returncode == 0, done.stderr


def test_without_hard_links_others_leave_what_is_in_use(
    home: Home, made: Callable[..., Path], tmp_path: Path
) -> None:
    hook = (
        "import os, pathlib, time\n"
        "def refuse(*_, **__): raise PermissionError(1, 'Operation not permitted')\n"
        "os.link = refuse\n"
        "if os.environ.get('SLOWLY'):\n"
        "    import converters\n"
        "    really = converters.convert\n"
        "    def convert(*args, **kwargs):\n"
        "        while not pathlib.Path(os.environ['SLOWLY']).exists(): time.sleep(0.02)\n"
        "        return really(*args, **kwargs)\n"
        "    converters.convert = convert\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook, encoding="utf-8")
    folder = made("x")
    path = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    with Hub(repository_of(folder, NAME)) as hub, ThreadPoolExecutor(1) as pool:
        environ = {"HF_ENDPOINT": hub.url, **path}
        slowly = {**environ, "SLOWLY": str(tmp_path / "now")}
        running = pool.submit(home, "pull", NAME, "-q", "f16", "--as", "n", **slowly)
        assert home("pull", NAME, "-q", "bf16", "--as", "m", **environ).returncode == 0
        assert "up to date" in home("pull", NAME, "-q", "bf16", "--as", "m", **environ).stderr
        (tmp_path / "now").touch()
        done = running.result()
    assert done.returncode == 0, done.stderr
    assert home.bytes_of("n") == expected(folder, "f16")


def test_a_quantization_in_the_reference_is_no_checkpoint(home: Home) -> None:
    done = home("convert", f"{GGUF}:q8_0", "-o", "m.gguf")
    assert done.returncode == 2
    assert "`:q8_0` names a GGUF file" in done.stderr
    assert f"`qwen3 pull {GGUF}:q8_0`" in done.stderr


def test_what_only_the_cache_lacks_is_said_so(home: Home, made: Callable[..., Path]) -> None:
    folder = made("x")
    snapshot = home.folder / "hf" / "hub" / "models--a--Tiny" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40, encoding="utf-8")
    for lacking in ("tokenizer.json", "model.safetensors"):
        for name, data in without_files(folder).items():
            (snapshot / name).unlink(missing_ok=True)
            if name != lacking:
                (snapshot / name).write_bytes(data)
        done = home("convert", NAME, "-o", str(home.folder / "o.gguf"), HF_HUB_OFFLINE="1")
        assert (done.returncode, "`HF_HUB_OFFLINE` forbids to ask" in done.stderr) == (5, True), done.stderr


def test_a_checkpoint_of_another_kind_is_no_member(home: Home, made: Callable[..., Path]) -> None:
    output = home.folder / "o.gguf"
    with Hub(repository_of(made("x"), "Qwen/Qwen3-30B-A3B")) as hub:
        for place in (("--as", "m"), ("-o", str(output))):
            done = home("convert", "30b-a3b", *place, HF_ENDPOINT=hub.url)
            assert done.returncode == 4, done.stderr
            assert "is no 30b-a3b: it is a Qwen3ForCausalLM" in done.stderr
        assert hub.storage.server.sent() < 1 << 20
    assert not output.exists()
    assert home.store.entries() == []


def test_a_name_that_is_taken_during_a_pull_stays_taken(home: Home, made: Callable[..., Path]) -> None:
    one, other = made("one"), made("other", rope_theta=123456.0)
    with Hub(repository_of(one, NAME)) as hub, ThreadPoolExecutor(1) as pool:
        with held(hub.storage.server):
            running = started(pool, hub, home, "pull", NAME, "-q", "bf16", "--as", "m")
            assert home("convert", str(other), "--as", "m", "-q", "bf16").returncode == 0
        done = running.result()
    assert done.returncode == 2, done.stderr
    assert "has just been installed from" in done.stderr
    assert home.store.get("m").origin.source == str(other)
