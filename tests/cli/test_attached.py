"""Which resources a message names, and what becomes of it; the servers behind them are given."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.events import Text
from qwen3cli.cli.answers import AnswerCheck
from qwen3cli.cli.attached import Attachments
from qwen3cli.errors import Interrupted, QwenError, UsageError
from qwen3cli.tools.kinds import RawResult, TextBlock
from qwen3cli.tools.offers import RemoteResource
from tests.chat.fakes import ScriptedEngine, ended


class FakeHost:
    """Has one resource for each address but `gone`; it lists a few."""

    def __init__(self, text: str = "what it holds") -> None:
        self.read_of: list[tuple[str, str]] = []
        self._text = text

    def resources(self) -> list[RemoteResource]:
        uris = ("note://a", "note://a/b", "note://笔记")
        return [RemoteResource("docs", uri) for uri in uris] + [RemoteResource("web", "note://a/b/c")]

    def read(self, server: str, uri: str, cancelled: threading.Event) -> RawResult:
        if cancelled.is_set():
            raise Interrupted
        if uri == "gone":
            raise QwenError("nobody knows it", "look elsewhere")
        self.read_of.append((server, uri))
        return RawResult((TextBlock(self._text),))


def attachments(host: FakeHost, folder: Path) -> Attachments:
    return Attachments(cast("Any", host), ["docs", "web"], folder, 0.25)


def put(host: FakeHost, folder: Path, text: str, free: int = 4000) -> str:
    engine = ScriptedEngine()
    return attachments(host, folder).put(text, free, engine, threading.Event())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("@docs:note://x", [("docs", "note://x")]),
        ("see @docs:note://x, and @web:http://y/z?q=1.", [("docs", "note://x"), ("web", "http://y/z?q=1")]),
        ("@docs:note://x @docs:note://x\n@docs:note://x!", [("docs", "note://x")]),
        ("请看@docs:note://a/b的内容。", [("docs", "note://a/b")]),
        ("看“@docs:note://笔记”。", [("docs", "note://笔记")]),
        ("@docs:note://笔记/二", [("docs", "note://笔记")]),
        ("@docs:file:///家", [("docs", "file:///家")]),
        ("me@docs:x (@docs:x) @nobody:x @docs: @docs:. docs:x", []),
    ],
)
def test_what_a_message_names_is_below_it(tmp_path: Path, text: str, read: list[tuple[str, str]]) -> None:
    host = FakeHost()
    said = put(host, tmp_path, text)
    assert host.read_of == read
    assert said == "\n\n".join([text, *(f"{uri}:\nwhat it holds" for _, uri in read)])
    assert bool(attachments(host, tmp_path).named(text)) == bool(read)


def test_long_ones_share_their_part_of_the_context(tmp_path: Path) -> None:
    long = attachments(FakeHost("x" * 50_000), tmp_path)
    said = long.put("@docs:note://a @web:note://c", 8000, ScriptedEngine(), threading.Event())
    assert 1000 < len(said) < 2200
    assert said.count("saved to") == len(list(tmp_path.iterdir())) == 2
    # The person hears of it, once.
    told = " has 50,000 characters, and there is room for about 1,000 tokens: the model sees its beginning and its end"
    assert long.news() == [f"`@docs:note://a`{told}", f"`@web:note://c`{told}"]
    assert long.news() == []


def test_what_cannot_be_read_is_said_and_a_person_can_stop_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`@docs:gone` cannot be attached: nobody knows it"):
        put(FakeHost(), tmp_path, "@docs:gone")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Interrupted):
        attachments(FakeHost(), tmp_path).put("@docs:x", 4000, ScriptedEngine(), stopped)


def test_each_turn_is_judged_by_its_own_answer() -> None:
    check = AnswerCheck({"type": "object"})
    try:
        for text, fits in (("{}", True), ("[]", False), ("{", False), ("{}", True)):
            check.begin()
            for event in (Text(text), ended()):
                check.hear(event)
            if fits:
                check.check()
            else:
                with pytest.raises(QwenError):
                    check.check()
    finally:
        check.close()
