"""What a GGUF file says about itself for people: its chat template, its license, its sampling defaults."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.models.facts import checked_header

_SAMPLING = "general.sampling."
_KINDS = (
    ("<|im_start|>", "ChatML"),
    ("<|start_header_id|>", "Llama 3"),
    ("<start_of_turn>", "Gemma"),
    ("[INST]", "Mistral"),
)
"""What marks a turn, and what templates that write it are called."""


@dataclass(frozen=True)
class Template:
    """A chat template: the markup it writes, and whether it takes tools."""

    source: str

    @property
    def kind(self) -> str:
        """The name of its markup."""
        return next((name for mark, name in _KINDS if mark in self.source), "markup of its own")

    @property
    def takes_tools(self) -> bool:
        """Whether it looks at tools."""
        return "tools" in self.source

    @property
    def sha256(self) -> str:
        """What tells it from others of its kind."""
        return hashlib.sha256(self.source.encode()).hexdigest()


@dataclass(frozen=True)
class Details:
    """`template` is None without one; `sampling` by llama.cpp's names, such as `temp` and `top_k`."""

    template: Template | None
    license: str
    sampling: Mapping[str, int | float | bool | str]


def read_details(path: Path) -> Details:
    """Read them from the header of `path`; raises `InvalidFile`."""
    header = checked_header(path)
    template = header.chat_template
    sampling = {
        key.removeprefix(_SAMPLING): _plain(value)
        for key, value in header.metadata.items()
        if key.startswith(_SAMPLING)
    }
    license = header.text("general.license.name") or header.text("general.license") or ""
    return Details(Template(template) if template else None, license, sampling)


def _plain(value: int | float | bool | str) -> int | float | bool | str:
    """A number as it was before it became one of 32 bits: 0.6, not 0.6000000238418579; text for what is none."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value
