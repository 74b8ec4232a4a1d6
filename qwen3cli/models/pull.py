"""Decides what a pull fetches: which hub, which files, under which name; everything before the first byte.

Knows hubs by their `Hub` face and the store; transfers nothing (fetch.py does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from converters.recipes import RECIPES, find_recipe
from qwen3cli.errors import ModelNotFound, NetworkError, UsageError
from qwen3cli.models import catalog
from qwen3cli.models.catalog import Member
from qwen3cli.models.conversion import converting
from qwen3cli.models.http import Http
from qwen3cli.models.installed import is_from
from qwen3cli.models.reference import ModelRef, SourceChoice, is_name
from qwen3cli.models.sources.hub import Hub, Listing, Unreachable
from qwen3cli.models.sources.open import hubs_of
from qwen3cli.models.store import Entry, ModelStore
from qwen3cli.models.variants import (
    SUFFIX,
    HubFile,
    Variant,
    choose_fitting,
    choose_named,
    find_variants,
    listed,
)

_CHECKPOINT = re.compile(
    r"(?:config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index|modules)\.json"
    r"|chat_template\.jinja|README\.md"
)
"""What a conversion reads besides weights; anything else of a checkpoint's repository is left there."""
_WEIGHTS = ".safetensors"
_DEFAULT_RECIPE = "q8_0"


@dataclass(frozen=True)
class Request:
    """What the person asked for; `recipe` is the quantization for a checkpoint that is to be converted."""

    reference: ModelRef
    name: str | None = None
    source: SourceChoice = "auto"
    recipe: str | None = None


@dataclass(frozen=True)
class Pull:
    """What will be fetched, from where, and what becomes of it.

    `recipe` is None for GGUF files, which are installed as they are; `reason` says why these files, where nobody
    asked for them. `installed` is the model that has this name already, `current` whether it is the same.
    """

    hub: Hub
    listing: Listing
    files: tuple[HubFile, ...]
    name: str
    label: str
    reason: str
    recipe: str | None
    member: Member | None
    installed: Entry | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def source(self) -> str:
        """How the model can be asked for again."""
        source = self.listing.source
        if self.recipe or not self.label or source.startswith(("http://", "https://")):
            return source
        return f"{source}:{self.label}"

    @property
    def sha256(self) -> tuple[str, ...]:
        """The hub's value for each file; () where it has none for one of them."""
        known = tuple(file.sha256 for file in self.files if file.sha256)
        return known if len(known) == len(self.files) else ()

    @property
    def current(self) -> bool:
        """Whether what is installed is what would be fetched."""
        return self.installed is not None and self.gives(self.installed)

    def gives(self, entry: Entry) -> bool:
        """Whether a stored model is what would be fetched."""
        origin = entry.origin
        if origin.source != self.source or (self.recipe and entry.facts.quantization != self.recipe):
            return False
        if self.sha256 and not self.recipe:
            return origin.sha256 == self.sha256
        return bool(self.listing.revision) and origin.revision == self.listing.revision


def decide(
    request: Request,
    store: ModelStore,
    http: Http,
    runs_well: Callable[[int, Member | None], bool],
    tell: Callable[[str], None],
) -> Pull:
    """Ask the hub and choose. Raises `ModelNotFound`, `NetworkError`, `UsageError`.

    `runs_well` judges the bytes of a model for this machine; `tell` gets what the person should know.
    """
    member = catalog.FAMILY[request.reference.place] if request.reference.kind == "family" else None
    hubs = hubs_of(request.reference, request.source, http, checkpoint=request.recipe is not None)
    hub, listing = _listing(hubs, tell)
    variants = find_variants(listing.files)
    checkpoint = tuple(file for file in listing.files if _is_part(file.path))
    wanted = request.reference.wanted
    if request.recipe is not None or not variants:
        return _conversion(request, hub, listing, checkpoint, member, store)
    if wanted:
        chosen, reason = _named(request.reference, variants, listing), ""
    else:
        chosen, reason = choose_fitting(variants, lambda size: runs_well(size, member))
    _check_pins(listing, chosen.files)
    name, installed = _name(request, listing, chosen.label or chosen.stem.rsplit("/", 1)[-1], store)
    return Pull(hub, listing, chosen.files, name, chosen.label, reason, None, member, installed)


