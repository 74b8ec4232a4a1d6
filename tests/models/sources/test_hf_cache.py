from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3cli.models.sources.hf_cache import cached_files, find_cached
from qwen3cli.models.sources.others import find_models
from tests.models.sources.elsewhere import COMMIT, OLDER, WEIGHTS, cached, digest_of, put

REPOSITORY = "Qwen/Qwen3-8B-GGUF"
FILE = "Qwen3-8B-Q4_K_M.gguf"


def hub_of(home: Path) -> Path:
    return home / ".cache" / "huggingface" / "hub"


def test_a_model_is_a_link_of_a_snapshot(tmp_path: Path) -> None:
    link = cached(hub_of(tmp_path), REPOSITORY, FILE)
    (model,), passed = find_models("hf", {}, tmp_path)
    assert passed == []
    assert (model.program, model.name, model.reference) == ("hf", "Qwen3-8B-Q4_K_M", f"{REPOSITORY}:{FILE}")
    assert (model.files, model.size, model.sha256) == ((link,), len(WEIGHTS), (digest_of(WEIGHTS),))
    assert (model.source, model.revision) == (f"{REPOSITORY}:{FILE}", COMMIT)


def test_files_without_links_are_models_whose_hash_nobody_knows(tmp_path: Path) -> None:
    put(hub_of(tmp_path) / "models--gpt2" / "snapshots" / COMMIT / "Q8_0" / "a.gguf")
    (model,), _ = find_models("hf", {}, tmp_path)
    assert (model.reference, model.sha256, model.revision) == ("gpt2:Q8_0/a.gguf", (), COMMIT)


def test_of_several_revisions_the_newest_counts(tmp_path: Path) -> None:
    cached(hub_of(tmp_path), REPOSITORY, FILE, WEIGHTS + b"old", OLDER)
    cached(hub_of(tmp_path), REPOSITORY, "only-there.gguf", WEIGHTS, OLDER)
    cached(hub_of(tmp_path), REPOSITORY, FILE)
    cached(hub_of(tmp_path), REPOSITORY, "same.gguf")
    cached(hub_of(tmp_path), REPOSITORY, "same.gguf", WEIGHTS, "1" * 40)
    put(hub_of(tmp_path) / "models--Qwen--Qwen3-8B-GGUF" / "refs" / "main", COMMIT.encode())
    models, passed = find_models("hf", {}, tmp_path)
    assert {model.reference.split(":")[1]: model.revision for model in models} == {
        FILE: COMMIT,
        "same.gguf": COMMIT,
        "only-there.gguf": OLDER,
    }
    assert passed == [
        f"`{REPOSITORY}:{FILE}` at `{OLDER[:12]}` of the Hugging Face cache is passed over:"
        " a newer revision is there"
    ]


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, ".cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "~/xdg"}, "xdg/huggingface/hub"),
        ({"XDG_CACHE_HOME": "~/xdg", "HF_HOME": "~/hf"}, "hf/hub"),
        ({"HF_HOME": "~/hf", "HUGGINGFACE_HUB_CACHE": "~/before"}, "before"),
        ({"HUGGINGFACE_HUB_CACHE": "~/before", "HF_HUB_CACHE": "~/today"}, "today"),
        ({"PLACE": "~/some", "HF_HOME": "$PLACE/${PLACE2}x$NONE", "PLACE2": "y"}, "some/yx$NONE/hub"),
    ],
)
def test_the_folder_is_the_one_that_huggingface_hub_takes(
    tmp_path: Path, environ: dict[str, str], place: str
) -> None:
    cached(tmp_path / place, REPOSITORY, FILE)
    assert len(find_models("hf", environ, tmp_path)[0]) == 1
    code = "from huggingface_hub.constants import HF_HUB_CACHE as folder; print(folder)"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    # It forgets that `~` stands for something in this one variable.
    theirs = process.stdout.strip().replace("~", str(tmp_path))
    assert theirs == str(tmp_path / place)


def test_llama_cpp_shares_that_cache_and_had_one_of_its_own(tmp_path: Path) -> None:
    cached(hub_of(tmp_path), REPOSITORY, FILE)
    put(tmp_path / ".cache" / "llama.cpp" / "ggml-org_gemma.gguf")
    put(tmp_path / ".cache" / "llama.cpp" / "ggml-org_gemma.gguf.json")
    put(tmp_path / ".cache" / "llama.cpp" / "below" / "not-there.gguf")
    models, _ = find_models("llama.cpp", {}, tmp_path)
    assert [(m.program, m.reference) for m in models] == [
        ("llama.cpp", f"{REPOSITORY}:{FILE}"),
        ("llama.cpp", "ggml-org_gemma.gguf"),
    ]
    models, _ = find_models(None, {"OLLAMA_MODELS": str(tmp_path / "none")}, tmp_path)
    assert [model.program for model in models] == ["hf", "llama.cpp"]


def test_llama_cpp_has_a_folder_that_was_chosen(tmp_path: Path) -> None:
    cached(hub_of(tmp_path), REPOSITORY, FILE)
    cached(tmp_path / "chosen", REPOSITORY, "in-layout.gguf")
    put(tmp_path / "chosen" / "flat.gguf")
    models, _ = find_models("llama.cpp", {"LLAMA_CACHE": str(tmp_path / "chosen")}, tmp_path)
    assert [model.reference for model in models] == [f"{REPOSITORY}:in-layout.gguf", "flat.gguf"]


