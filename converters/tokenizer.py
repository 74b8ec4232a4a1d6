"""tokenizer.json and its companions → the tokenizer's metadata in GGUF, with llama.cpp's converter's values.

Which token is special is spread over several files; the precedence is that of `gguf.SpecialVocab` and of
transformers: tokenizer.json, then tokenizer_config.json, then config.json. The pre-tokenizer is known by its
pattern, not by a hash of what it does to a sample, so any vocabulary will do. Knows nothing of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from converters.checkpoint import Config
from converters.documents import JsonObject, read_object, read_optional_object
from converters.entries import Entries
from converters.errors import CheckpointError
from converters.ggml import TokenType
from converters.templates import add_chat_template

QWEN2_PATTERN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What splits text before merging, since Qwen2; llama.cpp calls it `qwen2`."""

_SPECIAL_ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_WRITTEN_IDS: Final = {
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "unk": "tokenizer.ggml.unknown_token_id",
    "sep": "tokenizer.ggml.seperator_token_id",  # llama.cpp's spelling
    "pad": "tokenizer.ggml.padding_token_id",
    "mask": "tokenizer.ggml.mask_token_id",
}
_WRITTEN_FLAGS: Final = {
    "bos": "tokenizer.ggml.add_bos_token",
    "eos": "tokenizer.ggml.add_eos_token",
    "sep": "tokenizer.ggml.add_sep_token",
}
_OTHER_MODEL: Final = "the tokenizer and the weights belong to different models"
# Control tokens that some models fail to mark as special (`does_token_look_special`).
_CONTROL_TEXTS: Final = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
_CONTROL_FRAMES: Final = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))
_LONGEST_VOCABULARY: Final = 4_000_000
_MOST_UNUSED: Final = 1 << 18
"""Ids without a token, beside as many as there are with one: Qwen3 has 267, to divide its embeddings evenly."""


@dataclass(slots=True)
class _Vocabulary:
    tokens: list[str] = field(default_factory=list[str])
    types: list[int] = field(default_factory=list[int])


