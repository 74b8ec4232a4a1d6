"""How a person names a model, parsed once.

The grammar, tried in this order::

    demo                                            the built-in demo model
    PATH                                            has a separator and exists, begins with `.`, `/` or `~`,
                                                    or ends in .gguf
    http://… https://…                              a file at a URL; pages of hubs are taken for their models
    SIZE[-base|-instruct-2507|…][:QUANT]            a member of the family, as catalog.py lists them
    qwen3:SIZE[-QUANT]  qwen3-coder[:SIZE[-QUANT]]  the same as Ollama writes it, where that leaves no choice
    [hf://|hf.co/|huggingface.co/]OWNER/REPO[:QUANT|:FILE]      on Hugging Face
    (ms://|modelscope.cn/|modelscope.cn/models/)OWNER/REPO[:…]  on ModelScope
    kaggle://OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION][:…]      on Kaggle
    ollama://NAME[:TAG]                             what Ollama has on this machine
    NAME                                            a model in the store

A name in the store wins over the family. QUANT is a quantization such as `q4_k_m`, in any case; FILE is the name
of a file in the repository.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from qwen3cli.models import catalog

DEMO = "demo"
Kind = Literal[
    "demo", "path", "url", "family", "hf", "modelscope", "kaggle", "ollama", "name", "unknown", "words"
]
SourceChoice = Literal["auto", "hf", "modelscope"]
"""Which hub is asked for what several have."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Windows keeps these, with any suffix, for devices."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_REFERENCE_LIKE = re.compile(r"[A-Za-z0-9._~:/\\@+-]+")
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_REPOSITORY = re.compile(rf"({_PART}/{_PART})(?::(.+))?")
_HANDLE = re.compile(rf"({_PART}/{_PART}/{_PART}/{_PART}(?:/\d{{1,9}})?)(?::(.+))?")
_OLLAMA = re.compile(rf"((?:{_PART}/){{0,3}}{_PART}(?::{_PART})?)()")
_OLLAMA_FAMILY = {"qwen3": "", "qwen3-coder": "coder-"}
"""What Ollama calls the family, and how the short names of its members begin."""
_OLLAMA_SIZES = {"30b": "30b-a3b", "235b": "235b-a22b"}
"""Sizes that Ollama writes without the active part."""
_LATEST = "latest"
"""What Ollama takes for a tag where there is none."""
_RELEASE = "-2507"
"""What Ollama may leave out: of these kinds the family has no other release."""
_QUANTIZATION = re.compile(r"(?:i?q[1-8]|tq[12])(?:_[0-9a-z]+)*|b?f16|f32|fp(?:16|32)|mxfp4", re.IGNORECASE)
_PREFIXES: tuple[tuple[str, Kind], ...] = (
    ("hf://", "hf"),
    ("hf.co/", "hf"),
    ("huggingface.co/", "hf"),
    ("ms://", "modelscope"),
    ("modelscope.cn/models/", "modelscope"),
    ("modelscope.cn/", "modelscope"),
    ("kaggle://", "kaggle"),
    ("ollama://", "ollama"),
)
_PAGE = re.compile(r"/(?:blob|resolve|file/view)/[^/]+/(.+)")
"""Where a hub's page, or the file behind it, names a file after the revision."""


@dataclass(frozen=True)
class ModelRef:
    """A parsed reference.

    `place` is what the form is about: the member's name, the repository or handle, the URL; `wanted` what stands
    after the colon, a quantization or a file. Both are empty where the form has none.
    """

    kind: Kind
    text: str
    place: str = ""
    wanted: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Parse `text`; never fails: what cannot name a model is of kind "words"."""
        if text.lower() == DEMO:
            return cls("demo", DEMO)
        if text.lower().startswith(("http://", "https://")):
            return _of_url(text)
        if _is_path(text):
            return cls("path", text)
        if not _REFERENCE_LIKE.fullmatch(text):
            return cls("words", text)
        return _in_family(text) or _on_hub(text) or cls("name" if is_name(text) else "unknown", text)

    @property
    def is_remote(self) -> bool:
        """Whether a hub or a server has it."""
        return self.kind in ("url", "family", "hf", "modelscope", "kaggle")

    @property
    def ollamas(self) -> str:
        """What Ollama calls it, with its tag; "" for what is not in Ollama's words."""
        name = self.place if self.kind == "ollama" else self.text
        if self.kind != "ollama" and name.partition(":")[0].lower() not in _OLLAMA_FAMILY:
            return ""
        return name if ":" in name.rpartition("/")[2] else f"{name}:{_LATEST}"


def _in_family(text: str) -> ModelRef | None:
    if "/" in text.partition(":")[0]:
        return None
    short, colon, wanted = text.partition(":")
    member = catalog.find(short)
    if member is None and short.lower() in _OLLAMA_FAMILY:
        tag = wanted if colon else _LATEST
        member, wanted = _in_ollamas_words(_OLLAMA_FAMILY[short.lower()], tag)
    return ModelRef("family", text, member.name, wanted) if member else None


