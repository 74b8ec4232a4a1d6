"""`qwen3 mcp`: the list, the edits of the user's file, and checks against real servers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.terminal.screen import Tty
from tests.tools.hosts import SERVERS

FRIENDLY = {"command": sys.executable, "args": [str(SERVERS / "friendly.py"), "stdio"]}
DYING = {"command": sys.executable, "args": ["-c", "import sys; sys.exit('no licence: \x1b[2Jbye')"]}


ASKED = "Use them, now and later? [y/N/never]"


class Place:
    """A home, and a folder to work in: runs `qwen3 mcp` there."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self.file = folder / "home" / "mcp.json"
        self.folder = folder / "project"
        self.folder.mkdir()

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {"QWEN3_HOME": str(self.file.parent), **environ}
        return self._run("mcp", *arguments, env=env, cwd=self.folder)

    def write(self, text: str = "", **servers: Any) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(text or json.dumps({"mcpServers": servers}))

    @property
    def servers(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())["mcpServers"]


@pytest.fixture
def mcp(qwen3: Run, tmp_path: Path) -> Place:
    return Place(qwen3, tmp_path)


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_without_servers_there_is_nothing_and_how_to_add_one_is_said(mcp: Place) -> None:
    for command in ("list", "check"):
        done = mcp(command)
        assert (done.returncode, done.stdout) == (0, "")
        assert "there are no servers" in done.stderr
        assert parsed(mcp(command, "--json")) == []
    assert not mcp.file.parent.exists()


def test_what_is_added_is_listed_without_its_secrets(mcp: Place) -> None:
    assert (
        mcp("add", "git", "--env", "KEY=hunter2=", "--", "git-server", "--repository", "a b").returncode == 0
    )
    url = "https://x.org:${PORT}/sse"
    header = "Authorization: Bearer hunter2"
    assert mcp("add", "web", "--header", header, "--transport", "http", url).returncode == 0
    assert mcp.servers == {
        "git": {"command": "git-server", "args": ["--repository", "a b"], "env": {"KEY": "hunter2="}},
        "web": {"type": "http", "url": url, "headers": {"Authorization": "Bearer hunter2"}},
    }
    assert stat.S_IMODE(mcp.file.stat().st_mode) == 0o600
    done = mcp("list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["NAME", "TRANSPORT", "RUNS", "SOURCE", "STATE"],
        ["git", "stdio", "git-server", "--repository", "'a", "b'", str(mcp.file), "on"],
        ["web", "http", url, str(mcp.file), "on"],
    ]
    listed = mcp("list", "--json")
    assert parsed(listed)[0] == {
        **{"name": "git", "transport": "stdio", "command": "git-server", "args": ["--repository", "a b"]},
        **{
            "url": None,
            "env": ["KEY"],
            "headers": [],
            "source": str(mcp.file),
            "disabled": False,
            "state": "on",
        },
    }
    assert "hunter2" not in listed.stdout + done.stdout


@pytest.mark.parametrize(("url", "transport"), [("http://x.org/sse", "sse"), ("HTTPS://x.org/", "http")])
def test_the_transport_of_a_url_is_written_down(mcp: Place, url: str, transport: str) -> None:
    mcp("add", "a", url)
    assert mcp.servers == {"a": {"type": transport, "url": url}}


