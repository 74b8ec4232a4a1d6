"""The REPL as a person meets it: the real program, the demo model, a real pseudo-terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hubs.hub import Hub
from tests.hubs.repository import Repository
from tests.terminal.screen import Tty

PROMPT = ">>> "


@pytest.fixture
def chat(shared_home: Path) -> Iterator[Tty]:
    arguments = ["qwen3cli", "chat", "demo", "--temperature", "0"]
    with Tty(arguments, columns=100, lines=40, QWEN3_HOME=str(shared_home)) as terminal:
        terminal.wait(PROMPT)
        yield terminal


def say(terminal: Tty, text: str, prompts: int) -> str:
    """Type a line and wait until the prompt has come that often."""
    terminal.type(f"{text}\r")
    return terminal.wait(lambda screen: screen.count(PROMPT) >= prompts)


def test_a_question_is_thought_about_and_answered(chat: Tty) -> None:
    screen = say(chat, "What is 2 + 3?", 2)
    heading, end = screen.index("Thinking..."), screen.index("...done thinking.")
    assert heading < end < screen.index("2 + 3 = 5.")


def test_thinking_is_switched_off_and_on_again(chat: Tty) -> None:
    say(chat, "/no_think", 2)
    screen = say(chat, "What is 2 + 3?", 3)
    assert "2 + 3 = 5." in screen
    assert "Thinking..." not in screen
    say(chat, "/think", 4)
    screen = say(chat, "What is 3 + 4?", 5)
    assert screen.index("Thinking...") < screen.index("3 + 4 = 7.")


def test_a_soft_switch_in_a_message_stays(chat: Tty) -> None:
    say(chat, "What is 2 + 3? /no_think", 2)
    screen = say(chat, "What is 3 + 4?", 3)
    assert "3 + 4 = 7." in screen
    assert "Thinking..." not in screen


def test_chinese_is_understood_and_shown(chat: Tty) -> None:
    assert "我是 qwen3cli" in say(chat, "你是谁？ /no_think", 2)


def test_clear_gives_the_context_back(chat: Tty) -> None:
    # The engine's own count: what every prompt begins with.
    chat.wait("demo · thinking · 3/4,096")
    say(chat, "Hello! /no_think", 2)
    chat.wait(lambda screen: "demo · not thinking · " in screen and "· 3/4,096" not in screen)
    say(chat, "/clear", 3)
    chat.wait("demo · thinking · 3/4,096")


def test_ctrl_d_leaves_with_0(chat: Tty) -> None:
    chat.type("\x04")
    assert chat.end() == 0


def test_ctrl_c_twice_leaves_with_130(chat: Tty) -> None:
    chat.type("\x03")
    chat.wait("Ctrl-D or /bye")
    chat.type("\x03")
    assert chat.end() == 130


def first_chat(home: Path, endpoint: str = "http://127.0.0.1:9") -> Tty:
    hubs = {"HF_ENDPOINT": endpoint, "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(home / "hf")}
    return Tty(["qwen3cli", "chat"], columns=100, lines=40, QWEN3_HOME=str(home), **hubs)


@pytest.fixture
def hub(demo_q8_0: Path) -> Iterator[Hub]:
    small = Repository("Qwen/Qwen3-0.6B-GGUF", {"Qwen3-0.6B-Q8_0.gguf": demo_q8_0.read_bytes()})
    with Hub(small) as hub:
        yield hub


OFFER = "(n opens the demo): download 0.6b (4.2 MB, Q8_0) from Hugging Face? [Y/n]"


def test_with_nothing_installed_a_model_is_offered_and_the_demo_opens(tmp_path: Path, hub: Hub) -> None:
    with first_chat(tmp_path, hub.url) as terminal:
        terminal.wait(OFFER)
        terminal.type("what\r")
        terminal.type("n\r")
        terminal.wait("this is the built-in demo; `qwen3 pull 0.6b` installs a real model")
        terminal.wait(PROMPT)
        terminal.type("/bye\r")
        assert terminal.end() == 0
    assert hub.storage.server.asked() == []


def test_where_no_hub_can_be_reached_the_demo_opens(tmp_path: Path) -> None:
    with first_chat(tmp_path) as terminal:
        terminal.wait("ModelScope gives no listing")
        terminal.wait("built-in demo")
        terminal.wait(PROMPT)
        terminal.type("/bye\r")
        assert terminal.end() == 0


def test_a_person_gets_the_model_that_is_missing(tmp_path: Path, hub: Hub) -> None:
    with first_chat(tmp_path, hub.url) as terminal:
        terminal.wait(OFFER)
        terminal.type("\r")
        terminal.wait("installed 0.6b")
        terminal.wait(PROMPT)
        terminal.type("2+3 /no_think\r")
        terminal.wait("2 + 3 = 5.")
        terminal.type("/bye\r")
        assert terminal.end() == 0


def test_a_person_sees_one_shot_thinking_on_the_screen(shared_home: Path) -> None:
    arguments = ["qwen3cli", "chat", "demo", "What is 2 + 3?", "--temperature", "0"]
    with Tty(arguments, QWEN3_HOME=str(shared_home)) as terminal:
        assert terminal.end() == 0
        assert "Thinking..." in terminal.text
        assert "2 + 3 = 5." in terminal.text
