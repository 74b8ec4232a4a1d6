"""Which stored model a reference means: one that was pulled from that hub, or imported from Ollama."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.reference import ModelRef, without_secrets
from qwen3cli.models.store import Entry, ModelStore


def find_installed(store: ModelStore, reference: ModelRef) -> Entry | None:
    """The model that came by this reference, or would be the one that it pulls; the latest of several."""
    sources = _sources(reference)
    fitting = [entry for entry in store.entries() if _is_meant(entry, reference, sources)] if sources else []
    return max(fitting, key=lambda entry: entry.added, default=None)


def same_place(one: str, other: str) -> bool:
    """Whether two sources are one: hubs mind no case, and ModelScope has what Hugging Face has, under its names."""
    return _plain(one) == _plain(other)


def is_from(entry: Entry, source: str) -> bool:
    """Whether a stored model came from this repository, in whatever quantization, and unchanged."""
    return not entry.origin.changes and is_made_from(entry, source)


def is_made_from(entry: Entry, source: str) -> bool:
    """Whether a stored model was made from this repository or folder, whatever was changed on the way."""
    known = _plain(entry.origin.source)
    return known == _plain(source) or known.startswith(f"{_plain(source)}:")


def _plain(source: str) -> str:
    return source.lower().removeprefix("ms://")


def _is_meant(entry: Entry, reference: ModelRef, sources: Sequence[str]) -> bool:
    if not any(is_from(entry, source) for source in sources):
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
    known = [checkpoint_source(reference)] if reference.is_remote else []
    if reference.kind == "family":
        gguf = FAMILY[reference.place].gguf
        known += [gguf] if gguf else []
    # Ollama's own words mean, first of all, what was imported from there.
    return [*known, f"ollama://{reference.ollamas}"] if reference.ollamas else known