def test_edits_keep_everything_else(mcp: Place) -> None:
    before = '{\n  // mine\n  "mcpServers": {\n    "a": {"command": "x"}, // first\n  },\n}\n'
    mcp.write(before)
    mcp.file.chmod(0o644)
    link = mcp.file.with_name("kept.json")
    mcp.file.rename(link)
    mcp.file.symlink_to(link)
    assert mcp("add", "b", "y").returncode == 0
    added = '    "a": {"command": "x"}, // first\n    "b": {\n      "command": "y"\n    },\n'
    assert link.read_text() == before.replace('    "a": {"command": "x"}, // first\n', added)
    assert (mcp.file.is_symlink(), stat.S_IMODE(link.stat().st_mode)) == (True, 0o600)
    assert mcp("remove", "b").returncode == 0
    assert link.read_text() == before
    assert sorted(path.name for path in mcp.file.parent.iterdir()) == [
        ".kept.json.lock",
        "kept.json",
        "mcp.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "a", "x"], "has a server `a`"),
        (["add", "left", "x"], "has a server `left`"),
        (["add", "a.b", "x"], "no server can be called `a.b`"),
        (["add", "b", "--env", "K", "--", "x"], "`--env K` makes no sense"),
        (["add", "b", "--env", "=v", "--", "x"], "`--env =v` makes no sense"),
        (["add", "b", "--header", "K: v", "--", "x"], "`--header` is for a URL"),
        (["add", "b", "--transport", "sse", "--", "x"], "`--transport sse` is for a URL"),
        (["add", "b", "--transport", "tcp", "--", "x"], "there is no transport `tcp`"),
        (["add", "b", "--env", "K=v", "http://x"], "`--env` is for a command"),
        (["add", "b", "--transport", "stdio", "http://x"], "`--transport stdio` is for a command"),
        (["add", "b", "http://x", "more"], "a URL takes no arguments"),
        (["add", "b", "--header", "no colon", "http://x"], "makes no sense"),
        (["add", "b", "--header", "a b: c", "http://x"], "no header can be called `a b`"),
        (["add", "b", "http://"], "`http://` is no URL"),
        (["add", "b", "--", " "], "the command is empty"),
        (["add", "b"], "hint: `qwen3 mcp add --help` shows what there is"),
        (["add", "b", "x", "--repository", "."], "No such option"),
        (["remove", "b"], "there is no server `b`"),
        (["check", "b"], "there is no server `b`"),
        (["list", "--mcp", "no.json"], "there is no file `no.json`"),
        (["list", "--mcp"], "hint: `qwen3 COMMAND --help` shows what there is"),
        ([], "hint: `qwen3 mcp --help` shows what there is"),
    ],
)
def test_what_makes_no_sense_changes_nothing(mcp: Place, arguments: list[str], words: str) -> None:
    mcp.write(a={"command": "x"}, left={"type": "unknown", "command": "x"})
    before = mcp.file.read_text()
    done = mcp(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert mcp.file.read_text() == before


@pytest.mark.parametrize("arguments", [["list"], ["add", "b", "x"], ["remove", "a"], ["check"]])
def test_a_broken_file_is_named_and_left_alone(mcp: Place, arguments: list[str]) -> None:
    mcp.write('{"mcpServers": {"a": {"command": 1}}}')
    before = mcp.file.read_text()
    done = mcp(*arguments)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"`{mcp.file}`, line 1: `mcpServers.a.command` is a number" in done.stderr
    assert mcp.file.read_text() == before


def test_a_listing_tells_what_of_each_file_is_used(mcp: Place) -> None:
    mcp.write(a={"command": "$UNSET"}, off={"command": "x", "disabled": True})
    extra = mcp.folder / "extra.json"
    extra.write_text('{"mcpServers": {"a": {"command": "e"}}}')
    (mcp.folder / ".mcp.json").write_text(
        '{"servers": {"off": {"command": "y"}, "p": {"url": "http://p/x"}}}'
    )
    done = mcp("list", "--mcp", "extra.json", "--json")
    assert [(one["name"], one["command"] or one["url"], one["state"]) for one in parsed(done)] == [
        ("a", "e", "on"),
        ("a", "$UNSET", "overridden"),
        ("off", "x", "disabled"),
        ("off", "y", "overridden"),
        ("p", "http://p/x", "not accepted"),
    ]
    assert "that of `extra.json` counts" in done.stderr
    assert "you have not accepted them" in done.stderr


def test_a_server_is_checked(mcp: Place) -> None:
    mcp.write(good=FRIENDLY)
    done = mcp("check", "--json")
    assert done.returncode == 0, done.stderr
    (one,) = parsed(done)
    assert (one["name"], one["works"], one["reason"], one["source"]) == ("good", True, None, str(mcp.file))
    assert one["protocol"].startswith("20")
    assert {"add", "fail"} <= set(one["tools"])
    assert one["seconds"] > 0
    header, row = mcp("check", "good").stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "PROTOCOL", "TIME", "TOOLS"]
    assert row.split()[:3] == ["good", "works", one["protocol"]]
    assert f"{len(one['tools'])}: " in row


