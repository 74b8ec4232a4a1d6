"""Which files of a repository make up a model: quantizations, shards, and what is none.

Knows names and sizes only: no hub, no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from qwen3cli.errors import ModelNotFound
from qwen3cli.models.facts import UNQUANTIZED
from qwen3cli.models.filenames import SUFFIX, Shard, shard_of

PREFERRED: Final = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
"""From small to large; the largest that the machine runs well is taken."""

# Not a model of their own: pictures and sound, importance matrices, drafts.
_COMPANION = re.compile(
    r"(?:^|[-._])(?:mmproj|imatrix|draft|mtp|eagle3|dflash|dspark)(?:[-._]|$)", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]{1,3}){0,3}|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|F32|FP16|FP32))$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository as its listing has it; `path` is untrusted.

    `sha256` and `git`, git's id of its content, are lower-case hex, or None where the hub does not say.
    """

    path: str
    size: int
    sha256: str | None = None
    git: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Variant:
    """One model of a repository: a quantization, in one file or in shards, first shard first."""

    stem: str
    label: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def quantized(self) -> bool:
        """Whether its name says that its weights have fewer bits than those that were trained."""
        return self.label not in ("", *UNQUANTIZED, "FP32", "FP16")

    @property
    def title(self) -> str:
        """The name of a file, or the quantization, to ask for it by."""
        return self.label or self.files[0].name


def find_variants(files: Iterable[HubFile]) -> list[Variant]:
    """The models among `files`, from small to large; a set of shards that lacks one is none."""
    found = [
        Variant(stem, label_of(stem), tuple(parts[n] for n in sorted(parts)))
        for (stem, count), parts in _grouped(files).items()
        if len(parts) == count and parts.keys() == set(range(1, count + 1))
    ]
    return sorted(found, key=lambda variant: (variant.size, variant.stem))


def missing_part(files: Iterable[HubFile]) -> str:
    """The name of the first part that a set of shards among `files` lacks; "" where none lacks one."""
    for (stem, count), parts in _grouped(files).items():
        for number in range(1, count + 1):
            if number not in parts:
                return Shard(stem.rpartition("/")[2], number, count).name
    return ""


def _grouped(files: Iterable[HubFile]) -> dict[tuple[str, int], dict[int, HubFile]]:
    """The files of models by their number, for each stem and count of parts."""
    groups: dict[tuple[str, int], dict[int, HubFile]] = {}
    for file in files:
        if not file.name.lower().endswith(SUFFIX) or _COMPANION.search(file.name):
            continue
        shard = shard_of(file.path)
        if shard is None:
            groups[(file.path[: -len(SUFFIX)], 1)] = {1: file}
        else:
            groups.setdefault((shard.stem, shard.count), {})[shard.number] = file
    return groups


def choose_named(variants: Sequence[Variant], wanted: str, where: str) -> Variant:
    """The variant that `wanted` names: a file, or a quantization as `TAG` before a `-` or `.`, in any case.

    Raises `ModelNotFound` with the list of what there is in `where`.
    """
    for spelt in (str, str.lower):
        for variant in variants:
            names = {spelt(name) for file in variant.files for name in (file.path, file.name)}
            if spelt(wanted) in names:
                return variant
    text = wanted.lower()
    tag = re.compile(rf"(?:^|[-./]){re.escape(text)}(?=[-.]|$)")
    fitting = [v for v in variants if v.label.lower() == text or tag.search(v.stem.lower())]
    if not fitting:
        raise ModelNotFound(f"`{where}` has no `{wanted}`", f"it has {listed(variants)}")
    # `Q4_K_M` is also a part of `UD-Q4_K_M`, which is another one.
    return min(fitting, key=lambda variant: (variant.label.lower() != text, len(variant.stem)))


def choose_fitting(variants: Sequence[Variant], runs_well: Callable[[int], bool]) -> tuple[Variant, str]:
    """The variant to take where nobody asked for one, and why, as the end of a sentence.

    `runs_well` judges a size in bytes.
    """
    known = {variant.label.upper(): variant for variant in reversed(variants)}
    preferred = [known[label] for label in PREFERRED if label in known]
    fitting = [variant for variant in preferred if runs_well(variant.size)]
    if fitting:
        larger = preferred[len(fitting) :]
        why = (
            "the best of the usual ones"
            if not larger
            else f"{larger[0].label} would not run well in this memory"
        )
        return fitting[-1], why
    quantized = [variant for variant in variants if variant.quantized]
    for some in (quantized, variants):
        smaller = [variant for variant in some if runs_well(variant.size)]
        if smaller:
            return smaller[-1], "the largest that runs well in this memory"
    if preferred:
        return preferred[0], "nothing here runs well in this memory, and this is the smallest usual one"
    return (quantized or variants)[0], "nothing here runs well in this memory, and this is the smallest"


def listed(variants: Sequence[Variant]) -> str:
    """What there is, for a person to choose from."""
    if not variants:
        return "no GGUF file"
    return ", ".join(f"`{variant.title}` ({_amount(variant.size)})" for variant in variants)


def label_of(stem: str) -> str:
    """The quantization that a file's name without suffix ends with, or its folder's name; "" for none."""
    for part in reversed(stem.split("/")):
        match = _LABEL.search(part)
        if match is not None:
            return match[1].upper()
    return ""


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
