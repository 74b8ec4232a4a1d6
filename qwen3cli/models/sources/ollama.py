"""What Ollama has: manifests that name blobs, which are GGUF files without a suffix.

Layout: `manifests/HOST/NAMESPACE/MODEL/TAG` is JSON with layers, `blobs/sha256-DIGEST` the file of a layer.
Digests are untrusted: nothing but 64 hexadecimal digits ever becomes a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qwen3cli.models.sources.found import Found, Place, passed_over
from qwen3cli.models.sources.looking import Unfit, files_under, folder_named, real, small_text, weights_size

SERVICE = Path("/usr/share/ollama/.ollama/models")
"""The models of the service that Ollama's installer for Linux sets up, whose user has this home."""

_LIMIT = 4 << 20
"""Bytes of a manifest: one of GGUF has a thousand, one with a layer for each tensor a million."""

_KIND = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_PARTS = (
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
)
"""Host, namespace, model and tag, as Ollama itself allows them."""


class Layer(NamedTuple):
    """A part of a model: what it is for, and the digest that names its blob."""

    kind: str
    digest: str
    size: object


def places(environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where Ollama keeps models: the folder that was chosen, else the user's and the service's."""
    chosen = environ.get("OLLAMA_MODELS")
    if chosen:
        return [Place(scan, folder_named(chosen, home))]
    return [Place(scan, home / ".ollama" / "models"), Place(scan, SERVICE)]


def scan(root: Path, program: str) -> Iterator[Found | str]:
    """The models of one folder of Ollama's; `latest` comes after the tags that say more."""
    manifests = root / "manifests"
    files, notes = files_under(manifests, 3)
    yield from notes
    for path in sorted(files, key=lambda path: (path.parent, path.name == "latest", path.name)):
        parts = path.relative_to(manifests).parts
        if len(parts) != len(_PARTS) or parts[-1].startswith("."):
            continue
        reference = _reference(*parts)
        try:
            if not all(pattern.fullmatch(part) for pattern, part in zip(_PARTS, parts, strict=True)):
                raise Unfit("Ollama allows no such name")
            yield from _read(root, path, reference, program)
        except Unfit as reason:
            yield passed_over(program, reference, str(reason))


def _reference(host: str, namespace: str, model: str, tag: str) -> str:
    """As `ollama list` shows it."""
    if host != "registry.ollama.ai":
        return f"{host}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == "library" else f"{namespace}/{model}:{tag}"


def _read(root: Path, path: Path, reference: str, program: str) -> Iterator[Found | str]:
    """The model of one manifest; raises `Unfit`."""
    store = _store(root)
    layers = _layers(path, store)
    weights = _weights(layers)
    digest = _DIGEST.fullmatch(weights.digest)
    if digest is None:
        raise Unfit("its manifest names no SHA-256 digest")
    blob = root / "blobs" / f"sha256-{digest[1]}"
    size = weights_size(blob, store)
    if weights.size != size:
        raise Unfit(f"its file has {size:,} bytes, and not those that its manifest says")
    model, _, tag = reference.rsplit("/", 1)[-1].partition(":")
    model = re.sub(r"-GGUF$", "", model, flags=re.IGNORECASE)
    name = model if tag == "latest" else f"{model}-{tag}"
    source = f"ollama://{reference}"
    yield Found(program, name, reference, (blob,), size, (digest[1].lower(),), source)
    if any(layer.kind == "system" for layer in layers):
        yield f"`{reference}` of Ollama has a system prompt of its own, which is not taken over"


def _store(root: Path) -> Path:
    try:
        return real(root)
    except OSError:
        raise Unfit("its folder is gone") from None


def _weights(layers: list[Layer]) -> Layer:
    """The layer with the weights; raises `Unfit` where they are not one GGUF file that stands for itself."""
    weights = [layer for layer in layers if layer.kind == "model"]
    kinds = {layer.kind for layer in layers}
    if "tensor" in kinds:
        raise Unfit("its weights are stored tensor by tensor, which is not GGUF")
    if not weights:
        raise Unfit("it has no weights on this machine")
    if len(weights) > 1:
        raise Unfit(
            f"its weights are in {len(weights):,} files, which can be loaded under their own names only"
        )
    if "adapter" in kinds:
        raise Unfit("it is an adapter on top of other weights")
    return weights[0]


def _layers(path: Path, store: Path) -> list[Layer]:
    """What a manifest lists; raises `Unfit`."""
    try:
        data: Any = json.loads(small_text(path, store, _LIMIT))
        return [
            Layer(str(layer["mediaType"]).removeprefix(_KIND), str(layer["digest"]), layer.get("size"))
            for layer in data["layers"]
        ]
    except Unfit as reason:
        raise Unfit(f"its manifest cannot be used: {reason}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unfit("its manifest is none") from None
