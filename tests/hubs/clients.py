"""The real clients of the hubs, in a process of their own: `python -m tests.hubs.clients NAME JSON`.

They read their endpoints from the environment when they are imported, so each test gives them a fresh process and
a home of their own. Prints the result as JSON on the last line, or `{"error": class, "status": code, "message": text}`.
"""

# The clients are typed loosely or not at all.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MODELSCOPE_API_MAX_RETRIES": "1",
    "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "2",
    "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
}


def run(client: str, home: Path, environ: Mapping[str, str], **arguments: Any) -> Any:
    """What `client` answers, with its caches under `home`."""
    foreign = ("HF_", "HUGGING", "MODELSCOPE", "KAGGLE")
    kept = {
        k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith(foreign)
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.hubs.clients", client, json.dumps(arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        cwd=ROOT,
        env={**kept, **QUIET, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), **environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hf_snapshot(**arguments: Any) -> str:
    """A whole repository from Hugging Face's hub."""
    from huggingface_hub import snapshot_download

    return snapshot_download(**arguments)


def hf_file(**arguments: Any) -> str:
    """One file, and again from the cache."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    path = hf_hub_download(**arguments)
    cached = try_to_load_from_cache(arguments["repo_id"], arguments["filename"])
    assert cached == path, cached
    return path


def hf_about(repo_id: str, revision: str | None = None) -> dict[str, Any]:
    """What the hub says of a repository, without its files."""
    from huggingface_hub import HfApi, RepoFile

    api = HfApi()
    info = api.model_info(repo_id, revision=revision, files_metadata=True)
    tree = list(api.list_repo_tree(repo_id, recursive=True, revision=revision))
    files = [entry for entry in tree if isinstance(entry, RepoFile)]
    return {
        "id": info.id,
        "sha": info.sha,
        "gated": info.gated,
        "siblings": {s.rfilename: [s.size, s.lfs and s.lfs.sha256] for s in info.siblings or []},
        "files": {f.path: [f.size, f.lfs and f.lfs.sha256] for f in files},
        "oids": {f.path: f.blob_id for f in files},
        "folders": [entry.path for entry in tree if not isinstance(entry, RepoFile)],
    }


def modelscope_snapshot(**arguments: Any) -> str:
    """A whole repository from ModelScope."""
    from modelscope.hub.snapshot_download import snapshot_download

    return snapshot_download(**arguments)


def modelscope_file(**arguments: Any) -> str:
    """One file from ModelScope."""
    from modelscope.hub.file_download import model_file_download

    return model_file_download(**arguments)


def modelscope_paths(model_id: str) -> list[str]:
    """The paths of all files, however the hub cuts its listing."""
    from modelscope.hub.api import HubApi

    return sorted(file["Path"] for file in HubApi().get_model_files(model_id, recursive=True))


def kaggle_model(handle: str, path: str | None = None) -> str:
    """A model, or one file of it, from Kaggle."""
    import kagglehub
    from kagglesdk import kaggle_env

    # The client has a fixed list of endpoints; the local one is made ours.
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = os.environ["KAGGLE_TEST_ENDPOINT"]  # pyright: ignore
    return kagglehub.model_download(handle, path)


CLIENTS: list[Callable[..., Any]] = [
    hf_snapshot,
    hf_file,
    hf_about,
    modelscope_snapshot,
    modelscope_file,
    modelscope_paths,
    kaggle_model,
]


def main(name: str, arguments: str) -> None:
    """Runs one client and prints what it answers."""
    client = {c.__name__: c for c in CLIENTS}[name]
    # ModelScope's client would load it where it happens to be installed: 2 seconds each time.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        answer = client(**json.loads(arguments))
    except Exception as error:  # each library has its own tree
        status = getattr(getattr(error, "response", None), "status_code", None)
        answer = {"error": type(error).__name__, "status": status, "message": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
