"""What a conversion will write, down to the byte, before anything is written. Reads no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from converters.card import ParameterCount, describe
from converters.checkpoint import open_checkpoint, read_config
from converters.entries import Entries
from converters.errors import CheckpointError
from converters.ggml import DEFAULT_ALIGNMENT, QUANTIZATION_VERSION, padded
from converters.quantize import ITEM_BYTES
from converters.recipes import Recipe, choose_type
from converters.registry import MappedTensor, find_architecture
from converters.safetensors import SafetensorsFile, SourceTensor
from converters.tokenizer import tokenizer_entries
from converters.writer import PlacedTensor, pack_header

_HEADING_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor to be written and the checkpoint's tensors that its rows come from, in order."""

    placed: PlacedTensor
    parts: tuple[SourceTensor, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole file: its header, its tensors, its size in bytes; and what the user should know."""

    header: bytes
    tensors: tuple[PlannedTensor, ...]
    size: int
    parameters: int
    files: dict[Path, SafetensorsFile]
    notices: tuple[str, ...]


def make_plan(folder: Path, recipe: Recipe, name: str | None) -> Plan:
    """Reads and checks a checkpoint; CheckpointError names whatever is wrong with it."""
    config = read_config(folder)
    architecture = find_architecture(config)
    _refuse_other_uses(folder)
    checkpoint = open_checkpoint(folder, config)
    mapped = architecture.map_tensors(checkpoint)
    planned = _placed(mapped, checkpoint.tensors, recipe)
    count = count_parameters(mapped)
    card = describe(folder, config, count, name)
    entries = Entries()
    entries.text("general.architecture", architecture.GGUF_NAME)
    entries.extend(card.entries)
    entries.extend(architecture.hyperparameters(config, recipe.file_type))
    entries.u32("general.quantization_version", QUANTIZATION_VERSION)
    entries.extend(tokenizer_entries(folder, config))
    header = pack_header(entries, [tensor.placed for tensor in planned])
    size = len(header) + sum(padded(tensor.placed.nbytes, DEFAULT_ALIGNMENT) for tensor in planned)
    notices = (*card.notices, *_fallbacks(planned, recipe))
    return Plan(header, planned, size, count.total, checkpoint.files, notices)


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


def _placed(
    mapped: Sequence[MappedTensor], sources: dict[str, SourceTensor], recipe: Recipe
) -> tuple[PlannedTensor, ...]:
    planned: list[PlannedTensor] = []
    offset = 0
    for tensor in mapped:
        parts = tuple(sources[part] for part in tensor.parts)
        for part in parts:
            if part.dtype not in ITEM_BYTES:
                message = (
                    f"tensor `{part.name}` of `{part.path}` is {part.dtype}, which cannot be converted yet"
                )
                raise CheckpointError(message, hint=f"accepted are {', '.join(ITEM_BYTES)}")
        kind = choose_type(recipe, tensor.name, tensor.shape)
        nbytes = kind.row_bytes(prod(tensor.shape))
        planned.append(PlannedTensor(PlacedTensor(tensor.name, tensor.shape, kind, offset, nbytes), parts))
        offset += padded(nbytes, DEFAULT_ALIGNMENT)
    return tuple(planned)


def _fallbacks(planned: Sequence[PlannedTensor], recipe: Recipe) -> list[str]:
    """What does not divide into blocks is said, never done in silence."""
    wide = [tensor.placed for tensor in planned if tensor.placed.kind is recipe.fallback]
    if not wide or recipe.fallback is recipe.default:
        return []
    rows = ", ".join(str(size) for size in sorted({tensor.shape[-1] for tensor in wide}))
    block = f"{recipe.default.block}, {recipe.name}'s block"
    return [
        f"{len(wide)} tensors stay {recipe.fallback.name}: their rows of {rows} are no multiple of {block}"
    ]


def _refuse_other_uses(folder: Path) -> None:
    """Embedding models and rerankers name the same architecture, and would chat nonsense."""
    if (folder / "modules.json").is_file():
        raise CheckpointError(
            f"`{folder}` is an embedding model, and only chat and base models can be converted"
        )
    card = folder / "README.md"
    heading = b""
    if card.is_file():
        with card.open("rb") as file:
            heading = file.read(_HEADING_BYTES).lower()
    if "qwen3-reranker" in folder.name.lower() or b"# qwen3-reranker" in heading:
        raise CheckpointError(f"`{folder}` is a reranker, and only chat and base models can be converted")
