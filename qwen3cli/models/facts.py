"""What a GGUF file says about itself, through the validating header reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.errors import InvalidFile
from qwen3cli.machine import ModelFacts
from qwen3cli.models.filenames import Shard, shard_of

if TYPE_CHECKING:
    from converters.header import Header

UNQUANTIZED = ("F32", "F16", "BF16")

_SIZE = r"(?:[0-9]+(?:\.[0-9]+)?[bm]|a[0-9]+b)[-_ ]"
# What names of files add: how it was quantized, or which part of it this is.
_ADDITION = (
    r"(?:gguf|i1|ud|i?q[0-9](?:_[a-z0-9]+)*|tq[0-9]_[0-9]|b?f16|f32|fp16|fp32|mxfp4|[0-9]{5}-of-[0-9]{5})"
)
_ADDED = rf"(?:[-_. ]{_ADDITION}(?:[-. ]{_ADDITION})*)?"
_BASE_TAG = re.compile(rf"(?:{_SIZE})*base{_ADDED}", re.IGNORECASE)
_BASE_TITLE = re.compile(rf"(?:^|[-_. ]){_SIZE}base{_ADDED}$", re.IGNORECASE)
"""As the family writes it: `Qwen3-8B-Base`, `Qwen3 30B A3B Base`."""

Thinking = Callable[[str], str]
"""Tells the thinking kind from a chat template; "" where the template does not show it."""


def unknown(template: str) -> str:
    """The `Thinking` of those who cannot render templates."""
    return ""


def read_facts(path: Path, name: str | None = None, thinking: Thinking = unknown) -> ModelFacts:
    """Validate the header of `path` and read it.

    Raises `InvalidFile` with the reason when it is no sound GGUF file.
    """
    header = checked_header(path)
    metadata = header.metadata
    arch = header.architecture
    further = _further_parts(path, header)
    if arch is None or not header.tensors:
        raise InvalidFile(f"`{path}` is a GGUF file but holds no model", "give a file of weights")
    quantization = header.quantization
    title = header.name or path.stem
    headers = [header, *(_checked_part(part, number) for number, part in enumerate(further, 2))]
    # Not by the name in the store, which is the person's choice and says nothing of the weights.
    base = _is_base(header.text("general.finetune"), (title, path.stem))
    return ModelFacts(
        name=name or path.stem,
        path=path,
        architecture=arch,
        file_bytes=sum(one.file_size for one in headers),
        parameters=sum(one.parameters for one in headers),
        quantization=quantization,
        quantized=quantization not in UNQUANTIZED,
        context_length=_number(metadata, f"{arch}.context_length"),
        kv_bytes_per_token=_kv_bytes(metadata, arch),
        base=base,
        further=further,
        thinking=_thinking(header, thinking, base=base),
        vocabulary=_vocabulary(headers),
        hidden=_number(metadata, f"{arch}.embedding_length"),
    )


def _further_parts(path: Path, header: Header) -> tuple[Path, ...]:
    """The other files of a model that is split as llama.cpp's gguf-split does; `path` must be the first."""
    count = header.integer("split.count") or 1
    if count <= 1:
        return ()
    shard = shard_of(path.name)
    if shard is None or (shard.number, shard.count) != (1, count):
        raise InvalidFile(
            f"`{path}` is one of {count:,} parts of a model, and not by name the first",
            f"give the file that ends in `{Shard('', 1, count).name}`",
        )
    parts = tuple(path.with_name(replace(shard, number=number).name) for number in range(2, count + 1))
    for part in parts:
        if not part.is_file():
            raise InvalidFile(f"`{path}` lacks its part `{part.name}`", "fetch the missing file")
    return parts


def _checked_part(path: Path, number: int) -> Header:
    """The header of the part of that number; llama.cpp insists on it, too."""
    header = checked_header(path)
    said = header.integer("split.no")
    if said != number - 1:
        raise InvalidFile(f"`{path}` is not part {number} of its model, whatever its name says")
    return header


def checked_header(path: Path) -> Header:
    """The header of `path`, or `InvalidFile`."""
    from converters.header import HeaderError, read_header

    try:
        return read_header(path)
    except HeaderError as error:
        raise InvalidFile(str(error), error.hint) from None
    except OSError as error:
        raise InvalidFile(f"`{path}` cannot be read: {error.strerror or error}") from None


def _number(metadata: Mapping[str, object], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _kv_bytes(metadata: Mapping[str, object], arch: str) -> int:
    """Bytes of K and V for one token over all layers, at 16 bits."""
    layers = _number(metadata, f"{arch}.block_count")
    heads = _number(metadata, f"{arch}.attention.head_count")
    kv_heads = _number(metadata, f"{arch}.attention.head_count_kv") or heads
    width = _number(metadata, f"{arch}.embedding_length") // heads if heads else 0
    key = _number(metadata, f"{arch}.attention.key_length") or width
    value = _number(metadata, f"{arch}.attention.value_length") or width
    return 2 * layers * kv_heads * (key + value)


def _vocabulary(headers: Sequence[Header]) -> int:
    """Rows of the embeddings, in whichever file they are."""
    tensors = (tensor for header in headers for tensor in header.tensors)
    return next((tensor.shape[-1] for tensor in tensors if tensor.name == "token_embd.weight"), 0)


def _thinking(header: Header, tell: Thinking, *, base: bool) -> str:
    """Base models ship the template of chat models; like those without one, they complete text."""
    template = header.chat_template
    return ThinkingMode.NEVER.value if base or not template else tell(template)


def _is_base(finetune: str | None, titles: Sequence[str]) -> bool:
    """Base models ship a chat template too: only their `finetune` tag and, without one, their names tell them apart.

    What was tuned on from one has further words behind the `Base`; anywhere else the word means something else.
    """
    if finetune:
        return _BASE_TAG.fullmatch(finetune) is not None
    return any(_BASE_TITLE.search(title) for title in titles)
