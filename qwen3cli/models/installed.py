"""Which stored model a reference to a hub means: one that was pulled from there."""

from __future__ import annotations

from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.reference import ModelRef, without_secrets
from qwen3cli.models.store import Entry, ModelStore


def find_installed(store: ModelStore, reference: ModelRef) -> Entry | None:
    """The model that was pulled by this reference, or would be the one that it pulls; the latest of several."""
    if not reference.is_remote:
        return None
    fitting = [entry for entry in store.entries() if _is_meant(entry, reference)]
    return max(fitting, key=lambda entry: entry.added, default=None)


def same_place(one: str, other: str) -> bool:
    """Whether two sources are one: hubs mind no case, and ModelScope has what Hugging Face has, under its names."""
    return _plain(one) == _plain(other)


def is_from(entry: Entry, source: str) -> bool:
    """Whether a stored model came from this repository, in whatever quantization."""
    known = _plain(entry.origin.source)
    return known == _plain(source) or known.startswith(f"{_plain(source)}:")


def _plain(source: str) -> str:
    return source.lower().removeprefix("ms://")


def _is_meant(entry: Entry, reference: ModelRef) -> bool:
    if not any(is_from(entry, source) for source in _sources(reference)):
        return False
    wanted = "" if entry.origin.source.startswith("ollama://") else reference.wanted.lower()
    files = (path.name.lower() for path in entry.files)
    return (
        wanted in ("", entry.facts.quantization.lower())
        or entry.origin.source.lower().endswith(f":{wanted}")
        or wanted.rpartition("/")[2] in files
    )


def checkpoint_source(reference: ModelRef) -> str:
    """How the repository that a reference names is written in manifests; of a family member that of its checkpoint."""
    if reference.kind == "family":
        return FAMILY[reference.place].repository
    if reference.kind == "url":
        return without_secrets(reference.place)
    return f"kaggle://{reference.place}" if reference.kind == "kaggle" else reference.place


def _sources(reference: ModelRef) -> list[str]:
    """How the places that a reference can mean are written in manifests."""
    known = [checkpoint_source(reference)]
    if reference.kind == "family":
        gguf = FAMILY[reference.place].gguf
        known += [gguf] if gguf else []
        # Ollama's own spelling means, first of all, what was imported from there.
        known += [f"ollama://{reference.text}"] if reference.text.lower().startswith("qwen3:") else []
    return known
