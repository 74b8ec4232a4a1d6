"""general.*: what a model is called, where it comes from, how to sample from it.

Sources are the checkpoint's README.md (its YAML front matter), config.json, generation_config.json and the
name of its folder; the heuristics that take a name apart are gguf's own. Nothing here stops a conversion:
what cannot be read is left out, with a notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from converters.checkpoint import Config
from converters.documents import JsonObject, read_optional_object, read_text
from converters.entries import Entries
from converters.errors import CheckpointError

if TYPE_CHECKING:
    from gguf import Metadata

_CARD_LIMIT: Final = 1 << 20
_FRONT_LIMIT: Final = 1 << 16
"""Characters of YAML; Qwen's cards have 500, and a million take twenty seconds to parse."""
_DEEP: Final = (list, tuple, set)

# generation_config.json → GGUF, in writing order; the first key that is there counts.
_SAMPLING: Final = (
    ("sequence", ("sequence",), str),
    ("top_k", ("top_k",), int),
    ("top_p", ("top_p",), float),
    ("min_p", ("min_p",), float),
    ("xtc_probability", ("xtc_probability",), float),
    ("xtc_threshold", ("xtc_threshold",), float),
    ("temp", ("temperature",), float),
    ("penalty_last_n", ("penalty_last_n",), int),
    ("penalty_repeat", ("penalty_repeat", "repetition_penalty"), float),
    ("mirostat", ("mirostat",), int),
    ("mirostat_tau", ("mirostat_tau",), float),
    ("mirostat_eta", ("mirostat_eta",), float),
)

# Attribute of gguf.Metadata → key, in writing order.
_TEXTS: Final = {
    **{
        name: f"general.{name}"
        for name in ("name", "author", "version", "organization", "finetune", "basename")
    },
    **{"description": "general.description", "quantized_by": "general.quantized_by"},
    **{"size_label": "general.size_label", "license": "general.license"},
    **{"license_name": "general.license.name", "license_link": "general.license.link"},
    **{"url": "general.url", "doi": "general.doi", "uuid": "general.uuid", "repo_url": "general.repo_url"},
    **{"source_url": "general.source.url", "source_doi": "general.source.doi"},
    **{"source_uuid": "general.source.uuid", "source_repo_url": "general.source.repo_url"},
}
_RELATED: Final = (("base_models", "base_model"), ("datasets", "dataset"))
_RELATED_KEYS: Final = (
    *("name", "author", "version", "organization", "description"),
    *("url", "doi", "uuid", "repo_url"),
)


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """How many numbers a model has; experts once each in `total`, once together in `per_expert`."""

    total: int
    shared: int
    per_expert: int
    experts: int


@dataclass(slots=True)
class Card:
    """The entries, and what had to be left out of them."""

    entries: Entries = field(default_factory=Entries)
    notices: list[str] = field(default_factory=list[str])


def describe(
    folder: Path, config: Config, count: ParameterCount, name: str | None, adapter: str | None = None
) -> Card:
    """general.* from type to languages; `name` overrides what folder, model card and `adapter` say."""
    from gguf import size_label

    card = Card()
    card.entries.text("general.type", "model")
    _add_sampling(card, folder)
    metadata = _metadata(card, folder, config, count.total)
    own = ",".join(_texts(metadata.name)) or titled(folder).name or "model"
    metadata.name = name or (f"{own} + {adapter}" if adapter else own)
    if metadata.size_label is None:
        metadata.size_label = size_label(count.total, count.shared, count.per_expert, count.experts)
    for attribute, key in _TEXTS.items():
        card.entries.text(key, ",".join(_texts(getattr(metadata, attribute))))
    for attribute, prefix in _RELATED:
        _add_related(card.entries, f"general.{prefix}", getattr(metadata, attribute))
    card.entries.texts("general.tags", _texts(metadata.tags))
    card.entries.texts("general.languages", _texts(metadata.languages))
    return card


def _add_sampling(card: Card, folder: Path) -> None:
    """The sampler settings that the model's makers recommend."""
    path = folder / "generation_config.json"
    try:
        settings = read_optional_object(path)
    except CheckpointError as error:
        card.notices.append(f"{error}; its sampling defaults are left out")
        return
    add: dict[type, Callable[[str, Any], None]]
    add = {str: card.entries.text, int: card.entries.i32, float: card.entries.f32}
    for key, names, kind in _SAMPLING:
        value = next((settings[name] for name in names if settings.get(name) is not None), None)
        if value is None:
            continue
        if _is_a(value, kind):
            add[kind](f"general.sampling.{key}", value)
        else:
            card.notices.append(f"`{names[0]}` of `{path}` is {str(value)[:40]}; it is left out")


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if kind is int:
        return isinstance(value, int) and abs(value) < 1 << 31
    return isinstance(value, (int, float)) and abs(value) < 1e38 if kind is float else isinstance(value, str)


