"""Ctrl-C and other endings at moments that are easy to miss, and streams that take nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qwen3cli.engines
from qwen3cli.chat.events import Event
from qwen3cli.cli import main
from qwen3cli.cli.desk import ChatDesk
from tests.conftest import Run
from tests.terminal.screen import Tty

SUM = ("What is 2 + 3?", "--temperature", "0", "--no-think")


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_key_pressed_when_the_model_is_just_in_memory(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QWEN3_HOME", str(shared_home))
    really = qwen3cli.engines.open_engine

    def opened(*arguments: Any, **named: Any) -> Any:
        engine = really(*arguments, **named)
        press()
        return engine

    monkeypatch.setattr(qwen3cli.engines, "open_engine", opened)
    assert main(["chat", "demo", *SUM]) == 130
    assert capfd.readouterr().out == ""


def test_a_key_pressed_just_before_the_turn(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QWEN3_HOME", str(shared_home))
    really = ChatDesk.say

    def say(desk: ChatDesk, text: str) -> Iterator[Event]:
        press()
        return really(desk, text)

    monkeypatch.setattr(ChatDesk, "say", say)
    assert main(["chat", "demo", *SUM, "--json"]) == 130
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[-1]["finish"] == "interrupted"
    assert "text" not in {event["event"] for event in events}


def test_a_key_pressed_while_modules_load() -> None:
    code = """
import sys
class Pressed:
    def find_spec(self, name, *_):
        if name == "qwen3cli.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from qwen3cli.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_key_pressed_while_stdin_is_awaited_is_an_event(qwen3_process: subprocess.Popen[str]) -> None:
    qwen3_process.send_signal(signal.SIGINT)
    out, _ = qwen3_process.communicate(timeout=60)
    assert qwen3_process.returncode == 130
    assert json.loads(out) == {"event": "error", "message": "interrupted", "exit_code": 130}


@pytest.fixture
def qwen3_process(shared_home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for the end of its stdin, and has said so."""
    ready = tmp_path / "ready"
    code = f"""
import sys
from pathlib import Path
from qwen3cli.cli import main, prompt
really = prompt.piped_input
def waiting(stdin):
    Path({str(ready)!r}).touch()
    return really(stdin)
prompt.piped_input = waiting
sys.exit(main(["chat", "demo", "--json"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "QWEN3_HOME": str(shared_home)},
    )
    while not ready.exists():
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_killed_chat_gives_the_terminal_back(shared_home: Path, number: signal.Signals) -> None:
    # Not `Tty`: the end that a shell would hold has to outlive the program.
    ours, shell = pty.openpty()
    before = termios.tcgetattr(shell)[:4]
    process = subprocess.Popen(
        [sys.executable, "-m", "qwen3cli", "chat", "demo"],
        stdin=shell,
        stdout=shell,
        stderr=shell,
        start_new_session=True,
        env={**os.environ, "QWEN3_HOME": str(shared_home), "TERM": "xterm"},
    )
    seen = b""
    while b">>> " not in seen:
        seen += os.read(ours, 65536)
    assert termios.tcgetattr(shell)[:4] != before
    process.send_signal(number)
    while process.poll() is None:
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65536)
    assert process.returncode == 128 + number
    assert b"Traceback" not in seen
    assert termios.tcgetattr(shell)[:4] == before
    os.close(ours)
    os.close(shell)


def test_a_message_given_up_is_taken_back(shared_home: Path) -> None:
    arguments = ["qwen3cli", "chat", "demo", "--ctx", "60000"]
    with Tty(arguments, columns=90, lines=30, QWEN3_HOME=str(shared_home)) as terminal:
        terminal.wait(">>> ")
        terminal.type("\x1b[200~" + "many words " * 11_000 + "\x1b[201~")
        terminal.wait("many words")
        terminal.type("\r")
        terminal.wait("Reading the prompt")
        terminal.type("\x03")
        terminal.wait("taken back")
        terminal.type("/show context\r")
        terminal.wait(lambda screen: re.search(r"messages +0$", screen, re.MULTILINE) is not None)


@pytest.mark.parametrize("arguments", [["--bogus"], ["--temperature", "abc"], ["--top-p", "2"]])
def test_every_wrong_option_is_an_event(qwen3: Run, arguments: list[str]) -> None:
    done = qwen3("chat", "demo", "hi", *arguments, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    assert qwen3("chat", "demo", *arguments, "--", "--json").stdout == ""


def test_notices_before_the_turn_are_events(qwen3: Run) -> None:
    done = qwen3("chat", "demo", "hi", "--raw", "--max-tokens", "2", "--json", "--ctx", "5000", "-s", "x")
    messages = [e["message"] for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "notice"]
    assert any("was trained for" in message for message in messages)
    assert any("the system prompt is not used" in message for message in messages)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_streams_that_take_nothing(qwen3: Run) -> None:
    program = [sys.executable, "-m", "qwen3cli"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, "bug" in done.stderr) == (6, False)
        assert subprocess.run([*program, "nope"], stderr=full).returncode == 2


def test_on_a_shared_pipe_our_lines_are_their_own(shared_home: Path) -> None:
    command = [sys.executable, "-m", "qwen3cli", "chat", "demo", *SUM, "--stats"]
    env = {**os.environ, "QWEN3_HOME": str(shared_home)}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    assert done.stdout.splitlines()[0] == "2 + 3 = 5."
    alone = subprocess.run(command, capture_output=True, text=True, env=env)
    assert alone.stdout == "2 + 3 = 5."
    assert not alone.stderr.startswith("\n")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["demo", "hi", "--stop", ""], "stop"),
        (["demo", "hi", "--think", "--think-budget", "0"], "contradict"),
        (["demo", "hi", "--hide-thinking", "--show-thinking"], "exclude"),
        (["", "hi"], "MODEL is empty"),
        (["demo", "hi", "--ctx", "1" + "0" * 23], "--ctx"),
        (["demo", "hi", "--think-budget", "9" * 12], "--think-budget"),
        (["demo", "\udcff\udcfe hi"], "UTF-8"),
        (["demo", "hi", "-s", "\udcff"], "--system"),
    ],
)
def test_what_makes_no_sense_is_said(qwen3: Run, arguments: list[str], word: str) -> None:
    done = qwen3("chat", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr


def test_an_endless_stdin_is_refused(shared_home: Path, tmp_path: Path) -> None:
    with (tmp_path / "big").open("w+b") as big:
        big.truncate(65 << 20)
        command = [sys.executable, "-m", "qwen3cli", "chat", "demo"]
        done = subprocess.run(command, stdin=big, capture_output=True, text=True)
    assert done.returncode == 2
    assert "more than 64 MB" in done.stderr
