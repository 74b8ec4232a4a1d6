"""The chat template of a checkpoint, or several by name → GGUF metadata.

Three files may hold it. Precedence as in llama.cpp's converter: tokenizer_config.json, then
chat_template.jinja (with additional_chat_templates/), then chat_template.json. Never renders one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

from converters.documents import JsonObject, read_object, read_text
from converters.entries import Entries
from converters.errors import CheckpointError

_LONGEST_NAME: Final = 200
"""It becomes part of a metadata key, which has a limit of its own."""


def add_chat_template(entries: Entries, folder: Path, settings: JsonObject) -> None:
    """Adds the template of the checkpoint in `folder`; `settings` is its tokenizer_config.json."""
    template = settings["chat_template"] if "chat_template" in settings else _from_files(folder)
    if template is None:
        return
    if isinstance(template, str):
        entries.text("tokenizer.chat_template", template)
        return
    named = _named(template, folder)
    default = named.pop("default", None)
    for name, text in named.items():
        entries.text(f"tokenizer.chat_template.{name}", text)
    entries.texts("tokenizer.chat_templates", list(named))
    if default is not None:
        entries.text("tokenizer.chat_template", default)


def _from_files(folder: Path) -> Any:
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        further = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        default = read_text(jinja)
        if not further:
            return default
        listed = [{"name": "default", "template": default}]
        return listed + [{"name": path.stem, "template": read_text(path)} for path in further]
    older = folder / "chat_template.json"
    return read_object(older).get("chat_template") if older.is_file() else None


def _named(template: Any, folder: Path) -> dict[str, str]:
    """Name → template, of the list form; names keep letters and digits only."""
    named: dict[str, str] = {}
    for item in cast(list[Any], template if isinstance(template, list) else [template]):
        entry = cast(JsonObject, item) if isinstance(item, dict) else {}
        name, text = entry.get("name"), entry.get("template")
        if not isinstance(name, str) or not name or not isinstance(text, str):
            raise CheckpointError(f"`{folder}` has a chat template that is neither text nor a named text")
        if len(name) > _LONGEST_NAME:
            message = f"`{folder}` has a chat template with a name of {len(name):,} letters"
            raise CheckpointError(message, hint=f"shorten it to {_LONGEST_NAME}")
        named[re.sub("[^A-Za-z0-9]", "_", name)] = text
    return named
