"""Equality as JSON Schema has it: 1 and 1.0 are one value, 1 and true are two."""

from __future__ import annotations

import json
from typing import Any, cast


def identity(value: Any) -> str:
    """A text that equal values share and others do not, so that thousands are told apart in one pass."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in cast("dict[str, Any]", value).items()}
    return [_plain(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value
