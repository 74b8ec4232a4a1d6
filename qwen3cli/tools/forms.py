"""What a server wants to know, field by field: its schema is read once, and each answer is checked against it.

The schemas are those that MCP allows for elicitation: an object of texts, numbers, yes or no, and choices.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

_KINDS: Final = ("string", "number", "integer", "boolean", "array")
_MOST: Final = 100
_LONGEST: Final = 10_000
"""Characters of a message, or of what one field shows: who has more to say drives the rest out of sight."""
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_WORDS: Final = {
    **dict.fromkeys(("y", "yes", "true", "是"), True),
    **dict.fromkeys(("n", "no", "false", "否"), False),
}
_BOUNDS: Final = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
}
_COUNTED: Final = {"string": " characters", "array": " of them"}


class BadForm(ValueError):
    """Nobody can be asked this; the message is a clause whose subject is the form."""


class Unfit(ValueError):
    """An answer does not fit; the message says what would."""


@dataclass(frozen=True)
class Choice:
    """One of the values that can be chosen, and what it is called."""

    value: Any
    title: str

    @property
    def shown(self) -> str:
        """The title, with the value where that is another."""
        value = str(self.value)
        return value if value == self.title else f"{self.title} = {value}"


@dataclass(frozen=True)
class FormField:
    """One thing to be asked; `low` and `high` bound a number, the length of a text, or how many are chosen."""

    name: str
    title: str
    kind: str
    needed: bool
    choices: tuple[Choice, ...] = ()
    low: float | None = None
    high: float | None = None
    form: str = ""
    default: Any = None

    def value(self, text: str) -> Any:
        """The answer that a text is; raises `Unfit`."""
        if self.kind == "array":
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return self._bounded([self._chosen(part) for part in parts], len(parts))
        if self.choices:
            return self._chosen(text)
        if self.kind == "boolean":
            if text.lower() not in _WORDS:
                raise Unfit("yes or no")
            return _WORDS[text.lower()]
        if self.kind in ("integer", "number"):
            number = _number(text, self.kind)
            return self._bounded(number, number)
        if not text or not _has_form(text, self.form):
            raise Unfit(f"a text of the form {self.form}" if self.form else "a text")
        return self._bounded(text, len(text))

    def _chosen(self, text: str) -> Any:
        if not self.choices:
            return text
        # A title that looks like the value of another choice means that other one.
        titles = {one.title: one.value for one in reversed(self.choices)}
        known = titles | {str(one.value): one.value for one in reversed(self.choices)}
        if text in known:
            return known[text]
        raise Unfit(f"one of: {', '.join(one.shown for one in self.choices)}")

    def _bounded(self, value: Any, size: float) -> Any:
        what = _COUNTED.get(self.kind, "")
        if self.low is not None and size < self.low:
            raise Unfit(f"at least {self.low:g}{what}")
        if self.high is not None and size > self.high:
            raise Unfit(f"at most {self.high:g}{what}")
        return value


def sound_message(text: str) -> None:
    """Raise `BadForm` for a message that nobody would read."""
    if len(text) > _LONGEST:
        raise BadForm(f"its message has {len(text):,} characters")


def fields_of(schema: Mapping[str, Any]) -> list[FormField]:
    """The fields of a form; raises `BadForm`."""
    properties = _object(schema.get("properties", {}), "its properties are")
    if len(properties) > _MOST:
        raise BadForm(f"it has {len(properties)} fields")
    required = _list(schema.get("required") or [], "its required fields")
    if not all(isinstance(one, str) for one in required):
        raise BadForm("its required fields are no names")
    return [
        _field(name, _object(one, f"its field {name!a} is"), name in required)
        for name, one in properties.items()
    ]


def _field(name: str, field: Mapping[str, Any], needed: bool) -> FormField:
    kind = field.get("type", "string")
    if kind not in _KINDS:
        raise BadForm(f"its field {name!a} has a type that nobody can be asked for")
    inner = _object(field.get("items", {}), f"the items of its field {name!a} are")
    low, high = (_bound(field, key, name) for key in _BOUNDS.get(kind, ("", "")))
    title = next(
        (one for key in ("title", "description") if isinstance(one := field.get(key), str) and one), name
    )
    form = field.get("format")
    made = FormField(
        name,
        title,
        kind,
        needed,
        _choices(inner if kind == "array" else field, name),
        low,
        high,
        form if isinstance(form, str) and form in _FORMS else "",
    )
    if len(title) + sum(len(one.shown) for one in made.choices) > _LONGEST:
        raise BadForm(f"its field {name[:80]!a} has more than {_LONGEST:,} characters")
    return replace(made, default=_default(made, field.get("default")))


def _choices(field: Mapping[str, Any], name: str) -> tuple[Choice, ...]:
    if "enum" in field:
        values = _list(field["enum"], f"the choices of its field {name!a}")
        names = field.get("enumNames")
        titles: Sequence[Any] = cast("list[Any]", names) if isinstance(names, list) else values
        if len(titles) != len(values):
            titles = values
        return tuple(_choice(value, title, name) for value, title in zip(values, titles, strict=True))
    for key in ("oneOf", "anyOf"):
        if key in field:
            many = _list(field[key], f"the choices of its field {name!a}")
            each = [_object(one, f"a choice of its field {name!a} is") for one in many]
            return tuple(_choice(one.get("const"), one.get("title", one.get("const")), name) for one in each)
    return ()


def _choice(value: object, title: object, name: str) -> Choice:
    if value is None or not isinstance(value, (str, int, float)):
        raise BadForm(f"a choice of its field {name!a} is no text and no number")
    return Choice(value, title if isinstance(title, str) else str(value))


def _default(field: FormField, value: object) -> Any:
    """What a bare Enter gives: the default if it is one of the answers that fit."""
    if value is None:
        return None
    many = cast("list[object]", value) if isinstance(value, list) else [value]
    try:
        fitting = field.value(",".join(map(str, many)))
    except Unfit:
        return None
    return fitting if fitting == value else None


def _number(text: str, kind: str) -> float:
    try:
        number = int(text) if kind == "integer" else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unfit("a whole number" if kind == "integer" else "a number")
    return number


def _is_date(text: str) -> bool:
    date.fromisoformat(text)
    return True


def _is_moment(text: str) -> bool:
    datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    return "T" in text.upper()


def _is_email(text: str) -> bool:
    return bool(_EMAIL.fullmatch(text))


def _is_uri(text: str) -> bool:
    return bool(urlsplit(text).scheme) and " " not in text


_FORMS: Final = {"date": _is_date, "date-time": _is_moment, "email": _is_email, "uri": _is_uri}


def _has_form(text: str, form: str) -> bool:
    try:
        return form not in _FORMS or _FORMS[form](text)
    except ValueError:
        return False


def _bound(field: Mapping[str, Any], key: str, name: str) -> float | None:
    value = field.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadForm(f"the `{key}` of its field {name!a} is no number")
    # Not for numbers that are none, and those that no float can hold.
    if not abs(value) <= sys.float_info.max:
        raise BadForm(f"the `{key}` of its field {name!a} is no number that anybody would answer")
    return value


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadForm(f"{what} no object")
    return cast("dict[str, Any]", value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadForm(f"{what} are no list")
    return cast("list[Any]", value)
