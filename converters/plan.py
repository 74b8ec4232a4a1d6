"""What a conversion will write, down to the byte, before anything is written. Reads no weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Final

from converters.adapter import Adapter, read_adapter
from converters.card import ParameterCount, describe
from converters.checkpoint import Checkpoint, Config, find_shards, open_checkpoint, read_config
from converters.choose import EMBEDDING, OUTPUT, Choice, Chooser, is_quantizable, needs_imatrix, order
from converters.entries import Entries
from converters.errors import CheckpointError, ImatrixError, RecipeError
from converters.fp8 import FP8, find_blocks, split_scales
from converters.ggml import DEFAULT_ALIGNMENT, QUANTIZATION_VERSION, padded
from converters.imatrix import Imatrix
from converters.recipes import Recipe
from converters.registry import Architecture, MappedTensor, Part, find_architecture
from converters.rows import ITEM_BYTES
from converters.safetensors import SafetensorsFile
from converters.sources import BlockScale, SourceRows
from converters.tokenizer import tokenizer_entries
from converters.wishes import Overrides, Wishes
from converters.writer import PlacedTensor, pack_header

_HEADING_BYTES: Final = 1 << 16

# Measured: Python with numpy; tokenizer.json while it is read, most of which ends up in the header; the buffers
# of a thread and the pieces that wait.
_PROCESS_BYTES: Final = 45_000_000
_READING_FACTOR: Final = 18
_THREAD_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor to be written and the rows it is made of, in order: one part, or one for each expert.

    `weighted` says that the importance matrix knows its columns.
    """

    placed: PlacedTensor
    parts: tuple[SourceRows, ...]
    weighted: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole file: its header, its tensors, its size in bytes; and what the user should know."""

    header: bytes
    tensors: tuple[PlannedTensor, ...]
    size: int
    parameters: int
    files: tuple[SafetensorsFile, ...]
    imatrix: Imatrix | None
    allow_nonfinite: bool
    notices: tuple[str, ...]

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without what aligns them."""
        return sum(tensor.placed.nbytes for tensor in self.tensors)

    @property
    def by_type(self) -> dict[str, tuple[int, int]]:
        """How many tensors and how many bytes there are of each type, the largest share first."""
        found: dict[str, tuple[int, int]] = {}
        for placed in (tensor.placed for tensor in self.tensors):
            count, size = found.get(placed.kind.name, (0, 0))
            found[placed.kind.name] = (count + 1, size + placed.nbytes)
        return dict(sorted(found.items(), key=lambda one: -one[1][1]))

    def memory(self, threads: int) -> int:
        """About how many bytes the conversion takes at most; memory-mapped pages of the weights not counted."""
        return _PROCESS_BYTES + _READING_FACTOR * len(self.header) + threads * _THREAD_BYTES


def make_plan(folder: Path, recipe: Recipe, wishes: Wishes) -> Plan:
    """Reads and checks a checkpoint; ConversionError names whatever is wrong with it."""
    config = read_config(folder)
    blocks = find_blocks(config)
    architecture = find_architecture(config)
    _refuse_other_uses(folder)
    shards = find_shards(folder)
    # First what takes most memory for a moment: what follows grows with the model and fits into it.
    tokenizer = tokenizer_entries(folder, config)
    checkpoint, scales = split_scales(open_checkpoint(folder, config, shards), blocks)
    adapter = None
    if wishes.adapter is not None:
        checkpoint, adapter = read_adapter(wishes.adapter).fitted(checkpoint)
    mapped = _ordered(architecture.map_tensors(checkpoint))
    imatrix = None if wishes.imatrix is None else Imatrix(wishes.imatrix)
    choices, notices = _choose(mapped, architecture, config, recipe, wishes.overrides, imatrix)
    parts = _Parts(checkpoint, scales, adapter)
    planned = _placed(mapped, choices, parts, imatrix)
    count = count_parameters(mapped)
    card = describe(folder, config, count, wishes.name, adapter and adapter.name)
    entries = Entries()
    entries.text("general.architecture", architecture.GGUF_NAME)
    entries.extend(card.entries)
    entries.extend(architecture.hyperparameters(config))
    entries.extend(tokenizer)
    entries.u32("general.quantization_version", QUANTIZATION_VERSION)
    entries.u32("general.file_type", recipe.file_type)
    if imatrix is not None:
        entries.extend(imatrix.entries())
    header = pack_header(entries, [tensor.placed for tensor in planned])
    size = len(header) + sum(padded(tensor.placed.nbytes, DEFAULT_ALIGNMENT) for tensor in planned)
    files = (*checkpoint.files.values(), *((adapter.file,) if adapter else ()))
    said = (*card.notices, *notices)
    return Plan(header, planned, size, count.total, files, imatrix, wishes.allow_nonfinite, said)


