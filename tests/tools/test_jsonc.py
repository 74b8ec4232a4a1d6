"""JSON as people write it: what is read beyond JSON, what is refused, and that values know where they stand."""

from __future__ import annotations

import json
import random

import pytest

from qwen3cli.tools.jsonc import BadSyntax, Node, line_of, parse, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, // one\n "b": [true, null, -2.5e3,],}', {"a": 1, "b": [True, None, -2500.0]}),
        ('/* x */ ["// no comment", "/* nor this */"] // end', ["// no comment", "/* nor this */"]),
        ('\ufeff {"\\u4e2d\\ud83d\\ude00": "\\n\\"\\\\"}', {"中😀": '\n"\\'}),
        ("[]", []),
        ("{}", {}),
        ('"x"', "x"),
        ("0", 0),
    ],
)
def test_what_people_write_is_read(text: str, value: object) -> None:
    assert plain(parse(text)) == value


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("", "the file ends where a value", 1),
        ('{"a": 1', "no closing `}`", 1),
        ('{\n"a": 1\n"b": 2}', "a comma or `}`", 3),
        ('{\n\n"a" 1}', "a colon", 3),
        ("{a: 1}", "a key in double quotes", 1),
        ("{,}", "a key in double quotes", 1),
        ("[,]", "no value", 1),
        ("[1,,2]", "no value", 1),
        ("[1 2]", "a comma or `]`", 1),
        ('{"a": 1,\n "a": 2}', "`a` is there twice", 2),
        ('["x\ny"]', "no closing quote", 1),
        ('["\\x"]', "a backslash", 1),
        ('["\\ud800"]', "half a character", 1),
        ("[NaN]", "no value", 1),
        ("[01]", "no value", 1),
        ("[1.]", "no value", 1),
        ("[truex]", "no value", 1),
        ("[1] x", "more after the end", 1),
        ("/* x", "no end", 1),
        ("[" * 100_000, "nested more than", 1),
        ("9" * 5000, "no value", 1),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, words: str, line: int) -> None:
    with pytest.raises(BadSyntax, match=words) as caught:
        parse(text)
    assert line_of(text, caught.value.offset) == line


def test_any_json_is_read_as_python_reads_it() -> None:
    random.seed(5)
    for _ in range(300):
        value = made(4)
        for indent in (None, 2):
            text = json.dumps(value, indent=indent, ensure_ascii=random.random() < 0.5)
            assert plain(parse(text)) == value


def test_each_value_knows_where_it_stands() -> None:
    text = '{ "a" : [1, {"b": "x"} , ] }'
    root = parse(text)
    assert isinstance(root.value, dict)
    array = root.value["a"]
    assert (text[root.start : root.end], text[array.start : array.end]) == (text, '[1, {"b": "x"} , ]')
    assert (array.key, array.comma) == (text.index('"a"'), None)
    assert isinstance(array.value, list)
    assert [place(text, item) for item in array.value] == [("1", 10), ('{"b": "x"}', 23)]


def place(text: str, node: Node) -> tuple[str, int | None]:
    return text[node.start : node.end], node.comma


def made(depth: int) -> object:
    kind = random.randrange(6 if depth else 4)
    if kind == 4:
        return [made(depth - 1) for _ in range(random.randrange(4))]
    if kind == 5:
        return {random.choice('ab\\"中\n') * n: made(depth - 1) for n in range(random.randrange(4))}
    return [random.randrange(-99, 99), random.random() * 1e6, random.choice([True, False, None]), "z😀/*\t"][
        kind
    ]
