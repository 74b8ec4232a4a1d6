"""Which files of a repository make its checkpoint, and whether all of them are there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen3cli.errors import InvalidFile
from qwen3cli.models.filenames import shard_of
from qwen3cli.models.reference import is_name
from qwen3cli.models.sources.hub import Listing
from qwen3cli.models.variants import SUFFIX, HubFile

_CHECKPOINT = re.compile(
    r"(?:config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index|modules)\.json"
    r"|chat_template\.(?:jinja|json)|additional_chat_templates/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.jinja|README\.md"
)
"""What a conversion reads besides weights; anything else of a checkpoint's repository is left there."""
_WEIGHTS = ".safetensors"
_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
_SHARD = re.compile(r".+-\d{5}-of-\d{5}\.safetensors")
_OTHER = re.compile(r"consolidated.*\.safetensors")


def parts_of(listing: Listing) -> tuple[HubFile, ...]:
    """The files of a checkpoint: what says how to read it, and its weights.

    Other forms of the same weights are left out as far as names tell; an index tells the rest once it is here.
    """
    parts = [file for file in listing.files if is_weights(file.path) or _CHECKPOINT.fullmatch(file.path)]
    names = {file.path for file in parts}
    if _INDEX not in names:
        kept = (_WHOLE,) if _WHOLE in names else tuple(name for name in names if name.startswith("model"))
        kept = kept if any(is_weights(name) for name in kept) else tuple(names)
        return tuple(file for file in parts if file.path in kept or not is_weights(file.path))
    shards = [name for name in names if _SHARD.fullmatch(name) and not _OTHER.fullmatch(name)]
    other = [name for name in names if name == _WHOLE or _OTHER.fullmatch(name)] if shards else []
    return tuple(file for file in parts if file.path not in other)


def is_weights(path: str) -> bool:
    """Whether a file of a repository has weights of its checkpoint; such a name is safe in any folder."""
    return path.endswith(_WEIGHTS) and is_name(path.removesuffix(_WEIGHTS))


def check_whole(listing: Listing, files: Sequence[HubFile]) -> None:
    """Raises `InvalidFile` for a checkpoint that lacks what every conversion needs."""
    there = {file.path for file in files}
    missing = [name for name in ("config.json", "tokenizer.json") if name not in there]
    for name in there:
        shard = shard_of(name.removesuffix(_WEIGHTS) + SUFFIX) if name.endswith(_WEIGHTS) else None
        if shard is not None:
            wanted = (
                f"{shard.stem}-{number:05}-of-{shard.count:05}{_WEIGHTS}"
                for number in range(1, shard.count + 1)
            )
            missing += [part for part in wanted if part not in there][:1]
    if missing:
        if listing.gap is not None:
            raise listing.gap
        raise InvalidFile(
            f"`{listing.source}` lacks {missing[0]}: it cannot be converted",
            "look for a whole copy of the model",
        )
