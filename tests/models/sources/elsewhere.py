"""Builds what other programs keep, by hand, in the layouts that they have."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qwen3cli.models.sources.found import Found
from qwen3cli.models.sources.others import find_models

WEIGHTS = b"GGUF" + bytes(28)
"""Begins like a model, which is all that a listing looks at."""

SECRET = WEIGHTS + b"secret"
"""What no store has."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"
KIND = "application/vnd.ollama.image."


def put(path: Path, content: bytes = WEIGHTS) -> Path:
    """A file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest(root: Path, reference: str, content: bytes | object) -> Path:
    """A manifest of Ollama's, for a reference such as `library/qwen3:8b`; what is not bytes becomes JSON."""
    model, _, tag = reference.rpartition(":")
    host = "" if model.count("/") == 2 else "registry.ollama.ai"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return put(root / "manifests" / host / model / tag, data)


def layers(*kinds_and_digests: tuple[str, Any], size: int | None = None) -> dict[str, Any]:
    """The content of a manifest."""
    listed = [
        {"mediaType": KIND + kind, "digest": digest, "size": len(WEIGHTS) if size is None else size}
        for kind, digest in kinds_and_digests
    ]
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:0", "size": 1}
    return {"schemaVersion": 2, "config": config, "layers": listed}


def ollama_model(root: Path, reference: str, weights: bytes = WEIGHTS, *further: str) -> Path:
    """A model of Ollama's with its blob, and layers of the kinds `further`; gives the blob."""
    digest = digest_of(weights)
    others = [(kind, f"sha256:{digest_of(kind.encode())}") for kind in further]
    manifest(root, reference, layers(("model", f"sha256:{digest}"), *others, size=len(weights)))
    return put(root / "blobs" / f"sha256-{digest}", weights)


def cached(hub: Path, repository: str, file: str, weights: bytes = WEIGHTS, commit: str = COMMIT) -> Path:
    """A file in a cache of huggingface_hub's: a blob, a link to it, and `main`; gives the link."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    blob = put(folder / "blobs" / digest_of(weights), weights)
    link = folder / "snapshots" / commit / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    put(folder / "refs" / "main", commit.encode())
    return link


def tree(*roots: Path) -> dict[str, Sequence[object]]:
    """Everything below `roots`, with contents, modes, links and times: equal means untouched."""
    found: dict[str, Sequence[object]] = {}
    for path in (one for root in roots for one in [root, *sorted(root.rglob("*"))]):
        status = path.lstat()
        content = digest_of(path.read_bytes()) if path.is_file() and not path.is_symlink() else ""
        link = str(path.readlink()) if path.is_symlink() else ""
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino, link, content)
    return found


def looked(root: Path) -> tuple[list[Found], str]:
    """What is found with `root/home` as home and `root/store` as Ollama's, and what is said."""
    environ = {"OLLAMA_MODELS": str(root / "store")}
    models, passed = find_models(None, environ, root / "home")
    return models, "\n".join(passed)


def hostile_files(folder: Path, name: str, secret: Path) -> Iterator[str]:
    """Puts one thing after another in place of the file `name`; says what it was."""
    path = folder / name
    path.unlink()
    for what, make in {
        "a link out": lambda: path.symlink_to(secret),
        "a link to a device": lambda: path.symlink_to("/dev/zero"),
        "a link to a terminal": lambda: path.symlink_to("/dev/tty"),
        "a link to a folder": lambda: path.symlink_to("/"),
        "a loop": lambda: path.symlink_to(name),
        "a link to nowhere": lambda: path.symlink_to("nowhere"),
        "a link up and down": lambda: path.symlink_to(os.path.relpath(secret, folder)),
        "a pipe": lambda: os.mkfifo(path),
        "a link to a pipe": lambda: (os.mkfifo(folder / "pipe"), path.symlink_to("pipe")),
        "no model": lambda: put(path, b"no model"),
        "an empty file": lambda: put(path, b""),
    }.items():
        make()
        yield what
        path.unlink()
    path.mkdir()
    yield "a folder"
