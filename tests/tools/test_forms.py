"""Forms of servers: what is read of their schemas, which answers fit, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from qwen3cli.tools.forms import BadForm, FormField, Unfit, fields_of, sound_message


def field(**schema: Any) -> FormField:
    (found,) = fields_of({"type": "object", "properties": {"a": schema}})
    return found


NONSENSE: list[Any] = [
    {"properties": {"a": "x"}},
    {"properties": ["a"]},
    {"properties": {"a": {"type": "object"}}},
    {"properties": {"a": {"type": ["string", "null"]}}},
    {"properties": {"a": {"type": "string", "enum": 5}}},
    {"properties": {"a": {"type": "string", "enum": [{}]}}},
    {"properties": {"a": {"type": "string", "enum": [None]}}},
    {"properties": {"a": {"type": "string", "oneOf": "x"}}},
    {"properties": {"a": {"type": "string", "oneOf": ["x"]}}},
    {"properties": {"a": {"type": "string", "oneOf": [{"title": "x"}]}}},
    {"properties": {"a": {"type": "array", "items": 5}}},
    {"properties": {"a": {"type": "array", "items": {"anyOf": 5}}}},
    {"properties": {"a": {"type": "integer", "minimum": "x"}}},
    {"properties": {"a": {"type": "integer", "minimum": 10**400}}},
    {"properties": {"a": {"type": "number", "maximum": float("nan")}}},
    {"properties": {"a": {"title": "x" * 10_001}}},
    {"properties": {"a": {"enum": ["x" * 9] * 2000}}},
    {"properties": {}, "required": 5},
    {"properties": {}, "required": [5]},
    {"properties": {str(number): {} for number in range(101)}},
]


@pytest.mark.parametrize("schema", NONSENSE)
def test_nonsense_is_no_form(schema: dict[str, Any]) -> None:
    with pytest.raises(BadForm):
        fields_of(schema)


def test_a_message_that_nobody_would_read_is_none() -> None:
    sound_message("x" * 10_000)
    with pytest.raises(BadForm, match="10,001 characters"):
        sound_message("x" * 10_001)


TITLED = [{"const": "r", "title": "Red"}, {"const": "b", "title": "Blue"}]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "x y", "x y"),
        ({}, "x", "x"),
        ({"type": "integer", "minimum": 3}, "3", 3),
        ({"type": "number", "maximum": 3}, "2.5", 2.5),
        ({"type": "integer", "maximum": 9007199254740991}, "7", 7),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "string", "enum": ["x", "y"]}, "y", "y"),
        ({"type": "integer", "enum": [1, 2]}, "2", 2),
        ({"type": "string", "enum": ["r"], "enumNames": ["Red"]}, "Red", "r"),
        ({"type": "string", "oneOf": TITLED}, "Blue", "b"),
        ({"type": "string", "oneOf": TITLED}, "r", "r"),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, "x, y", ["x", "y"]),
        ({"type": "array", "items": {"anyOf": TITLED}, "minItems": 1}, "Red", ["r"]),
        ({"type": "string", "format": "email"}, "a@b.c", "a@b.c"),
        ({"type": "string", "format": "uri"}, "https://x.org", "https://x.org"),
        ({"type": "string", "format": "date"}, "2026-02-28", "2026-02-28"),
        ({"type": "string", "format": "date-time"}, "2026-02-28T10:00:00Z", "2026-02-28T10:00:00Z"),
        ({"type": "string", "format": "unheard of"}, "x", "x"),
    ],
)
def test_what_fits_is_of_its_type(schema: dict[str, Any], text: str, value: Any) -> None:
    found = field(**schema).value(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("schema", "text", "wanted"),
    [
        ({"type": "string"}, "", "a text"),
        ({"type": "string", "minLength": 3}, "ab", "at least 3 characters"),
        ({"type": "string", "maxLength": 1}, "ab", "at most 1 characters"),
        ({"type": "integer"}, "1.5", "a whole number"),
        ({"type": "integer", "minimum": 3}, "2", "at least 3"),
        ({"type": "number", "maximum": 3}, "3.1", "at most 3"),
        ({"type": "number"}, "nan", "a number"),
        ({"type": "number"}, "inf", "a number"),
        ({"type": "boolean"}, "perhaps", "yes or no"),
        ({"type": "string", "enum": ["x"]}, "y", "one of: x"),
        ({"type": "string", "oneOf": TITLED}, "Green", "one of: Red = r, Blue = b"),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, "x, z", "one of: x, y"),
        ({"type": "array", "items": {"enum": ["x"]}, "minItems": 1}, "", "at least 1 of them"),
        ({"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 1}, "x,y", "at most 1 of them"),
        ({"type": "string", "format": "email"}, "nobody", "a text of the form email"),
        ({"type": "string", "format": "uri"}, "nowhere", "a text of the form uri"),
        ({"type": "string", "format": "date"}, "2026-02-30", "a text of the form date"),
        ({"type": "string", "format": "date-time"}, "2026-02-28", "a text of the form date-time"),
    ],
)
def test_what_does_not_fit_is_told_what_would(schema: dict[str, Any], text: str, wanted: str) -> None:
    with pytest.raises(Unfit) as caught:
        field(**schema).value(text)
    assert str(caught.value) == wanted


def test_a_default_counts_only_if_it_fits() -> None:
    assert field(type="integer", minimum=3, default=4).default == 4
    assert field(type="integer", minimum=3, default=2).default is None
    assert field(type="string", enum=["x"], default="y").default is None
    assert field(type="array", items={"enum": ["x", "y"]}, default=["x"]).default == ["x"]
    assert field(type="boolean", default=False).default is False


def test_what_a_field_is_called_and_whether_it_is_needed() -> None:
    schema = {
        "properties": {"a": {"title": "A", "description": "x"}, "b": {"description": "B"}, "c": {"title": 5}},
        "required": ["b"],
    }
    assert [(one.title, one.needed) for one in fields_of(schema)] == [("A", False), ("B", True), ("c", False)]
