"""Servers are put into an mcp.json and taken out again; everything else in it stays as it was."""

from __future__ import annotations

import random

import pytest

from qwen3cli.tools.edits import with_server, without_server
from qwen3cli.tools.jsonc import parse, plain

KEPT = """{
  // Mine.
  "theme": "dark", /* why not */
  "mcpServers": {
    // The first.
    "a": { "command": "x", "args": [ "1", ] }, // behind a
    "b": {
      "url": "http://x"
    } // behind b
    // the last word
  },
}
"""


def test_a_server_is_added_behind_the_others() -> None:
    text = with_server(KEPT, "中", {"command": "y", "args": ["z"]})
    assert text == KEPT.replace(
        "    } // behind b\n    // the last word\n",
        "    }, // behind b\n    // the last word\n"
        '    "中": {\n      "command": "y",\n      "args": [\n        "z"\n      ]\n    }\n',
    )


@pytest.mark.parametrize(
    ("name", "gone", "kept"),
    [
        ("a", '    "a": { "command": "x", "args": [ "1", ] }, // behind a\n', "     // behind a\n"),
        ("b", '    "b": {\n      "url": "http://x"\n    } // behind b\n', "     // behind b\n"),
    ],
)
def test_a_server_is_taken_out(name: str, gone: str, kept: str) -> None:
    text = without_server(KEPT, name)
    expected = KEPT.replace(gone, kept)
    if name == "b":
        expected = expected.replace('"1", ] },', '"1", ] }')
    assert text == expected


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", '{\n  "mcpServers": {\n    "s": {\n      "command": "x"\n    }\n  }\n}\n'),
        ("{}", '{\n  "mcpServers": {\n    "s": {\n      "command": "x"\n    }\n  }\n}'),
        ('{"mcpServers": {}}', '{"mcpServers": {\n  "s": {\n    "command": "x"\n  }\n}}'),
        (
            '{\r\n\t"servers": {\r\n\t}\r\n}',
            '{\r\n\t"servers": {\r\n\t  "s": {\r\n\t    "command": "x"\r\n\t  }\r\n\t}\r\n}',
        ),
        (
            '{"mcpServers": {"a": {},}}',
            '{"mcpServers": {"a": {},\n"s": {\n  "command": "x"\n},\n}}',
        ),
    ],
)
def test_layouts(text: str, result: str) -> None:
    assert with_server(text, "s", {"command": "x"}) == result


def test_a_group_within_settings_is_used() -> None:
    text = '{"mcp": {"servers": {"a": {}}}}'
    added = with_server(text, "s", {"url": "u"})
    assert plain(parse(added)) == {"mcp": {"servers": {"a": {}, "s": {"url": "u"}}}}
    assert plain(parse(without_server(added, "a"))) == {"mcp": {"servers": {"s": {"url": "u"}}}}


def test_any_layout_survives_any_edits() -> None:
    random.seed(7)
    for _ in range(400):
        names = random.sample("abcdef", random.randrange(5))
        text = "{" + blank() + '"mcpServers"' + blank() + ":" + blank() + "{" + blank()
        for number, name in enumerate(names):
            last = number == len(names) - 1
            text += f'"{name}" : {{}}{blank()}' + ("" if last and random.random() < 0.7 else ",")
            text += blank()
        text += "}" + blank() + "}" + blank()
        comments = sorted(part for part in text.split("#") if part.isdigit())
        there = list(names)
        for _ in range(6):
            if there and random.random() < 0.5:
                name = there.pop(random.randrange(len(there)))
                text = without_server(text, name)
            else:
                there.append(f"n{random.randrange(10**9)}")
                text = with_server(text, there[-1], {})
            servers = plain(parse(text))
            assert servers == {"mcpServers": {name: {} for name in there}}
            assert list(servers["mcpServers"]) == there  # pyright: ignore
        assert sorted(part for part in text.split("#") if part.isdigit()) == comments


def blank() -> str:
    number = f"#{random.randrange(10**9)}#"
    return random.choice(["", " ", "\n", "\n  ", f"/*{number}*/", f" // {number}\n", f"\n// {number}\n "])