def test_failures_are_told_server_by_server_with_their_last_words(mcp: Place) -> None:
    mcp.write(
        good=FRIENDLY,
        dying=DYING,
        gone={"command": "./no-such-program"},
        unset={"command": "$UNSET"},
        asks={"command": "${input:key}"},
    )
    text = json.loads(mcp.file.read_text()) | {"inputs": [{"id": "key"}]}
    mcp.file.write_text(json.dumps(text))
    done = mcp("check")
    assert done.returncode == 8
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["good", "works"],
        *([name, "failed"] for name in ("dying", "gone", "unset", "asks")),
    ]
    assert "4 of 5 servers do not work: `dying`, `gone`, `unset`, `asks`" in done.stderr
    assert "the variable `UNSET` is not set" in done.stderr
    assert "the input `key` of server `asks`" in done.stderr
    assert "no licence" in done.stderr
    listed = mcp("check", "dying", "--json")
    assert listed.returncode == 8
    (one,) = parsed(listed)
    assert (one["works"], one["tools"]) == (False, [])
    assert "no licence" in "".join(one["log_lines"])


def test_a_disabled_server_is_checked_only_by_name(mcp: Place) -> None:
    mcp.write(off={**FRIENDLY, "disabled": True})
    assert "no servers to check" in mcp("check").stderr
    assert mcp("check", "off").returncode == 0


def test_who_denies_all_tools_is_not_sent_to_look_for_a_fault(mcp: Place, qwen3: Run) -> None:
    mcp.write(friendly=FRIENDLY)
    (mcp.file.parent / "config.toml").write_text('[tools]\ndeny = ["*.*"]\n')
    env = {"QWEN3_HOME": str(mcp.file.parent)}
    done = qwen3("chat", "demo", "Hello", "--tool-choice", "required", env=env, cwd=mcp.folder)
    assert done.returncode == 8
    assert "`deny` in config.toml may name all of it" in done.stderr


def test_a_projects_servers_need_a_person(mcp: Place) -> None:
    (mcp.folder / ".mcp.json").write_text(json.dumps({"mcpServers": {"p": DYING}}))
    done = mcp("check")
    assert (done.returncode, done.stdout) == (0, "")
    assert "you have not accepted them" in done.stderr
    named = mcp("check", "p")
    assert named.returncode == 2
    assert "`qwen3 mcp check p` in a terminal" in named.stderr


def on_terminal(mcp: Place, *arguments: str, columns: int = 100, **environ: str) -> Tty:
    command = ["qwen3cli", "mcp", *arguments]
    return Tty(command, columns=columns, lines=40, QWEN3_HOME=str(mcp.file.parent), **environ)


def test_a_narrow_window_has_lines_instead_of_columns(mcp: Place) -> None:
    mcp.write(friendly=FRIENDLY, docs={"url": "https://example.org/${NOT_SET}"})
    with on_terminal(mcp, "list", columns=40) as terminal:
        assert terminal.end() == 0
        lines = terminal.text.splitlines()
        assert lines[lines.index("docs (http, on)") + 1] == "    https://example.org/${NOT_SET}"
    with on_terminal(mcp, "check", columns=40) as terminal:
        assert terminal.end() == 8
        lines = terminal.text.splitlines()
        assert "docs (failed)" in lines
        (works,) = [n for n, line in enumerate(lines) if line.startswith("friendly (works, ")]
        assert lines[works + 1].startswith("    11: add, environment, ")
        assert all(len(line) <= 40 for line in lines)