def tokenizer_entries(folder: Path, config: Config) -> Entries:
    """All `tokenizer.*` keys of the checkpoint in `folder`, in llama.cpp's order."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        hint = "download it, or write it with `AutoTokenizer.from_pretrained(...).save_pretrained(...)`"
        raise CheckpointError(f"`{folder}` has no tokenizer.json", hint=hint)
    tokenizer = read_object(path)
    settings = read_optional_object(folder / "tokenizer_config.json")
    _check_kind(tokenizer, path)
    added = _added_tokens(tokenizer, settings, path)
    size = config.integer("vocab_size", most=_LONGEST_VOCABULARY)
    vocabulary = _vocabulary(tokenizer, settings, added, size, path)
    entries = Entries()
    entries.text("tokenizer.ggml.model", "gpt2")
    entries.text("tokenizer.ggml.pre", "qwen2")
    entries.texts("tokenizer.ggml.tokens", vocabulary.tokens)
    entries.i32s("tokenizer.ggml.token_type", vocabulary.types)
    entries.texts("tokenizer.ggml.merges", _merges(tokenizer, folder))
    for role, number in _special_ids(settings, _own_added(tokenizer, path), config, size).items():
        if role in _WRITTEN_IDS:
            entries.u32(_WRITTEN_IDS[role], number)
    for role, flag in _added_around(tokenizer, settings, path).items():
        if role in _WRITTEN_FLAGS:
            entries.flag(_WRITTEN_FLAGS[role], flag)
    add_chat_template(entries, folder, settings)
    return entries


def _check_kind(tokenizer: JsonObject, path: Path) -> None:
    """Refuses every tokenizer that llama.cpp's `gpt2` model with `qwen2` splitting would not reproduce."""
    model = tokenizer.get("model")
    kind = cast(JsonObject, model).get("type") if isinstance(model, dict) else None
    if kind not in ("BPE", None) or not isinstance(model, dict):
        raise CheckpointError(f"`{path}` is a {str(kind)[:40]} tokenizer, and only byte-level BPE is known")
    patterns = [step.get("pattern") for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    if {"Regex": QWEN2_PATTERN} not in patterns:
        hint = "only the pattern of Qwen2 and Qwen3 is known"
        raise CheckpointError(f"`{path}` splits text in an unknown way (`pre_tokenizer`)", hint=hint)
    for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        plain = step.get("type") == "ByteLevel" and not step.get("add_prefix_space")
        if not plain and not (step.get("type") == "Split" and step.get("behavior") == "Isolated"):
            raise CheckpointError(f"`{path}` has an unknown pre-tokenizer `{str(step.get('type'))[:40]}`")
    for step in _steps(tokenizer.get("normalizer"), "normalizers"):
        if step.get("type") != "NFC":
            raise CheckpointError(f"`{path}` has an unknown normalizer `{str(step.get('type'))[:40]}`")


def _steps(value: Any, inner: str) -> Iterator[JsonObject]:
    """The steps of a pipeline of tokenizer.json, whether it is one step, a sequence or nothing."""
    if isinstance(value, dict):
        step = cast(JsonObject, value)
        listed = step.get(inner)
        if isinstance(listed, list):
            yield from (cast(JsonObject, one) for one in cast(list[Any], listed) if isinstance(one, dict))
        else:
            yield step


def _own_added(tokenizer: JsonObject, path: Path) -> list[JsonObject]:
    """tokenizer.json's `added_tokens`, each with an id and a content."""
    listed: Any = tokenizer.get("added_tokens") or []
    if not isinstance(listed, list):
        raise CheckpointError(f"`added_tokens` of `{path}` is not a list")
    added: list[JsonObject] = []
    for one in cast(list[Any], listed):
        if not isinstance(one, dict):
            raise CheckpointError(f"`added_tokens` of `{path}` holds something that is no token")
        token = cast(JsonObject, one)
        if not _is_id(token.get("id")) or not isinstance(token.get("content"), str):
            raise CheckpointError(f"`added_tokens` of `{path}` holds a token without id or content")
        added.append(token)
    return added


def _added_tokens(tokenizer: JsonObject, settings: JsonObject, path: Path) -> dict[str, JsonObject]:
    """All added tokens by content; tokenizer_config.json may add some that tokenizer.json lacks."""
    added = {str(token["content"]): token for token in _own_added(tokenizer, path)}
    further = settings.get("added_tokens_decoder")
    if isinstance(further, dict):
        for number, value in cast(dict[str, Any], further).items():
            token = cast(JsonObject, value) if isinstance(value, dict) else {}
            content = token.get("content")
            if isinstance(content, str) and content not in added and number.isascii() and number.isdigit():
                added[content] = {**token, "id": int(number[:9])}
    return added


def _vocabulary(
    tokenizer: JsonObject, settings: JsonObject, added: dict[str, JsonObject], size: int, path: Path
) -> _Vocabulary:
    """`size` tokens with their types; ids that nothing names become `[PAD<id>]`."""
    by_id = _texts_by_id(tokenizer, added, size, path)
    special = _special_texts(settings)
    vocabulary = _Vocabulary()
    for number in range(size):
        text = by_id.get(number)
        vocabulary.tokens.append(_pad(number) if text is None else _stored(text, added, special))
        vocabulary.types.append(_type_of(text, added, special))
    return vocabulary


def _texts_by_id(
    tokenizer: JsonObject, added: dict[str, JsonObject], size: int, path: Path
) -> dict[int, str]:
    """What tokenizer.json and the added tokens name, each id and each text once."""
    by_id: dict[int, str] = {}
    ids = _ids(tokenizer, added, path)
    if size > 2 * len(ids) + _MOST_UNUSED:
        message = f"`{path}` has {len(ids):,} tokens, and config.json says `vocab_size` {size}"
        raise CheckpointError(message, hint=_OTHER_MODEL)
    for text, number in ids.items():
        if not _is_id(number):
            raise CheckpointError(f"`{path}` gives token `{text[:40]}` the id {_cut(number)}")
        if number >= size:
            message = f"`{path}` has a token with id {_cut(number)}, and config.json says `vocab_size` {size}"
            raise CheckpointError(message, hint=_OTHER_MODEL)
        if by_id.setdefault(number, text) != text:
            both = f"`{by_id[number][:40]}` and `{text[:40]}`"
            raise CheckpointError(f"`{path}` gives the id {number} to {both}")
    for number in set(range(size)) - by_id.keys():
        if ids.get(_pad(number), number) != number:
            message = f"`{path}` has a token `{_pad(number)}`, which names the unused id {number}"
            raise CheckpointError(message)
    return by_id


def _ids(tokenizer: JsonObject, added: dict[str, JsonObject], path: Path) -> dict[str, Any]:
    """Text → id, of the vocabulary and the added tokens."""
    listed = cast(JsonObject, tokenizer["model"]).get("vocab")
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(f"`{path}` has no vocabulary")
    ids = dict(cast(dict[str, Any], listed))
    for text, token in added.items():
        if ids.setdefault(text, token["id"]) != token["id"]:
            raise CheckpointError(f"`{path}` gives token `{text[:40]}` two ids")
    return ids


def _pad(number: int) -> str:
    """The name of an id without a token, as llama.cpp's converter gives it."""
    return f"[PAD{number}]"


def _type_of(text: str | None, added: dict[str, JsonObject], special: set[str]) -> TokenType:
    if text is None:
        return TokenType.UNUSED
    if text not in added:
        return TokenType.NORMAL
    looks = text in _CONTROL_TEXTS or any(
        text.startswith(begin) and text.endswith(end) for begin, end in _CONTROL_FRAMES
    )
    if looks or text in special or added[text].get("special") is True:
        return TokenType.CONTROL
    return TokenType.USER_DEFINED


def _stored(text: str, added: dict[str, JsonObject], special: set[str]) -> str:
    """User-defined tokens are stored with plain spaces, as llama.cpp matches them in raw text."""
    kind = _type_of(text, added, special)
    return text.replace("\u2581", " ") if kind is TokenType.USER_DEFINED else text


def _special_texts(settings: JsonObject) -> set[str]:
    """Contents that tokenizer_config.json gives a role: transformers makes each of them special."""
    values: list[Any] = [settings.get(f"{role}_token") for role in _SPECIAL_ROLES]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        further = settings.get(key)
        if isinstance(further, dict):
            values += cast(JsonObject, further).values()
        elif isinstance(further, list):
            values += cast(list[Any], further)
    return {text for text in map(_content, values) if text is not None}


def _content(value: Any) -> str | None:
    """A token's text, given as text or as an object."""
    if isinstance(value, dict):
        value = cast(JsonObject, value).get("content")
    return value if isinstance(value, str) else None


def _merges(tokenizer: JsonObject, folder: Path) -> list[str]:
    """The merges as `left right`, from either form that tokenizer.json may have."""
    path = folder / "tokenizer.json"
    listed = cast(JsonObject, tokenizer["model"]).get("merges")
    if not isinstance(listed, list) or not listed:
        raise CheckpointError(f"`{path}` has no merges")
    merges: list[str] = []
    for merge in cast(list[Any], listed):
        if isinstance(merge, list):
            # A space inside of a part is written as byte-level BPE writes it.
            merge = " ".join(str(part).replace(" ", "\u0120") for part in cast(list[Any], merge))
        if not isinstance(merge, str) or merge.count(" ") != 1:
            raise CheckpointError(f"`{path}` has a merge that is no pair")
        merges.append(merge)
    return merges


def _special_ids(settings: JsonObject, added: list[JsonObject], config: Config, size: int) -> dict[str, int]:
    """Role → id, in the order in which llama.cpp's converter finds them."""
    texts = {role: settings.get(f"{role}_token") for role in _SPECIAL_ROLES}
    texts["bos"] = texts["bos"] or texts["cls"]
    texts["eos"] = texts["eos"] or texts["sep"]
    found: dict[str, int] = {}
    for role, value in texts.items():
        content = _content(value)
        number = next((token["id"] for token in added if token["content"] == content), None)
        if number is not None:
            found[role] = number
    for role in _SPECIAL_ROLES:
        number = config.values.get(f"{role}_token_id")
        if number is not None and _is_id(number):
            found.setdefault(role, number)
    for role, number in found.items():
        if number >= size:
            raise CheckpointError(
                f"`{config.path}` has `{role}_token_id` {_cut(number)}, outside of the vocabulary"
            )
    return found


def _added_around(tokenizer: JsonObject, settings: JsonObject, path: Path) -> dict[str, bool]:
    """Whether a token is put before or after every text; tokenizer.json outranks tokenizer_config.json."""
    flags: dict[str, bool] = {}
    for step in _steps(tokenizer.get("post_processor"), "processors"):
        if step.get("type") != "ByteLevel":
            raise CheckpointError(f"`{path}` has an unknown post-processor `{str(step.get('type'))[:40]}`")
        flags.setdefault("bos", False)
        flags.setdefault("eos", False)
    for role in _SPECIAL_ROLES:
        flag = settings.get(f"add_{role}_token")
        if isinstance(flag, bool):
            flags.setdefault(role, flag)
    return flags


def _cut(value: Any) -> str:
    """For messages: hostile files hold numbers of thousands of digits."""
    return str(value)[:40]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
