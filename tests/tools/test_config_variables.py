"""Variables in mcp.json: each form, each place they may stand in, and the errors that name what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import Interrupted, InvalidFile, UsageError
from qwen3cli.tools.config import read_servers
from qwen3cli.tools.dialects import Input
from qwen3cli.tools.kinds import ServerConfig

ENVIRON = {"A": "one", "EMPTY": "", "NEST": "${A} $A ${UNSET}", "HOME": "/home/me", "TILDE": "~/x"}


def server(folder: Path, entry: dict[str, Any], **more: Any) -> ServerConfig:
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"s": entry}, **more}))
    (config,) = read_servers(file, ENVIRON, working_directory=folder).configs
    return config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("${env:A}", "one"),
        ("$A", "one"),
        ("x${A}y$A-z", "xoneyone-z"),
        ("${A:-two}", "one"),
        ("${UNSET:-two}", "two"),
        ("${env:UNSET:-two}", "two"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${UNSET:-a:-b $A}", "a:-b $A"),
        ("${NEST}", "${A} $A ${UNSET}"),
        ("${UNSET:-$}{A}", "${A}"),
        ("${NONE:-$}A", "$A"),
        ("^a$", "^a$"),
        ("$1 $$ $(x) 5$", "$1 $$ $(x) 5$"),
        ("${userHome}${/}x", "/home/me/x"),
        ("a${pathSeparator}b", "a/b"),
        ("%A% {A}", "%A% {A}"),
    ],
)
def test_what_a_text_with_variables_becomes(tmp_path: Path, text: str, value: str) -> None:
    assert server(tmp_path, {"command": "x", "args": [text]}).args == (value,)


def test_every_place_takes_variables(tmp_path: Path) -> None:
    entry = {"command": "${A}/bin", "args": ["$A"], "env": {"K": "${env:A}"}, "cwd": "${workspaceFolder}/$A"}
    local = server(tmp_path, entry)
    assert (local.command, local.args, dict(local.env)) == ("one/bin", ("one",), {"K": "one"})
    assert local.cwd == tmp_path / "one"
    remote = server(tmp_path, {"url": "https://${A}.org/$A", "headers": {"X": "Bearer ${A}"}})
    assert (remote.url, dict(remote.headers)) == ("https://one.org/one", {"X": "Bearer one"})
    name = server(tmp_path, {"command": "x", "args": ["${workspaceFolderBasename}"]}).args[0]
    assert name == tmp_path.name


def test_a_tilde_is_the_persons_own_folder_where_a_shell_would_say_so(tmp_path: Path) -> None:
    words = ["~", "~/x", "~/$A", "~root/x", "a~", "--at=~/x", "$TILDE", "~\n"]
    entry = {"command": "~/bin/x", "args": words, "env": {"K": "~/x"}, "cwd": "~/y"}
    found = server(tmp_path, entry)
    assert (found.command, found.cwd) == ("/home/me/bin/x", Path("/home/me/y"))
    kept = ("~root/x", "a~", "--at=~/x", "~/x", "~\n")
    assert found.args == ("/home/me", "/home/me/x", "/home/me/one", *kept)
    assert dict(found.env) == {"K": "~/x"}
    assert server(tmp_path, {"command": "x", "cwd": "a~"}).cwd == tmp_path / "a~"


@pytest.mark.parametrize("text", ["${UNSET}", "$UNSET", "${env:UNSET}"])
@pytest.mark.parametrize("place", ["command", "args", "env", "cwd", "url", "headers"])
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, place: str, text: str) -> None:
    value = {"args": [text], "env": {"K": text}, "headers": {"K": text}}.get(place, text)
    base = {"url": "http://x"} if place in ("url", "headers") else {"command": "x"}
    with pytest.raises(UsageError) as caught:
        server(tmp_path, base | {place: value})
    told = f"the variable `UNSET` is not set; server `s` of `{tmp_path / 'mcp.json'}` needs it"
    assert caught.value.message == told
    assert "${UNSET:-DEFAULT}" in (caught.value.hint or "")
    assert f"`${{NONE:-$}}{text[1:]}`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    ["${}", "${A", "${A-b}", "${1}", "${config:x}", "${command:x}", "${A:-${B}}", "${input:no}", "${ A }"],
)
def test_what_is_no_variable_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidFile, match="no variable that is known, in server `s`"):
        server(tmp_path, {"command": "x", "args": [text]})


def test_inputs_need_somebody_to_ask(tmp_path: Path) -> None:
    wanted = [{"id": "key", "type": "promptString"}, {"id": "run", "type": "command"}]
    with pytest.raises(UsageError, match="the input `key` of server `s`"):
        server(tmp_path, {"command": "x", "args": ["${input:key}"]}, inputs=wanted)
    with pytest.raises(InvalidFile, match="`\\$\\{input:run\\}` is no variable"):
        server(tmp_path, {"command": "x", "args": ["${input:run}"]}, inputs=wanted)


def test_an_input_is_asked_for_once_in_a_file_and_may_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    entry = {"command": "x", "args": ["${input:k}", "${input:k}"]}
    file.write_text(json.dumps({"servers": {"a": entry, "b": entry}, "inputs": [{"id": "k"}]}))
    asked: list[str] = []

    def ask(wanted: Input) -> str:
        asked.append(wanted.id)
        return f"{len(asked)}"

    assert [config.args for config in read_servers(file, {}, ask).configs] == [("1", "1")] * 2

    def leave(wanted: Input) -> str:
        raise Interrupted

    with pytest.raises(Interrupted):
        read_servers(file, {}, leave)


def test_values_of_variables_are_checked_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"s": {"url": "${U}"}}}))
    with pytest.raises(InvalidFile, match="the URL `\\$\\{U\\}`") as caught:
        read_servers(file, {"U": "hunter2"})
    assert "hunter2" not in str(caught.value)
    file.write_text(json.dumps({"mcpServers": {"s": {"command": "$C"}}}))
    with pytest.raises(InvalidFile, match="an empty command"):
        read_servers(file, {"C": " "})