@pytest.mark.parametrize(("answer", "used"), [("\r", False), ("n\r", False), ("y\r", True)])
def test_a_project_is_shown_whole_and_only_a_yes_is_one(
    mcp: Place, monkeypatch: pytest.MonkeyPatch, answer: str, used: bool
) -> None:
    monkeypatch.chdir(mcp.folder)
    file = str(SERVERS / "friendly.py")
    code = f"import runpy, sys; sys.argv = ['', 'stdio']; runpy.run_path({file!r}, run_name='__main__')"
    entry = {"command": sys.executable, "args": ["-c", code, "x" * 300 + "END", "\x1b[2J"]}
    (mcp.folder / ".mcp.json").write_text(json.dumps({"mcpServers": {"p": entry}}))
    with on_terminal(mcp, "check") as terminal:
        screen = terminal.wait(ASKED)
        command = "".join(line.strip() for line in screen.splitlines())
        assert "x" * 300 + 'END "\\u001b[2J"These commands' in command
        assert all(
            line.startswith(("This folder", "  ", "These commands", ASKED)) for line in screen.splitlines()
        )
        assert "run with all your rights" in screen
        terminal.type(answer)
        assert terminal.end() == 0
        assert ("works" in terminal.text) == used
    assert ("not accepted" in mcp("list").stdout) == (not used)


def test_a_changed_project_asks_again(mcp: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mcp.folder)
    file = mcp.folder / ".mcp.json"
    for change in ("one", "two"):
        file.write_text(json.dumps({"mcpServers": {"p": {**FRIENDLY, "env": {"CHANGE": change}}}}))
        with on_terminal(mcp, "check") as terminal:
            screen = terminal.wait(ASKED)
            assert ("has changed since you accepted it" in " ".join(screen.split())) == (change == "two")
            terminal.type("y\r")
            assert terminal.end() == 0
    with on_terminal(mcp, "check") as terminal:
        assert terminal.end() == 0
        assert ASKED not in terminal.text


def test_leaving_the_question_starts_nothing(mcp: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mcp.folder)
    (mcp.folder / ".mcp.json").write_text(json.dumps({"mcpServers": {"p": FRIENDLY}}))
    for key in ("\x03", "\x04"):
        with on_terminal(mcp, "check") as terminal:
            terminal.wait(ASKED)
            terminal.type(key)
            assert terminal.end() == 130
    assert not (mcp.file.parent / "tools" / "projects.json").exists()


def test_inputs_are_asked_for_and_passwords_not_shown(mcp: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mcp.folder)
    tell = "import os, sys; sys.exit('got ' + os.environ['KEY'][::-1] + os.environ['PLACE'] + os.environ['PLAIN'])"
    env = {"KEY": "${input:key}", "PLACE": "${input:place}", "PLAIN": "${input:plain}"}
    inputs = [
        {"type": "promptString", "id": "key", "description": "The key", "password": True},
        {"type": "pickString", "id": "place", "description": "Where", "options": ["here", "there"]},
        {"type": "promptString", "id": "plain", "description": "Plainly", "default": "usual"},
    ]
    servers = {"s": {"command": sys.executable, "args": ["-c", tell], "env": env}}
    mcp.write(json.dumps({"servers": servers, "inputs": inputs}))
    with on_terminal(mcp, "check") as terminal:
        terminal.wait("The key:")
        terminal.type("hunter2\r")
        terminal.wait("Where:")
        terminal.type("nowhere\r")
        terminal.wait(lambda text: text.count("Where:") == 2)
        terminal.type("2\r")
        terminal.wait("Plainly [usual]:")
        terminal.type("\r")
        assert terminal.end() == 8
        assert "got 2retnuhthereusual" in terminal.text
        assert "hunter2" not in terminal.text


def test_ctrl_c_ends_a_check_and_its_servers(mcp: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mcp.folder)
    mark = mcp.folder / "mark"
    code = (
        f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    mcp.write(mute={"command": sys.executable, "args": ["-c", code]})
    with on_terminal(mcp, "check") as terminal:
        terminal.wait("starting 1 server")
        terminal.wait(lambda _: mark.exists() and bool(mark.read_text()))
        terminal.type("\x03")
        assert terminal.end() == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_the_group_loads_nothing_heavy_for_a_list(environ: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from qwen3cli.cli import main\n"
        "main(['mcp', 'list'])\n"
        "print(sorted({'mcp', 'jsonschema', 'httpx2', 'asyncio', 'ssl'} & set(sys.modules)))\n"
    )
    env = {**environ, "QWEN3_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[]\n"