def theirs(hub: Path, repository: str, file: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, hub, revision)
    return Path(found) if isinstance(found, str) else None


def test_a_cached_file_is_found_as_huggingface_hub_finds_it(tmp_path: Path) -> None:
    hub = hub_of(tmp_path)
    folder = hub / "models--Qwen--Qwen3-8B-GGUF"
    cached(hub, REPOSITORY, FILE)
    cached(hub, REPOSITORY, "Q8_0/deep.gguf")
    cached(hub, REPOSITORY, "old.gguf", WEIGHTS, OLDER)
    put(folder / "refs" / "main", COMMIT.encode())
    put(folder / "refs" / "refs" / "pr" / "1", OLDER.encode())
    put(folder / ".no_exist" / COMMIT / "nothing.gguf", b"")
    (folder / "snapshots" / COMMIT / "gone.gguf").symlink_to("../../blobs/gone")
    (folder / "snapshots" / COMMIT / "folder.gguf").mkdir()
    found = 0
    for file in (FILE, "Q8_0/deep.gguf", "old.gguf", "nothing.gguf", "gone.gguf", "folder.gguf", "none.gguf"):
        for revision in ("main", COMMIT, OLDER, "refs/pr/1", "v1", COMMIT[:12]):
            ours = find_cached(REPOSITORY, file, revision, {}, tmp_path)
            assert ours == theirs(hub, REPOSITORY, file, revision), (file, revision)
            found += ours is not None
    assert found == 6
    assert find_cached("Qwen/Other", FILE, "main", {}, tmp_path) is None


@pytest.mark.parametrize(
    ("repository", "file", "revision"),
    [
        ("..", FILE, "main"),
        ("../..", FILE, "main"),
        ("a/../b", FILE, "main"),
        ("/etc", FILE, "main"),
        ("a/b/c", FILE, "main"),
        ("", FILE, "main"),
        ("Qwen\0/x", FILE, "main"),
        (REPOSITORY, "../../../secret.gguf", "main"),
        (REPOSITORY, "/etc/passwd", "main"),
        (REPOSITORY, "", "main"),
        (REPOSITORY, "a//b", "main"),
        (REPOSITORY, "./a", "main"),
        (REPOSITORY, "a\0b", "main"),
        (REPOSITORY, "..\\..\\secret.gguf", "main"),
        (REPOSITORY, "x" * 5000, "main"),
        (REPOSITORY, FILE, ".."),
        (REPOSITORY, FILE, "../../.."),
        (REPOSITORY, FILE, "/etc"),
        (REPOSITORY, FILE, ""),
        (REPOSITORY, FILE, "a\0b"),
        (REPOSITORY, "out.gguf", "main"),
        (REPOSITORY, "pipe.gguf", "main"),
        (REPOSITORY, "loop.gguf", "main"),
        (REPOSITORY, FILE, "elsewhere"),
        (REPOSITORY, FILE, "piped"),
        # Inside of the cache, but no file of a snapshot.
        (REPOSITORY, f"../../blobs/{digest_of(WEIGHTS)}", "main"),
        (REPOSITORY, digest_of(WEIGHTS), "../blobs"),
        (REPOSITORY, digest_of(WEIGHTS), "blobs"),
    ],
)
def test_nothing_outside_of_the_cache_is_found_in_it(
    tmp_path: Path, repository: str, file: str, revision: str
) -> None:
    hub = hub_of(tmp_path)
    snapshot = cached(hub, REPOSITORY, FILE).parent
    secret = put(tmp_path / "secret.gguf")
    put(hub / "secret.gguf")
    (snapshot / "out.gguf").symlink_to(secret)
    (snapshot / "loop.gguf").symlink_to("loop.gguf")
    os.mkfifo(snapshot / "pipe.gguf")
    put(snapshot.parent.parent / "refs" / "elsewhere", b"../../..")
    put(snapshot.parent.parent / "refs" / "blobs", b"../blobs")
    os.mkfifo(snapshot.parent.parent / "refs" / "piped")
    assert find_cached(REPOSITORY, FILE, "main", {}, tmp_path) is not None
    assert find_cached(repository, file, revision, {}, tmp_path) is None
    if file == FILE:
        assert cached_files(repository, revision, {}, tmp_path)[1] == []


def test_nothing_outside_of_the_cache_is_listed(tmp_path: Path) -> None:
    snapshot = cached(hub_of(tmp_path), REPOSITORY, FILE).parent
    secret = put(tmp_path / "blobs" / digest_of(b"secret"))
    (snapshot / "out.gguf").symlink_to(secret)
    (snapshot / "up").symlink_to("../..")
    (snapshot / "loop.gguf").symlink_to("loop.gguf")
    os.mkfifo(snapshot / "pipe.gguf")
    commit, files = cached_files(REPOSITORY, "main", {}, tmp_path)
    assert commit == COMMIT
    assert [(file.path, file.size, file.sha256) for file in files] == [(FILE, 32, digest_of(WEIGHTS))]
