"""`--draft`: a model that drafts, none that does, and one that cannot."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.cli import main
from qwen3cli.cli.opening import RunOptions, opener
from qwen3cli.cli.session import Session
from qwen3cli.config import Config
from qwen3cli.errors import UsageError
from qwen3cli.paths import Paths
from qwen3cli.terminal.console import Console

ASK = ("chat", "demo", "Repeat: a b c d e f a b c d e f", "--no-think", "--temperature", "0", "--ctx", "512")
NOT_SMALLER = "`demo` is not smaller than `demo`: its drafts gain nothing"


@pytest.fixture(autouse=True)
def at_home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3_HOME", str(shared_home))
    monkeypatch.delenv("QWEN3_MODEL", raising=False)


def events(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_the_answer_is_the_same_whoever_drafts(capfd: pytest.CaptureFixture[str]) -> None:
    answers: list[str] = []
    for draft in ("off", "Prompt", "demo"):
        assert main([*ASK, "--json", "--draft", draft]) == 0
        told = events(capfd)
        answers.append("".join(event["text"] for event in told if event["event"] == "text"))
        notices = [event["message"] for event in told if event["event"] == "notice"]
        assert (NOT_SMALLER in notices) == (draft == "demo")
        stats = told[-1]["stats"]
        assert stats["accepted_tokens"] <= stats["drafted_tokens"]
        assert draft != "off" or stats["drafted_tokens"] == 0
    assert answers[0] and len(set(answers)) == 1


def test_what_cannot_draft_is_said(tiny_gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for draft, code, words in (
        (str(tiny_gguf), 2, "`tiny` cannot draft for `demo`: their vocabularies differ, they have"),
        ("nobodys-model", 3, "there is no model `nobodys-model`"),
        ("", 3, "there is no model ``"),
    ):
        assert main([*ASK, "--draft", draft]) == code
        out, err = capfd.readouterr()
        assert (out, words in err) == ("", True), err


def test_another_model_is_opened_without_drafts_that_do_not_suit_it(
    tiny_gguf: Path, shared_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = Session(Console(), Config(Paths.of({"QWEN3_HOME": str(shared_home)})))
    options = RunOptions(512, 1, draft="demo")
    with pytest.raises(UsageError, match="`demo` cannot draft for `tiny`"):
        opener(session, options)(str(tiny_gguf))
    with closing(opener(session, options)(str(tiny_gguf), again=True)[1]):
        assert "vocabularies differ" in (told := capfd.readouterr().err)
        assert "drafts are looked up in the context only" in told
    # One that suits it stays.
    with closing(opener(session, options)("demo", again=True)[1]):
        assert "looked up" not in capfd.readouterr().err
