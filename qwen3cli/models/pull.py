"""Decides what a pull fetches: which hub, which files, under which name; everything before the first byte.

Knows hubs by their `Hub` face and the store; transfers nothing (fetch.py does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from converters.recipes import RECIPES
from qwen3cli.errors import InvalidFile, ModelNotFound, NetworkError, UsageError
from qwen3cli.models import catalog
from qwen3cli.models.catalog import Member
from qwen3cli.models.conversion import check_recipe
from qwen3cli.models.http import Http
from qwen3cli.models.installed import find_installed, same_place
from qwen3cli.models.naming import named
from qwen3cli.models.parts import check_whole, is_weights, parts_of
from qwen3cli.models.reference import ModelRef, SourceChoice
from qwen3cli.models.sizes import needs_of_member, wants_imatrix
from qwen3cli.models.sources.hub import Hub, Listing, Unreachable
from qwen3cli.models.sources.open import hubs_of
from qwen3cli.models.store import Entry, ModelStore
from qwen3cli.models.variants import (
    PREFERRED,
    SUFFIX,
    HubFile,
    Variant,
    choose_fitting,
    choose_named,
    find_variants,
    listed,
    missing_part,
)

_LIKE = catalog.FAMILY["8b"]
"""What checkpoints outside of the family are reckoned like."""


class Steps(Protocol):
    """Who wants to know what is going on."""

    def begin(self, name: str) -> None:
        """A step, or a file, has begun."""
        ...

    def said(self, text: str) -> None:
        """Something that the person should know."""
        ...


@dataclass(frozen=True)
class Request:
    """What the person asked for; `recipe` is the quantization for a checkpoint that is to be converted.

    `stored` is false for one that is only fetched: what becomes of it, and under which name, is for others.
    """

    reference: ModelRef
    name: str | None = None
    source: SourceChoice = "auto"
    recipe: str | None = None
    stored: bool = True


@dataclass(frozen=True)
class Pull:
    """What will be fetched, from where, and what becomes of it.

    `recipe` is None for GGUF files, which are installed as they are; `reason` says why these files, where nobody
    asked for them. `installed` is the model that has this name already; `result_bytes` about what the new one has.
    """

    hub: Hub
    listing: Listing
    files: tuple[HubFile, ...]
    name: str
    label: str
    reason: str
    recipe: str | None
    member: Member | None
    installed: Entry | None
    result_bytes: int

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
    def as_before(self) -> bool:
        """Whether it is in the quantization of the model that it replaces."""
        entry = self.installed
        if entry is None or self.recipe:
            return entry is not None and entry.facts.quantization == self.recipe
        return same_place(entry.origin.source, self.source)

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
        if not same_place(origin.source, self.source):
            return False
        if self.recipe and entry.facts.quantization != self.recipe:
            return False
        if self.sha256 and not self.recipe:
            return origin.sha256 == self.sha256
        return bool(self.listing.revision) and origin.revision == self.listing.revision


RunsWell = Callable[[int, "Member | None"], bool]
"""Judges the bytes of a model for this machine."""


def decide(request: Request, store: ModelStore, http: Http, runs_well: RunsWell, watch: Steps) -> Pull:
    """Ask the hub and choose. Raises `ModelNotFound`, `NetworkError`, `UsageError`."""
    reference = request.reference
    recipe = _asked_recipe(request)
    hubs = hubs_of(reference, request.source, http, checkpoint=recipe is not None)
    hub, listing = _listing(hubs, watch)
    member = catalog.FAMILY[reference.place] if reference.kind == "family" else None
    variants = find_variants(listing.files)
    if recipe is not None or not variants:
        files, label, reason, expected = _conversion(request, recipe, listing, member, runs_well)
        recipe = label
    else:
        chosen, reason = _variant(reference, variants, listing, store, lambda size: runs_well(size, member))
        _check_pins(listing, chosen.files)
        files, expected = chosen.files, chosen.size
        label = chosen.label
    title = label or files[0].name[: -len(SUFFIX)]
    name, installed = title, None
    if request.stored:
        name, installed = named(reference, request.name, listing, title, store)
    return Pull(hub, listing, files, name, label, reason, recipe, member, installed, expected)


def _asked_recipe(request: Request) -> str | None:
    """The quantization that `-q` asks for, before any hub is asked."""
    if request.recipe is None:
        return None
    if request.reference.wanted:
        raise UsageError(
            f"`:{request.reference.wanted}` and `-q` exclude each other", "leave one of them out"
        )
    return _recipe(request.recipe) if request.stored else check_recipe(request.recipe)


def _recipe(name: str) -> str:
    """The name of a recipe that needs nothing but the checkpoint."""
    recipe = check_recipe(name)
    if wants_imatrix(recipe, _LIKE):
        raise UsageError(
            f"{recipe} needs an importance matrix, which a hub does not give with a checkpoint",
            f"`qwen3 convert OWNER/REPO -q {recipe.lower()} --imatrix FILE --as NAME` takes one",
        )
    return recipe


def _listing(hubs: Sequence[Hub], watch: Steps) -> tuple[Hub, Listing]:
    """The listing of the first hub that can be reached."""
    for number, hub in enumerate(hubs, 1):
        watch.begin(f"asking {hub.title}")
        try:
            return hub, hub.listing()
        except Unreachable as error:
            if number == len(hubs):
                raise
            watch.said(f"{error.message}; trying {hubs[number].title}")
    raise AssertionError("there is always a hub")


def _variant(
    reference: ModelRef,
    variants: Sequence[Variant],
    listing: Listing,
    store: ModelStore,
    fits: Callable[[int], bool],
) -> tuple[Variant, str]:
    """The variant that was asked for, else the one that is installed, else one that fits; and why."""
    if reference.wanted:
        return _named(reference, variants, listing), ""
    installed = find_installed(store, reference)
    kept = installed.origin.source.rpartition(":")[2] if installed else ""
    for variant in variants:
        if variant.label and variant.label == kept:
            return variant, "as it is installed"
    return choose_fitting(variants, fits)


def _named(reference: ModelRef, variants: Sequence[Variant], listing: Listing) -> Variant:
    try:
        return choose_named(variants, reference.wanted, listing.source)
    except ModelNotFound as error:
        recipe = reference.wanted.upper()
        if reference.kind != "family" or recipe not in RECIPES or wants_imatrix(recipe, _LIKE):
            raise
        command = f"`qwen3 pull {reference.place} -q {recipe.lower()}` makes it from the checkpoint"
        raise ModelNotFound(error.message, f"{error.hint}; {command}") from None


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
    request: Request, recipe: str | None, listing: Listing, member: Member | None, runs_well: RunsWell
) -> tuple[tuple[HubFile, ...], str, str, int]:
    """The files of a checkpoint, the recipe it is converted by, why, and about how large it will be."""
    files = parts_of(listing)
    if not any(is_weights(file.path) for file in files):
        if listing.gap is not None:
            raise listing.gap
        if recipe is not None:
            there = listed(find_variants(listing.files))
            raise UsageError(
                f"`{listing.source}` is no checkpoint that could be converted", f"it has {there}"
            )
        if part := missing_part(listing.files):
            raise InvalidFile(
                f"`{listing.source}` lacks {part}, a part of its model", "look for a whole copy of the model"
            )
        raise ModelNotFound(
            f"`{listing.source}` has neither GGUF files nor a safetensors checkpoint",
            "look for a repository whose name ends in `-GGUF`",
        )

    check_whole(listing, files)

    def expected(name: str) -> int:
        if member is not None:
            return needs_of_member(member, name).file_bytes
        share = needs_of_member(_LIKE, name).file_bytes / needs_of_member(_LIKE, "BF16").file_bytes
        return round(sum(file.size for file in files) * share)

    if recipe is None and request.reference.wanted:
        recipe = _recipe(request.reference.wanted)
    if recipe is not None:
        return files, recipe, "", expected(recipe)
    fitting = [name for name in PREFERRED if runs_well(expected(name), member)]
    chosen = fitting[-1] if fitting else PREFERRED[0]
    reason = "the largest usual one that runs well here" if fitting else "nothing larger would run well here"
    return files, chosen, reason, expected(chosen)