def _named(reference: ModelRef, variants: Sequence[Variant], listing: Listing) -> Variant:
    try:
        return choose_named(variants, reference.wanted, listing.source)
    except ModelNotFound as error:
        if reference.kind != "family" or reference.wanted.upper() not in RECIPES:
            raise
        command = f"`qwen3 pull {reference.place} -q {reference.wanted.lower()}` makes it from the checkpoint"
        raise ModelNotFound(error.message, f"{error.hint}; {command}") from None


def _listing(hubs: Sequence[Hub], tell: Callable[[str], None]) -> tuple[Hub, Listing]:
    """The listing of the first hub that can be reached."""
    for number, hub in enumerate(hubs, 1):
        try:
            return hub, hub.listing()
        except Unreachable as error:
            if number == len(hubs):
                raise
            tell(f"{error.message}; trying {hubs[number].title}")
    raise AssertionError("there is always a hub")


def _check_pins(listing: Listing, files: Sequence[HubFile]) -> None:
    """Raises `NetworkError` where a hub lists other bytes than Qwen published at the very same revision."""
    for file in files:
        pin = catalog.PINS.get((listing.source.lower(), file.path))
        if pin is not None and listing.revision.startswith(pin[0]) and file.sha256 != pin[1]:
            raise NetworkError(
                f"`{file.name}` of `{listing.source}` is listed with a checksum that is not Qwen's at this revision",
                "do not trust this mirror: unset `HF_ENDPOINT`, or take another one",
            )


def _conversion(
    request: Request,
    hub: Hub,
    listing: Listing,
    checkpoint: tuple[HubFile, ...],
    member: Member | None,
    store: ModelStore,
) -> Pull:
    """A pull that converts a checkpoint."""
    if not any(file.path.endswith(_WEIGHTS) for file in checkpoint):
        there = listed(find_variants(listing.files))
        if request.recipe is not None:
            raise UsageError(
                f"`{listing.source}` is no checkpoint that `-q` could convert", f"it has {there}"
            )
        raise ModelNotFound(
            f"`{listing.source}` has neither GGUF files nor a safetensors checkpoint",
            "look for a repository whose name ends in `-GGUF`",
        )
    wanted = request.reference.wanted
    if wanted and request.recipe is not None:
        raise UsageError(f"`:{wanted}` and `-q` exclude each other", "leave one of them out")
    recipe = _recipe(request.recipe or wanted or _DEFAULT_RECIPE)
    name, installed = _name(request, listing, recipe, store)
    return Pull(hub, listing, checkpoint, name, recipe, "", recipe, member, installed)


def _is_part(path: str) -> bool:
    """Whether a file of a repository is a part of its checkpoint; such a name is safe in any folder."""
    weights = path.endswith(_WEIGHTS) and is_name(path.removesuffix(_WEIGHTS))
    return weights or _CHECKPOINT.fullmatch(path) is not None


def _recipe(name: str) -> str:
    with converting(Path()):
        return find_recipe(name).name


def _name(request: Request, listing: Listing, label: str, store: ModelStore) -> tuple[str, Entry | None]:
    """What the model is called in the store, and the model that it replaces there."""
    if request.name is not None:
        return request.name, store.find(request.name)
    names = _names(request.reference, listing, label)
    for name in names:
        installed = store.find(name)
        if installed is None or is_from(installed, listing.source):
            return name, installed
    raise UsageError(
        f"the store has other models of the name `{names[-1]}`", "give this one a name with `--as NAME`"
    )


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
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:96]
    return plain if is_name(plain) else f"model-{plain}"[:96].rstrip("-._")
