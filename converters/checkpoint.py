"""A checkpoint folder: its configuration and all its tensors, checked before anything is converted.

Knows files and their validity; which tensors an architecture needs is the architecture's business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

from converters.documents import JsonObject, read_object
from converters.errors import CheckpointError
from converters.safetensors import SafetensorsFile, SourceTensor

INDEX: Final = "model.safetensors.index.json"
_MAX_SHARDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Config:
    """config.json, read by typed questions; a wrong answer is a CheckpointError that names key and file."""

    path: Path
    values: JsonObject

    @property
    def architecture(self) -> str:
        """The first of `architectures`."""
        listed = self.values.get("architectures")
        if isinstance(listed, list) and listed:
            first = cast(list[Any], listed)[0]
            if isinstance(first, str):
                return first
        raise CheckpointError(f"`{self.path}` names no architecture", hint="it must have `architectures`")

    @property
    def tied(self) -> bool:
        """Whether the output is computed with the embeddings."""
        return self.flag("tie_word_embeddings", False)

    def integer(self, key: str, default: int | None = None, *, least: int = 1, most: int = 1 << 31) -> int:
        """A whole number from `least` to `most`; `default` if the key is absent or null."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            shown = "is missing" if value is None else f"is {str(value)[:40]}"
            wanted = f"a whole number from {least} to {most:,}"
            raise CheckpointError(f"`{key}` of `{self.path}` {shown}, and it must be {wanted}")
        return value

    def number(self, key: str, default: float) -> float:
        """A number; `default` if the key is absent or null."""
        return as_number(self.values.get(key), default, f"`{key}` of `{self.path}`")

    def flag(self, key: str, default: bool) -> bool:
        """True or false; `default` if the key is absent or null."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise CheckpointError(f"`{key}` of `{self.path}` is {str(value)[:40]} instead of true or false")
        return value

    def table(self, key: str) -> JsonObject:
        """A nested object; an empty one if the key is absent or null."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise CheckpointError(f"`{key}` of `{self.path}` is not an object")
        return cast(JsonObject, value)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with a model; `tensors` by name."""

    folder: Path
    config: Config
    tensors: dict[str, SourceTensor]
    files: dict[Path, SafetensorsFile]


def as_number(value: Any, default: float, where: str) -> float:
    """The JSON value as a finite number; `default` for null; CheckpointError, naming `where`, otherwise."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e38:
        raise CheckpointError(f"{where} is {str(value)[:40]} instead of a number")
    return float(value)


def read_config(folder: Path) -> Config:
    """config.json of a checkpoint folder; says what the path is instead, if it is no such folder."""
    path = folder / "config.json"
    try:
        if folder.is_file():
            hint = "it can be chatted with as it is" if folder.suffix == ".gguf" else "give its folder"
            raise CheckpointError(f"`{folder}` is a file, and a checkpoint is a folder", hint=hint)
        if not folder.is_dir():
            hint = "give a folder with config.json and model.safetensors"
            raise CheckpointError(f"`{folder}` does not exist", hint=hint)
        if not path.is_file():
            hint = "a checkpoint folder holds config.json, tokenizer.json and model.safetensors"
            raise CheckpointError(f"`{folder}` has no config.json", hint=hint)
    except OSError as error:  # A name beyond the system's limits, or a folder that may not be entered.
        raise CheckpointError(f"`{folder}` cannot be read: {error.strerror or error}") from error
    return Config(path, read_object(path))


@dataclass(frozen=True, slots=True)
class Shards:
    """The weight files of a folder by name; `weight_map` is the index, tensor → file, empty without one."""

    names: Sequence[str]
    weight_map: dict[str, str]


def find_shards(folder: Path) -> Shards:
    """Which files hold the weights; opens none of them."""
    index = folder / INDEX
    if not index.is_file():
        return Shards(_unindexed(folder), {})
    weight_map = _weight_map(index)
    names = sorted(set(weight_map.values()))
    for name in names:
        if not (folder / name).is_file():
            raise CheckpointError(f"`{folder}` lacks its shard `{name}`", hint="download the missing file")
    return Shards(names, weight_map)


def indexed(folder: Path) -> list[str]:
    """The weight files that the index names; none without an index."""
    index = folder / INDEX
    return sorted(set(_weight_map(index).values())) if index.is_file() else []


def open_checkpoint(folder: Path, config: Config, shards: Shards) -> Checkpoint:
    """Reads the headers of all weight files and checks them against each other and the index."""
    weight_map = shards.weight_map
    files: dict[Path, SafetensorsFile] = {}
    tensors: dict[str, SourceTensor] = {}
    for name in shards.names:
        path = folder / name
        files[path] = shard = SafetensorsFile(path)
        for tensor in shard.tensors.values():
            if tensor.name in tensors:
                other = tensors[tensor.name].path.name
                raise CheckpointError(f"tensor `{tensor.name}` is in `{path}` and in `{other}`")
            if weight_map and weight_map.get(tensor.name) != name:
                raise CheckpointError(f"tensor `{tensor.name}` of `{path}` is not there by `{INDEX}`")
            tensors[tensor.name] = tensor
    for tensor_name, file_name in weight_map.items():
        if tensor_name not in tensors:
            raise CheckpointError(f"tensor `{tensor_name}` is missing in `{folder / file_name}`")
    return Checkpoint(folder, config, tensors, files)


_LONGEST_NAME: Final = 255
"""Bytes of a file name that every usual file system takes."""


def _weight_map(index: Path) -> dict[str, str]:
    listed = read_object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(f"`{index}` has no `weight_map`", hint="download it again")
    weight_map: dict[str, str] = {}
    for tensor, file in cast(dict[str, Any], listed).items():
        if not _is_file_name(file):
            raise CheckpointError(
                f"`{index}` puts tensor `{tensor[:80]}` in `{str(file)[:80]}`, no file name"
            )
        weight_map[tensor] = file
    if len(set(weight_map.values())) > _MAX_SHARDS:
        raise CheckpointError(f"`{index}` names more than {_MAX_SHARDS:,} shards")
    return weight_map


def _is_file_name(value: Any) -> TypeGuard[str]:
    """Whether it is a plain file name: an index must not lead out of the folder."""
    if not isinstance(value, str) or not value.endswith(".safetensors") or set(value) & set("/\\:\0"):
        return False
    try:
        return len(os.fsencode(value)) <= _LONGEST_NAME
    except UnicodeEncodeError:  # Half a surrogate pair, which JSON can hold and no file name.
        return False


def _unindexed(folder: Path) -> Sequence[str]:
    """Without an index: every model*.safetensors, as llama.cpp's converter does."""
    names = sorted(path.name for path in folder.glob("model*.safetensors"))
    if names:
        return names
    message = f"`{folder}` has no model.safetensors"
    if any(folder.glob("pytorch_model*.bin")):
        hint = "its weights are pickled .bin files, which can run code: save them as safetensors"
        raise CheckpointError(message, hint=hint)
    raise CheckpointError(message, hint="download the weights too")
