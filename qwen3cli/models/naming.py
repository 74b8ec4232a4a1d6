"""What a pulled model is called in the store."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from qwen3cli.errors import UsageError
from qwen3cli.models.installed import is_from
from qwen3cli.models.reference import ModelRef, is_name
from qwen3cli.models.sources.hub import Listing
from qwen3cli.models.store import Entry, ModelStore, removal
from qwen3cli.models.variants import SUFFIX

_LONGEST = 96


def named(
    reference: ModelRef, wish: str | None, listing: Listing, label: str, store: ModelStore
) -> tuple[str, Entry | None]:
    """The name, and the model that is there already; `wish` is what the person wants it to be called.

    A model of another repository is never replaced: raises `UsageError` where only such names are left.
    """
    names = [wish] if wish is not None else _names(reference, listing, label)
    installed = None
    for name in names:
        installed = store.find(name)
        if installed is None or is_from(installed, listing.source):
            return name, installed
    place = f", from {installed.origin.shown}" if installed is not None else ""
    raise UsageError(
        f"the store has another model of the name `{names[-1]}`{place}",
        f"give this one another name with `--as NAME`, or remove that one with `{removal(names[-1])}`",
    )


def titled(source: str) -> str:
    """What a checkpoint's folder is called, whose last part becomes the model's name, as of any checkpoint."""
    title = source.rpartition("/")[2]
    if source.startswith("kaggle://"):
        # OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]
        _, model, _, variation, *_ = [*source.removeprefix("kaggle://").split("/"), "", "", "", ""]
        title = variation if variation[:1].isalpha() else f"{model}-{variation}"
    return re.sub(r"[^A-Za-z0-9._-]", "-", title).strip(".") or "model"


def _names(reference: ModelRef, listing: Listing, label: str) -> list[str]:
    """The names to try: the short one, and one that tells whose it is."""
    if reference.kind == "family":
        short = f"{reference.place}-{label.lower()}" if reference.wanted else reference.place
        return [short, _plain(f"{listing.source}-{label}")]
    if reference.kind == "url":
        stem = listing.files[0].name[: -len(SUFFIX)]
        return [_plain(stem), _plain(f"{urlsplit(reference.place).hostname}-{stem}")]
    owner, _, rest = (listing.source.partition("://")[2] or listing.source).partition("/")
    title = re.sub(r"-gguf$", "", rest.replace("/", "-"), flags=re.IGNORECASE)
    short = title if title.lower().endswith(label.lower()) else f"{title}-{label}"
    return [_plain(short), _plain(f"{owner}-{short}")]


def _plain(text: str) -> str:
    """`text` as a name that the store can have."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:_LONGEST]
    return plain if is_name(plain) else f"model-{plain}"[:_LONGEST].rstrip("-._")