def _metadata(card: Card, folder: Path, config: Config, parameters: int) -> Metadata:
    """What gguf's heuristics make of model card, config.json and folder name."""
    from gguf import Metadata

    front = _front_matter(card, folder / "README.md")
    origin = config.values.get("_name_or_path")
    named = {"_name_or_path": origin} if isinstance(origin, str) else {}
    return Metadata.apply_metadata_heuristic(Metadata(), front, named, titled(folder), parameters)


def titled(folder: Path) -> Path:
    """The folder by the model's name; huggingface_hub's cache calls it `models--OWNER--NAME/snapshots/COMMIT`."""
    owner = folder.parent.parent.name
    if folder.parent.name == "snapshots" and owner.startswith("models--"):
        return Path(owner.split("--")[-1])
    return folder


def _front_matter(card: Card, path: Path) -> JsonObject:
    """The YAML between the first two `---` lines of a model card, its values reduced to texts."""
    if not path.is_file():
        return {}
    import yaml

    try:
        if path.stat().st_size > _CARD_LIMIT:
            raise CheckpointError(f"`{path}` is larger than {_CARD_LIMIT >> 20} MB")
        lines = read_text(path).splitlines()
        if not lines or lines[0] != "---":
            return {}
        end = lines.index("---", 1) if "---" in lines[1:] else len(lines)
        # As llama.cpp's converter: `no` is a language here, and cards of Qwen3 hold tabs, which YAML forbids.
        text = "".join(f"{line}\n" for line in lines[1:end]).replace("- no\n", '- "no"\n').replace("\t", "  ")
        if len(text) > _FRONT_LIMIT:
            raise CheckpointError(f"its YAML is longer than {_FRONT_LIMIT:,} characters")
        return _Reduced().front(yaml.safe_load(text))
    except (CheckpointError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
    except (ValueError, LookupError, AttributeError):
        # What PyYAML lets out where a value is not what its tag says, as in `!!bool maybe`.
        reason = "one of its values makes no sense"
    card.notices.append(f"the model card `{path}` cannot be read and is left out: {reason}")
    return {}


class _Reduced:
    """YAML as texts, lists of them and objects of them; a number or a date becomes text, what is deeper is dropped.

    Aliases may make gigabytes of a small file, so all texts together have a limit; CheckpointError beyond it.
    """

    def __init__(self) -> None:
        self._left = _CARD_LIMIT

    def front(self, loaded: Any) -> JsonObject:
        """The values by key, if it is an object."""
        front = cast(dict[Any, Any], loaded) if isinstance(loaded, dict) else {}
        return {
            key: self._value(value)
            for key, value in front.items()
            if isinstance(key, str) and value is not None
        }

    def _value(self, value: Any) -> str | list[Any] | dict[str, str]:
        if isinstance(value, list):
            kept = (one for one in cast(list[Any], value) if one is not None and not isinstance(one, _DEEP))
            return [
                self._object(cast(Any, one)) if isinstance(one, dict) else self._text(one) for one in kept
            ]
        if isinstance(value, dict):
            return self._object(cast(dict[Any, Any], value))
        return "" if isinstance(value, _DEEP) else self._text(value)

    def _object(self, value: dict[Any, Any]) -> dict[str, str]:
        items = value.items()
        return {self._text(key): self._text(one) for key, one in items if not isinstance(one, (*_DEEP, dict))}

    def _text(self, value: Any) -> str:
        text = str(value)
        self._left -= len(text) + 1
        if self._left < 0:
            raise CheckpointError("it is too long when its aliases are followed")
        return text


def _texts(value: Any) -> list[str]:
    """What is text in a value of a model card, which may be one, a list of them, or anything."""
    values = cast(list[Any], value) if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _add_related(entries: Entries, prefix: str, related: list[JsonObject] | None) -> None:
    """Numbered entries of the models or data sets that this one was made from."""
    if related is None:
        return
    entries.u32(f"{prefix}.count", len(related))
    for number, one in enumerate(related):
        for key in _RELATED_KEYS:
            if key in one:
                entries.text(f"{prefix}.{number}.{key}", one[key])
