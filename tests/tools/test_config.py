"""mcp.json in the dialect of every host: what is read, what is named as not understood, what is refused and where."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import InvalidFile, QwenError, UsageError
from qwen3cli.tools.config import LIMIT, Servers, read_servers
from qwen3cli.tools.dialects import Input
from qwen3cli.tools.kinds import ServerConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


def read(file: Path, value: object, **environ: str) -> Servers:
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_servers(file, environ, working_directory=file.parent)


def one(file: Path, entry: Any, group: str = "mcpServers") -> tuple[ServerConfig, tuple[str, ...]]:
    servers = read(file, {group: {"s": entry}})
    (config,) = servers.configs
    assert (config.name, config.source) == ("s", file)
    return config, servers.notices


def test_the_common_dialect(file: Path) -> None:
    entry = {"command": "npx", "args": ["-y", "a b"], "env": {"K": "v"}, "cwd": "sub"}
    config, notices = one(file, entry)
    assert (config.transport, config.command, config.args) == ("stdio", "npx", ("-y", "a b"))
    assert (dict(config.env), config.cwd, config.timeout_s, notices) == (
        {"K": "v"},
        file.parent / "sub",
        600,
        (),
    )


def test_vs_code(file: Path) -> None:
    asked: list[Input] = []

    def ask(wanted: Input) -> str:
        asked.append(wanted)
        return "$HOME ${X}"

    value = """{
      // The servers of this machine.
      "inputs": [
        {"type": "promptString", "id": "key", "description": "The key", "password": true},
        {"type": "pickString", "id": "place", "options": ["a", {"label": "B", "value": "b"}], "default": "a"},
      ],
      "servers": {
        "web": {"type": "http", "url": "https://x.org/mcp", "headers": {"Authorization": "Bearer ${input:key}"}},
        "own": {"type": "stdio", "command": "run", "args": ["${input:key}", "${input:place}"], },
      },
    }"""
    file.write_text(value)
    web, own = read_servers(file, {}, ask).configs
    assert dict(web.headers) == {"Authorization": "Bearer $HOME ${X}"}
    assert own.args == ("$HOME ${X}", "$HOME ${X}")
    assert [(wanted.id, wanted.password, wanted.options) for wanted in asked] == [
        ("key", True, ()),
        ("place", False, ("a", "b")),
    ]
    settings = {"editor.fontSize": 12, "mcp": {"servers": {"s": {"type": "sse", "url": "https://x.org"}}}}
    servers = read(file, settings)
    assert [one.transport for one in servers.configs] == ["sse"]
    assert servers.notices == (f"`{file}`: not used: `editor.fontSize`",)


def test_qwen_code(file: Path) -> None:
    servers = read(
        file,
        {
            "mcpServers": {
                "stream": {"httpUrl": "https://x.org/mcp", "timeout": 5000, "trust": True},
                "events": {"url": "https://x.org/events", "includeTools": ["a*"], "excludeTools": ["ab"]},
            }
        },
    )
    stream, events = servers.configs
    assert (stream.transport, stream.url, stream.timeout_s) == ("http", "https://x.org/mcp", 5)
    assert (events.transport, events.include, events.exclude) == ("sse", ("a*",), ("ab",))
    assert (servers.trusted, servers.notices) == ({"stream"}, ())


def test_mcphost(file: Path) -> None:
    local = {
        **{"type": "local", "command": ["npx", "-y", "x"], "args": ["z"], "environment": {"A": "b"}},
        **{"allowedTools": ["r"], "excludedTools": ["w"]},
    }
    config, notices = one(file, local)
    assert (config.command, config.args, dict(config.env)) == ("npx", ("-y", "x", "z"), {"A": "b"})
    assert (config.include, config.exclude, notices) == (("r",), ("w",), ())
    config, _ = one(file, {"type": "remote", "url": "https://x.org", "headers": ["A: b: c", "D:e"]})
    assert (config.transport, dict(config.headers)) == ("http", {"A": "b: c", "D": "e"})
    servers = read(file, {"mcpServers": {"s": {"type": "builtin", "name": "fs"}}})
    assert servers.configs == ()
    assert "its type `builtin` is not known" in servers.notices[-1]


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"url": "https://x.org/mcp"}, "http"),
        ({"url": "https://x.org/sse"}, "sse"),
        ({"url": "https://x.org/sse/?key=1"}, "sse"),
        ({"url": "https://x.org/assess"}, "http"),
        ({"url": "https://x.org/sse", "type": "http"}, "http"),
        ({"url": "https://x.org", "transport": "sse"}, "sse"),
        ({"url": "https://x.org", "type": "streamable-http"}, "http"),
        ({"url": "https://x.org", "type": "streamableHttp"}, "http"),
        ({"command": "x"}, "stdio"),
    ],
)
def test_the_transport_is_told_by_the_type_or_the_url(file: Path, entry: Any, transport: str) -> None:
    assert one(file, entry)[0].transport == transport


def test_what_is_disabled_is_left_out_and_needs_no_variable(file: Path) -> None:
    servers = read(
        file,
        {
            "mcpServers": {
                "a": {"command": "$UNSET", "disabled": True, "trust": True},
                "b": {"command": "x", "enabled": False},
                "c": {"command": "x", "enabled": True, "disabled": False},
            }
        },
    )
    assert [config.name for config in servers.configs] == ["c"]
    assert servers.trusted == frozenset()


def test_what_is_not_understood_is_named(file: Path) -> None:
    value = {
        "theme": "dark",
        "mcpServers": {
            "a": {"command": "x", "envFile": ".env", "url": "http://x", "type": "stdio", "description": "d"},
            "b": {"httpUrl": "http://x", "url": "http://y", "timeout": 60},
        },
    }
    assert read(file, value).notices == (
        f"`{file}`: not used: `theme`",
        f"server `a` of `{file}`: not used: `envFile`",
        f"server `a` of `{file}`: not used: `url`; its type is `stdio`",
        f"server `b` of `{file}`: not used: `url`; it has an `httpUrl`, too",
        f"server `b` of `{file}`: its `timeout` is 60 milliseconds",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"mcpServers": {\n"s": {\n"command": 3}}}', "line 3: `mcpServers.s.command` is a number, not text"),
        ('{"mcpServers": {"s": {"command": null}}}', "`mcpServers.s.command` is null, not text"),
        (
            '{"mcpServers": {"s": {"command": "x",\n"args": "y"}}}',
            "line 2: `mcpServers.s.args` is text, not a list",
        ),
        (
            '{"mcpServers": {"s": {"command": "x", "args": ["y",\n1]}}}',
            "line 2: `mcpServers.s.args.1` is a number",
        ),
        (
            '{"mcpServers": {"s": {"command": "x", "env": {"P": 3000}}}}',
            "`mcpServers.s.env.P` is a number, not text",
        ),
        ('{"mcpServers": {"s": {"command": "x", "env": {"A=B": ""}}}}', "has `A=B`, which no variable"),
        ('{"mcpServers": {"s": {"command": "x", "disabled": "no"}}}', "is text, not true or false"),
        ('{"mcpServers": {"s": {"command": "x", "timeout": "5"}}}', "is text, not a number"),
        ('{"mcpServers": {"s": {"command": "x", "timeout": true}}}', "is true or false, not a number"),
        ('{"mcpServers": {"s": {"command": "x", "timeout": -1}}}', "from 1 to 86,400,000"),
        ('{"mcpServers": {"s": {"command": "x", "timeout": 1e999}}}', "is inf; from 1"),
        ('{"mcpServers": {"s": {"command": "a\\u0000"}}}', "a NUL character"),
        ('{"mcpServers": {"s": {"command": []}}}', "`mcpServers.s.command` is empty"),
        ('{"mcpServers": {"s": {"command": " "}}}', "`mcpServers.s.command` is empty"),
        ('{"mcpServers": {"s": {}}}', "has neither a command nor a URL"),
        ('{"mcpServers": {"s": {"type": "http"}}}', "has no URL"),
        ('{"mcpServers": {"s": {"command": "x", "url": "http://x"}}}', "both a command and a URL"),
        ('{"mcpServers": {"s": {"command": "x", "env": {}, "environment": {}}}}', "says the same as `env`"),
        ('{"mcpServers": {"s": {"url": "http://x", "headers": ["no colon"]}}}', "the line `no colon`"),
        ('{"mcpServers": {"s": {"url": "http://x", "headers": {"a b": "c"}}}}', "has `a b`, which no header"),
        (
            '{"mcpServers": {"s": {"url": "http://x", "headers": {"a": "b\\r\\nc"}}}}',
            "the header `a` of server `s`",
        ),
        ('{"mcpServers": {"s": {"url": "http://x", "headers": {"a": "é"}}}}', "the header `a` of server `s`"),
        (
            '{"mcpServers": {"s": {"url": "file:///etc/passwd"}}}',
            "the URL `file:///etc/passwd` of server `s`",
        ),
        ('{"mcpServers": {"s": {"url": "http://"}}}', "the URL `http://`"),
        ('{"mcpServers": {"s": {"url": "http://x:99999/"}}}', "the URL `http://x:99999/`"),
        ('{"mcpServers": {"s": {"url": "http://[x/"}}}', "the URL"),
        ('{"mcpServers": {"s": 1}}', "`mcpServers.s` is a number, not an object"),
        ('{"mcpServers": []}', "`mcpServers` is a list, not an object"),
        ('{"mcpServers": {"a.b": {"command": "x"}}}', "is no name that a server can have"),
        ('{"mcpServers": {"": {"command": "x"}}}', "is no name that a server can have"),
        ('{"mcpServers": {"' + "a" * 65 + '": {"command": "x"}}}', "is no name that a server can have"),
        ('{"mcpServers": {"a": {"command": "x"},\n"a": {"command": "y"}}}', "line 2: `a` is there twice"),
        (
            '{"mcpServers": {"a": {"command": "x"}},\n"servers": {"a": {"command": "y"}}}',
            "line 2: `servers.a` is there",
        ),
        ('{"servers": {}, "inputs": [{"type": "promptString"}]}', "`inputs.0` has no `id`"),
        ('{"servers": {}, "inputs": [{"id": "a"}, {"id": "a"}]}', "`a` is there twice"),
        ('{"servers": {}, "inputs": [{"id": "a", "options": [{}]}]}', "`inputs.0.options.0` has no `value`"),
        ('{"theme": "dark"}', "has neither `mcpServers` nor `servers`"),
        ("[]", "is not an object"),
        ('{"mcpServers": {}\n', "no closing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_file_line_and_key(file: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(file, text)
    assert words in caught.value.message
    assert str(file) in caught.value.message


def test_files_that_hold_no_list(file: Path) -> None:
    assert read(file, "{}") == Servers()
    file.write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(InvalidFile, match="line 2: this is no UTF-8"):
        read_servers(file, {})
    file.write_text("{}" + " " * LIMIT)
    with pytest.raises(InvalidFile, match="more than 1,000,000 bytes"):
        read_servers(file, {})
    file.write_text("{}" + " " * (LIMIT - 2))
    assert read_servers(file, {}) == Servers()
    file.unlink()
    file.mkdir()
    with pytest.raises(QwenError, match="cannot be read"):
        read_servers(file, {})


WHOLE = {
    "inputs": [{"id": "k", "type": "pickString", "options": ["a", {"value": "b"}], "password": True}],
    "mcpServers": {
        "a": {
            "command": ["x", "$A"],
            "args": ["${A:-b}"],
            "env": {"A": "${env:A}"},
            "cwd": "~",
            "timeout": 5000,
        },
        "b": {"httpUrl": "http://x/", "headers": ["A: b"], "includeTools": ["a*"], "trust": True},
    },
    "servers": {"c": {"type": "sse", "url": "${A}://x", "headers": {"A": "b"}, "disabled": False}},
}


OTHERS: list[Any] = [None, True, 0, -1.5, "", "x" * 300, [], [[]], {}, {"": {}}]


def test_no_damage_is_worse_than_a_sentence(file: Path) -> None:
    random.seed(3)
    text = json.dumps(WHOLE).encode()
    outcomes: set[type] = set()
    for number in range(600):
        damaged = bytearray(text)
        for _ in range(random.choice((1, 1, 2, 5))):
            start = random.randrange(len(damaged))
            end = start + random.choice((0, 1, 1, 30))
            damaged[start:end] = random.choice(
                (b"", b"Z", b'"', b"{", b"]", b",", b"\\", b"$", b"\x00", b"\xff", b"1")
            )
        file.write_bytes(damaged if number else text)
        try:
            outcomes.add(type(read_servers(file, {"A": "http"}, lambda _: "x", file.parent)))
        except QwenError as error:
            outcomes.add(type(error))
    assert {Servers, InvalidFile} <= outcomes <= {Servers, InvalidFile, UsageError}


def test_any_value_in_any_place_is_read_or_refused(file: Path) -> None:
    def places(value: Any) -> Iterator[tuple[Any, Any]]:
        for key in value if isinstance(value, dict) else range(len(value)):  # pyright: ignore
            yield value, key
            if isinstance(value[key], dict | list):
                yield from places(value[key])

    refused = 0
    for number in range(sum(1 for _ in places(WHOLE))):
        for other in OTHERS:
            changed = copy.deepcopy(WHOLE)
            holder, key = list(places(changed))[number]
            holder[key] = other
            try:
                read(file, changed, A="http")
            except QwenError as error:
                refused += 1
                assert str(file) in error.message
    assert refused > 100


def test_secrets_are_not_in_what_prints_itself(file: Path) -> None:
    config, _ = one(file, {"url": "https://x.org", "headers": {"A": "hunter2"}})
    assert "hunter2" not in repr(config)
