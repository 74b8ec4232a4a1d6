"""A LoRA adapter as PEFT saves it: which matrices of the model it changes, and how. Reads no weights.

Source: peft 0.21, tuners/lora/layer.py (`get_delta_weight`) and utils/save_and_load.py. The product is computed in
32 bits and added before anything is rounded, as `merge_and_unload` does with a model loaded in 32 bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from converters.checkpoint import Checkpoint, Config
from converters.documents import read_object
from converters.errors import AdapterError, CheckpointError
from converters.safetensors import SafetensorsFile, SourceTensor
from converters.sources import Delta, SourceRows
from converters.wishes import compile_pattern

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX: Final = "base_model.model."
_LAYER: Final = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?")
_TYPES: Final = ("F32", "F16", "BF16")
_LONGEST_PATTERN, _MOST_REPETITIONS = 200, 3
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
# What changes the arithmetic; the value that leaves it as it is.
_UNSUPPORTED: Final = {
    **{"use_dora": False, "use_qalora": False, "lora_bias": False, "fan_in_fan_out": False},
    **{"layer_replication": None, "trainable_token_indices": None, "target_parameters": None},
    **{"use_bdlora": None, "alora_invocation_tokens": None, "bias": "none"},
}


# Beginnings (`init_lora_weights`) that also take something away from the model's own weights.
_TAKEN_FROM_MODEL: Final = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What it does, by names of the checkpoint's tensors: adds `deltas`, or puts another tensor in one's place.

    `unties` says that it trained embeddings or output as a whole: PEFT does so on a copy, which is tied to nothing.
    """

    folder: Path
    file: SafetensorsFile
    deltas: Mapping[str, tuple[Delta, ...]]
    replaced: Mapping[str, SourceTensor]
    unties: bool = False

    @property
    def name(self) -> str:
        """What its folder is called."""
        return self.folder.resolve().name

    def applied(self, rows: SourceRows) -> SourceRows:
        """The rows as the adapter changes them."""
        name = rows.tensor.name
        changed = replace(rows, deltas=self.deltas.get(name, ()))
        other = self.replaced.get(name)
        return changed if other is None else replace(changed, tensor=other, scale=None)

    def fitted(self, checkpoint: Checkpoint) -> tuple[Checkpoint, Adapter]:
        """Both as they belong together: what one matrix does twice is changed twice, or becomes two matrices.

        Raises AdapterError if the adapter changes what the model does not have.
        """
        adapter = self
        if checkpoint.config.tied and self.unties:
            checkpoint = _untied(checkpoint)
        elif checkpoint.config.tied:
            adapter = _tied(self, head_stored=_HEAD in checkpoint.tensors)
        adapter._check(checkpoint.tensors)
        return checkpoint, adapter

    def _check(self, tensors: Mapping[str, SourceTensor]) -> None:
        shapes = [(name, delta.shape) for name, deltas in self.deltas.items() for delta in deltas]
        shapes += [(name, tensor.shape) for name, tensor in self.replaced.items()]
        for name, shape in shapes:
            found = tensors.get(name)
            if found is None:
                raise self._refused(f"changes `{name}`, which the model does not have")
            if found.shape != shape:
                raise self._refused(
                    f"changes `{name}` as {list(shape)}, and the model's is {list(found.shape)}"
                )

    def _refused(self, reason: str) -> AdapterError:
        hint = "give the checkpoint that it was trained on"
        return AdapterError(f"the adapter `{self.folder}` {reason}", hint=hint)


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`; raises AdapterError for what is none, or one whose kind cannot be merged."""
    try:
        config = Config(folder / _CONFIG, read_object(folder / _CONFIG))
        _check_kind(folder, config)
        file = SafetensorsFile(folder / _WEIGHTS)
        adapter = _sorted_out(folder, file, _Scaling.of(config))
        return replace(
            adapter, unties=_trains_whole(config) and not config.flag("ensure_weight_tying", False)
        )
    except CheckpointError as error:
        raise AdapterError(f"the adapter `{folder}` cannot be used: {error}", hint=error.hint) from error


@dataclass(frozen=True, slots=True)
class _Scaling:
    """How strongly each module's product counts; the first pattern that fits a module's end counts."""

    alpha: float
    alphas: tuple[tuple[re.Pattern[str], float], ...]
    by_root: bool

    @classmethod
    def of(cls, config: Config) -> _Scaling:
        patterns = config.table("alpha_pattern")
        values = Config(config.path, patterns)
        alphas = tuple((_pattern(key), values.number(key, 0.0)) for key in patterns)
        return cls(config.number("lora_alpha", 8.0), alphas, config.flag("use_rslora", False))

    def factor(self, module: str, rank: int) -> float:
        """Alpha by rank, or by its square root (rsLoRA)."""
        fitting = (alpha for pattern, alpha in self.alphas if pattern.match(module))
        return next(fitting, self.alpha) / (math.sqrt(rank) if self.by_root else rank)


def _pattern(key: str) -> re.Pattern[str]:
    """As PEFT reads it. A repeated group, many repetitions or choices could keep a search busy for years."""
    many = max(len(re.findall(r"[*+?{]", key)), key.count("(")) > _MOST_REPETITIONS
    if many or len(key) > _LONGEST_PATTERN or re.search(r"\)[*+?{]", key):
        hint = "merge it with PEFT's `merge_and_unload`, then convert the result"
        raise CheckpointError(f"`alpha_pattern` has `{key[:80]}`, which is too intricate", hint=hint)
    try:
        return compile_pattern(rf"(.*\.)?({key})$")
    except ValueError as error:
        raise CheckpointError(f"`alpha_pattern` has `{key[:80]}`, which is no pattern: {error}") from None


def _check_kind(folder: Path, config: Config) -> None:
    kind = config.values.get("peft_type")
    if kind != "LORA":
        raise AdapterError(
            f"the adapter `{folder}` is {str(kind)[:40]}, and only LORA can be merged",
            hint="merge it with PEFT's `merge_and_unload`, then convert the result",
        )
    used = [key for key, usual in _UNSUPPORTED.items() if config.values.get(key) not in (None, usual, [], {})]
    if str(config.values.get("init_lora_weights")).lower().startswith(_TAKEN_FROM_MODEL):
        used.append("init_lora_weights")
    if used:
        raise AdapterError(
            f"the adapter `{folder}` uses `{used[0]}`, which cannot be merged here",
            hint="merge it with PEFT's `merge_and_unload`, then convert the result",
        )


def _trains_whole(config: Config) -> bool:
    """Whether `modules_to_save` names the embeddings or the output."""
    listed = config.values.get("modules_to_save")
    names = cast(list[Any], listed) if isinstance(listed, list) else []
    return any(f"{name}.weight".endswith(("embed_tokens.weight", _HEAD)) for name in names)


def _sorted_out(folder: Path, file: SafetensorsFile, scaling: _Scaling) -> Adapter:
    sides: dict[str, dict[str, SourceTensor]] = {}
    embedded: set[str] = set()
    replaced: dict[str, SourceTensor] = {}
    for name, tensor in file.tensors.items():
        if tensor.dtype not in _TYPES:
            raise CheckpointError(f"tensor `{name}` is {tensor.dtype} instead of {', '.join(_TYPES)}")
        found = _LAYER.fullmatch(name.removeprefix(_PREFIX))
        if found is not None:
            sides.setdefault(found["module"], {})[found["side"]] = tensor
            if found["embedding"]:
                embedded.add(found["module"])
        elif name.startswith(_PREFIX) and name.endswith(".weight"):
            # Trained as a whole (`modules_to_save`), or the embeddings below a change to them.
            replaced[name.removeprefix(_PREFIX).replace(".base_layer.", ".")] = tensor
        else:
            raise CheckpointError(f"tensor `{name}` is not part of a LoRA adapter that is known here")
    if not sides and not replaced:
        raise CheckpointError(f"`{file.path}` changes nothing")
    deltas = {
        f"{module}.weight": (_delta(module, pair, scaling, module in embedded),)
        for module, pair in sides.items()
    }
    return Adapter(folder, file, deltas, replaced)


def _delta(module: str, pair: dict[str, SourceTensor], scaling: _Scaling, embedding: bool) -> Delta:
    a, b = pair.get("A"), pair.get("B")
    if a is None or b is None:
        raise CheckpointError(f"`{module}` has only one of lora_A and lora_B")
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise CheckpointError(f"lora_A and lora_B of `{module}` do not fit: {list(a.shape)}, {list(b.shape)}")
    return Delta(a, b, scaling.factor(module, a.shape[0]), transposed=embedding)


def _untied(checkpoint: Checkpoint) -> Checkpoint:
    """With an output of its own: what the embeddings are before either is changed."""
    table = checkpoint.tensors.get(_EMBEDDING)
    if table is None or _HEAD in checkpoint.tensors:
        return checkpoint
    return replace(checkpoint, tensors={**checkpoint.tensors, _HEAD: replace(table, name=_HEAD)})


def _tied(adapter: Adapter, *, head_stored: bool) -> Adapter:
    """One matrix serves as embeddings and as output: what changes one changes the other, stored twice or not."""
    names = (_EMBEDDING, _HEAD) if head_stored else (_EMBEDDING,)
    deltas, replaced = dict(adapter.deltas), dict(adapter.replaced)
    both = (*deltas.pop(_EMBEDDING, ()), *deltas.pop(_HEAD, ()))
    whole = [found for found in (replaced.pop(_EMBEDDING, None), replaced.pop(_HEAD, None)) if found]
    for name in names:
        if both:
            deltas[name] = both
        if whole:
            replaced[name] = whole[0]
    return replace(adapter, deltas=deltas, replaced=replaced)
