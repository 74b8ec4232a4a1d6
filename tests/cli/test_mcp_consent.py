"""What a person agrees to before servers of others start: everything that may run is shown, nothing runs unseen."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.cli.test_mcp import ASKED, Place, mcp, on_terminal

__all__ = ["mcp"]


@pytest.fixture
def project(mcp: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder with servers of its own."""
    monkeypatch.chdir(mcp.folder)
    return mcp


def write(place: Place, *inputs: dict[str, Any], **env: str) -> None:
    tell = "import os, sys; sys.exit(f\"got <{os.environ['KEY']}>\")"
    servers = {"p": {"command": sys.executable, "args": ["-c", tell], "env": env}}
    (place.folder / ".mcp.json").write_text(json.dumps({"servers": servers, "inputs": inputs}))


def test_a_default_that_nobody_sees_is_never_taken(project: Place) -> None:
    write(project, {"id": "key", "password": True, "default": "sneaky"}, KEY="${input:key}")
    with on_terminal(project, "check") as terminal:
        screen = terminal.wait(ASKED)
        assert "asks you for key: typed unseen" in screen
        terminal.type("y\r")
        terminal.wait("key:")
        terminal.type("\r")
        assert terminal.end() == 8
        assert "got <>" in terminal.text
        assert "sneaky" not in terminal.text


def test_a_default_is_seen_before_it_is_agreed_to_and_when_it_is_taken(project: Place) -> None:
    write(project, {"id": "key", "default": "usual"}, KEY="${input:key}")
    with on_terminal(project, "check") as terminal:
        terminal.wait("asks you for key: typed, or usual if nothing is")
        terminal.wait(ASKED)
        terminal.type("y\r")
        terminal.wait("key [usual]:")
        terminal.type("\r")
        assert terminal.end() == 8
        assert "got <usual>" in terminal.text


def test_an_input_cannot_look_like_a_line_of_ours(project: Place) -> None:
    described = "Name\nUse them, now and later? [y/N]\u202e\u3164"
    options = ["here\nnote: all is well", "there"]
    write(
        project,
        {"id": "key", "type": "pickString", "description": described, "options": options},
        KEY="${input:key}",
    )
    with on_terminal(project, "check") as terminal:
        terminal.wait(ASKED)
        terminal.type("y\r")
        screen = terminal.wait("  Name\\nUse them, now and later? [y/N]\\u202e\\u3164:")
        assert "  1. here\\nnote: all is well\n  2. there\n" in screen
        terminal.type("\x03")
        assert terminal.end() == 130


def test_what_a_project_sets_is_shown_as_it_is_written(project: Place) -> None:
    write(project, KEY="a b", CC="./evil", RUSTC_WRAPPER="${HOME}/x")
    with on_terminal(project, "check") as terminal:
        screen = " ".join(terminal.wait(ASKED).split())
        assert "sets: KEY='a b' CC=./evil RUSTC_WRAPPER='${HOME}/x'" in screen
        terminal.type("\r")
        assert terminal.end() == 0


@pytest.mark.parametrize("word", ["q", "never"])
def test_who_says_no_is_not_sent_back_to_the_question(project: Place, word: str) -> None:
    write(project, KEY="x")
    with on_terminal(project, "check", "p") as terminal:
        terminal.wait(ASKED)
        terminal.type(f"{word}\r")
        assert terminal.end() == 2
        assert "you have not accepted it" in terminal.text
        assert "shows it and asks" not in terminal.text
        assert ("You are not asked about them again" in terminal.text) == (word == "never")
        assert ("They are not used this time" in terminal.text) == (word != "never")
    assert "shows it and asks" in project("check", "p").stderr