def _in_ollamas_words(beginning: str, tag: str) -> tuple[catalog.Member | None, str]:
    """The member and the quantization of a tag of Ollama's, where one may follow the size after a dash."""
    if tag.lower() == _LATEST:
        # Which size that is, Ollama may change any day.
        members = _members(beginning)
        return (members[0], "") if len(members) == 1 else (None, "")
    size, dash, rest = tag.partition("-")
    active = _OLLAMA_SIZES.get(size.lower(), size)
    for full in (size, active):
        plain = f"{beginning}{full}{dash}{rest}"
        quantization = plain.rpartition("-")[2]
        if _QUANTIZATION.fullmatch(quantization):
            plain = plain[: -len(quantization) - 1]
        else:
            quantization = ""
        member = catalog.FAMILY.get(plain.lower()) or catalog.FAMILY.get(f"{plain.lower()}{_RELEASE}")
        if member is not None:
            return member, quantization
    return None, ""


def _members(beginning: str) -> list[catalog.Member]:
    """The members that Ollama has under the name whose members' short names begin so."""
    beginnings = sorted(_OLLAMA_FAMILY.values(), key=len, reverse=True)
    named = {name: next(b for b in beginnings if name.startswith(b)) for name in catalog.FAMILY}
    return [catalog.FAMILY[name] for name, known in named.items() if known == beginning]


def candidates(text: str) -> str:
    """What to name instead of a name in Ollama's words that leaves a choice; "" for any other text."""
    family, _, tag = text.lower().partition(":")
    beginning = _OLLAMA_FAMILY.get(family)
    if beginning is None:
        return ""
    members = _members(beginning)
    size = tag.partition("-")[0]
    full = f"{beginning}{_OLLAMA_SIZES.get(size, size)}"
    of_size = [member for member in members if f"{member.name}-".startswith(f"{full}-")]
    plain = [member for member in members if not (member.base or member.sibling)]
    return "the family has " + ", ".join(f"`{member.name}`" for member in of_size or plain or members)


def _on_hub(text: str) -> ModelRef | None:
    for prefix, kind in _PREFIXES:
        if text.lower().startswith(prefix):
            return _in_form(kind, text, text[len(prefix) :])
    return _in_form("hf", text, text) if "/" in text else None


def _in_form(kind: Kind, text: str, rest: str) -> ModelRef:
    form = {"kaggle": _HANDLE, "ollama": _OLLAMA}.get(kind, _REPOSITORY)
    match = form.fullmatch(rest)
    if match is None or ".." in match[1]:
        return ModelRef("unknown", text)
    return ModelRef(kind, text, match[1], match[2] or "")


def _of_url(text: str) -> ModelRef:
    """A URL; of a page of a hub, the model that it shows, so that the hub's checksums are there."""
    try:
        address = urlsplit(text)
        host = (address.hostname or "").removeprefix("www.")
        _ = address.port  # Only looked at does it show that it is none.
    except ValueError:
        return ModelRef("unknown", text)
    if not host or not text.isprintable():
        return ModelRef("unknown", text)
    if host not in ("huggingface.co", "hf.co", "modelscope.cn"):
        return ModelRef("url", text, text)
    kind: Kind = "modelscope" if host == "modelscope.cn" else "hf"
    path = unquote(address.path)
    page = _PAGE.search(path)
    plain = path[: page.start()] if page else path
    place = "/".join(plain.removeprefix("/models").strip("/").split("/")[:2])
    return _in_form(kind, text, f"{place}:{page[1]}" if page else place)


def without_secrets(url: str) -> str:
    """The URL without user, query and fragment."""
    plain = re.sub(r"^([a-zA-Z]+://)?[^/?#]*@", r"\1", url)
    return re.split(r"[?#]", plain, maxsplit=1)[0]


def is_name(text: str) -> bool:
    """Whether `text` may name a model in the store: safe as a folder name on every system, and no path."""
    return not rule_for(text)


def rule_for(name: str) -> str:
    """What to do where `name` cannot be the name of a model in the store; "" where it can."""
    if not _NAME.fullmatch(name):
        return "use up to 96 letters, digits, `.`, `_` and `-`, a letter or digit first"
    if device := _DEVICE.match(name):
        return f"Windows reserves `{device[1]}`, with any ending, for a device: choose another name"
    if name.lower().endswith((".", ".gguf")):
        return "choose one that ends neither in `.`, which Windows drops, nor in `.gguf`, which names a file"
    return ""


def _is_path(text: str) -> bool:
    separated = "/" in text or os.sep in text or text in (".", "..")
    if separated and (text.startswith((".", "/", "~")) or exists(text)):
        return True
    # `owner/repo:file.gguf` names a file of a hub; `C:\file.gguf` does not.
    named = text.lower().endswith(".gguf")
    return named and (":" not in text or _DRIVE.match(text) is not None or exists(text))


def exists(text: str) -> bool:
    """Whether there is a file or folder of that path."""
    try:
        return Path(text).exists()
    except OSError:  # Too long for a path, or in a folder that may not be read.
        return False


def is_folder(text: str) -> bool:
    """Whether there is a folder of that path, which may begin with `~`."""
    try:
        return Path(text).expanduser().is_dir()
    except (OSError, RuntimeError):  # As above, or there is no such user.
        return False