def count_parameters(tensors: Sequence[MappedTensor]) -> ParameterCount:
    """As gguf's writer counts, for the size label: experts of a mixture are the stacked `_exps` tensors."""
    total = shared = per_expert = experts = stacked = 0
    for tensor in tensors:
        size = prod(tensor.shape)
        total += size
        if "_exps." in tensor.name:
            stacked += 1
            experts += tensor.shape[0]
            per_expert += size // tensor.shape[0]
        else:
            shared += size
    return ParameterCount(total, shared, per_expert, experts // stacked if stacked else 0)


def _ordered(mapped: Sequence[MappedTensor]) -> list[MappedTensor]:
    by_name = {tensor.name: tensor for tensor in mapped}
    return [by_name[name] for name in order(by_name)]


def _choose(
    mapped: Sequence[MappedTensor],
    architecture: Architecture,
    config: Config,
    recipe: Recipe,
    overrides: Overrides,
    imatrix: Imatrix | None,
) -> tuple[list[Choice], list[str]]:
    """A type for each tensor, and notices; RecipeError or ImatrixError where there is none that works."""
    traits = replace(architecture.traits(config), imatrix=imatrix is not None)
    tied = all(tensor.name != OUTPUT for tensor in mapped)
    chooser = Chooser(recipe, traits, overrides, tied=tied)
    choices = [chooser.choose(tensor.name, tensor.shape) for tensor in mapped]
    chooser.check_used()
    notices = _fallbacks(mapped, choices)
    notices += _check_imatrix(mapped, choices, recipe, imatrix)
    return choices, notices


def _check_imatrix(
    mapped: Sequence[MappedTensor], choices: Sequence[Choice], recipe: Recipe, imatrix: Imatrix | None
) -> list[str]:
    """Notices; an error where a type needs an importance matrix that is not there or of another model."""
    without: list[str] = []
    for tensor, choice in zip(mapped, choices, strict=True):
        kind = choice.kind
        known = _is_known(tensor, imatrix)
        if not known and needs_imatrix(recipe, tensor.name, kind):
            lacking = "needs an importance matrix" if imatrix is None else "is not in the importance matrix"
            hint = "give one with --imatrix, or choose a larger quantization"
            raise RecipeError(f"`{tensor.name}` {lacking} to become {kind.name}", hint=hint)
        if imatrix is None or not is_quantizable(tensor.name, tensor.shape) or kind.block == 1:
            continue
        if not known:
            without.append(tensor.name)
        elif tensor.name != EMBEDDING:
            _check_size(tensor, imatrix)
    missing = [name for name in without if name not in (EMBEDDING, OUTPUT)]
    if imatrix is None or not missing:
        return []
    return [f"`{imatrix.path}` does not know {len(missing)} tensors, such as `{missing[0]}`"]


def _is_known(tensor: MappedTensor, imatrix: Imatrix | None) -> bool:
    """Whether the matrix has the tensor; one for embeddings counts only if it fits, as in llama.cpp."""
    if imatrix is None or tensor.name not in imatrix:
        return False
    return tensor.name != EMBEDDING or imatrix.size(tensor.name) == _columns(tensor)


def _columns(tensor: MappedTensor) -> int:
    """Columns over all experts, as an importance matrix counts them."""
    return len(tensor.parts) * tensor.shape[-1]


def _check_size(tensor: MappedTensor, imatrix: Imatrix) -> None:
    wanted, found = _columns(tensor), imatrix.size(tensor.name)
    if wanted != found:
        message = f"`{imatrix.path}` has {found:,} columns for `{tensor.name}`, which has {wanted:,}"
        raise ImatrixError(message, hint="it was made for another model")
    if imatrix.parts(tensor.name) not in (1, len(tensor.parts)):
        message = f"`{imatrix.path}` has {imatrix.parts(tensor.name)} counts for `{tensor.name}`"
        raise ImatrixError(message, hint=f"it must be 1, or {len(tensor.parts)} as there are experts")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Turns what an architecture maps into rows of files."""

    checkpoint: Checkpoint
    scales: Mapping[str, BlockScale]
    adapter: Adapter | None

    def rows(self, part: Part) -> SourceRows:
        source = self.checkpoint.tensors[part.name]
        if source.dtype not in ITEM_BYTES:
            message = f"tensor `{part.name}` of `{source.path}` is {source.dtype}, which cannot be converted"
            raise CheckpointError(message, hint=f"accepted are {', '.join(ITEM_BYTES)}")
        scale = self.scales.get(part.name)
        if source.dtype == FP8 and scale is None:  # Embeddings that an adapter has made an output too.
            raise CheckpointError(f"tensor `{part.name}` of `{source.path}` is FP8 and has no scale")
        rows = SourceRows(source, part.first, part.count, scale)
        return rows if self.adapter is None else self.adapter.applied(rows)


def _placed(
    mapped: Sequence[MappedTensor], choices: Sequence[Choice], parts: _Parts, imatrix: Imatrix | None
) -> tuple[PlannedTensor, ...]:
    planned: list[PlannedTensor] = []
    offset = 0
    for tensor, choice in zip(mapped, choices, strict=True):
        nbytes = choice.kind.row_bytes(prod(tensor.shape))
        placed = PlacedTensor(tensor.name, tensor.shape, choice.kind, offset, nbytes)
        rows = tuple(parts.rows(part) for part in tensor.parts)
        planned.append(PlannedTensor(placed, rows, choice.kind.block > 1 and _is_known(tensor, imatrix)))
        offset += padded(nbytes, DEFAULT_ALIGNMENT)
    return tuple(planned)


def _fallbacks(mapped: Sequence[MappedTensor], choices: Sequence[Choice]) -> list[str]:
    """What does not divide into blocks is said, never done in silence."""
    rows: dict[tuple[str, str, int], list[int]] = {}
    for tensor, choice in zip(mapped, choices, strict=True):
        if choice.kind is not choice.wanted:
            key = (choice.wanted.name, choice.kind.name, choice.wanted.block)
            rows.setdefault(key, []).append(tensor.shape[-1])
    return [
        f"{len(found)} tensors become {kind} instead of {wanted}: their rows of"
        f" {', '.join(str(size) for size in sorted(set(found)))} are no multiple of {block}"
        for (wanted, kind, block), found in rows.items()
    ]


def _refuse_other_uses(folder: Path) -> None:
    """Embedding models and rerankers name the same architecture, and would chat nonsense."""
    if (folder / "modules.json").is_file():
        raise CheckpointError(
            f"`{folder}` is an embedding model, and only chat and base models can be converted"
        )
    card = folder / "README.md"
    heading = b""
    # One that cannot be read is told as a notice by who reads it whole.
    if card.is_file():
        with contextlib.suppress(OSError), card.open("rb") as file:
            heading = file.read(_HEADING_BYTES).lower()
    if "qwen3-reranker" in folder.name.lower() or b"# qwen3-reranker" in heading:
        raise CheckpointError(f"`{folder}` is a reranker, and only chat and base models can be converted")
