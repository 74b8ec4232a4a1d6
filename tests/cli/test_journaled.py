"""A desk that remembers, on a scripted engine: what is on the disk at each moment, and what a chat begins with."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from qwen3cli.chat.events import Notice, Text, Thinking, ToolCalled, TurnEnded, Working
from qwen3cli.chat.messages import Message, ToolCall, ToolResult
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.cli.journaled import JournaledDesk
from qwen3cli.cli.opening import RunOptions
from qwen3cli.cli.resuming import Start, fitting, or_another, reference_of, started
from qwen3cli.cli.session import Session
from qwen3cli.config import Config
from qwen3cli.errors import InvalidFile, ModelNotFound, QwenError, UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.store import ModelStore
from qwen3cli.paths import Paths
from qwen3cli.sessions.folder import SessionFolder
from qwen3cli.sessions.journal import Journal
from qwen3cli.sessions.snapshot import LOST, Lasting, Snapshot
from tests.chat.fakes import FakeTools, ScriptedEngine, ended
from tests.cli.test_desk import FACTS
from tests.terminal.fakes import console

CALL = ToolCall("now", {})
Desk = Callable[..., JournaledDesk]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Opens a session of the name `tea` with an engine of so many rounds."""

    def open_one(*rounds: list[object], facts: ModelFacts = FACTS, **others: object) -> JournaledDesk:
        def open_model(name: str) -> tuple[ModelFacts, ScriptedEngine]:
            return replace(FACTS, name=name), ScriptedEngine([Text("other"), ended()])

        journal = Journal.open(tmp_path, "tea")
        made = JournaledDesk(
            facts,
            ScriptedEngine(*rounds),  # type: ignore[arg-type]
            ChatSettings(),
            system=journal.before.system if journal.before else None,
            open_model=open_model,
            store=ModelStore(tmp_path),
            **others,  # type: ignore[arg-type]
        )
        made.go_on(journal, "mine", RunOptions(kv_type="q8_0"))
        return made

    return open_one


def kept(tmp_path: Path) -> Snapshot:
    """What is on the disk now."""
    found = SessionFolder(tmp_path).get("tea").snapshot
    assert found is not None
    return found


def end(desk: JournaledDesk) -> None:
    desk.close()
    desk._journal.close()  # pyright: ignore[reportPrivateUsage]


def test_a_turn_is_on_the_disk_before_it_ends(desk: Desk, tmp_path: Path) -> None:
    one = desk([Thinking("hm"), Text("hi"), ended()])
    for event in one.say("hello"):
        if isinstance(event, TurnEnded):
            assert kept(tmp_path).messages == (Message("user", "hello"), Message("assistant", "hi", "hm"))
        else:
            assert SessionFolder(tmp_path).names() == []
    end(one)
    again = desk()
    assert again.conversation.messages == kept(tmp_path).messages
    end(again)


class Host(FakeTools):
    """As `Tooling`; its tool runs until `goes_on` is set."""

    waited_enough = False

    def __init__(self) -> None:
        super().__init__(self._slowly)
        self.goes_on_now = threading.Event()

    def _slowly(self, call: ToolCall, watch: Callable[[str], None]) -> ToolResult:
        watch("half of it")
        assert self.goes_on_now.wait(60)
        return ToolResult(call.name, "12:00")

    def use(self, _: object) -> None:
        """No tokens are counted."""

    def starting(self) -> tuple[()]:
        return ()

    def visits(self) -> tuple[()]:
        return ()

    def named(self, _: str) -> tuple[()]:
        return ()

    def end_turn(self) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """There are no servers."""


def test_a_call_is_on_the_disk_while_it_runs(desk: Desk, tmp_path: Path) -> None:
    host, meanwhile = Host(), list[Snapshot]()
    one = desk([ToolCalled(CALL), ended("tool_calls")], [Text("Noon."), ended()], tools=host)
    for event in one.say("What time is it?"):
        if isinstance(event, Working) and not meanwhile:
            meanwhile.append(kept(tmp_path))
            host.goes_on_now.set()
    asked = Message("user", "What time is it?"), Message("assistant", "", "", (CALL,))
    assert meanwhile[0].messages == (*asked, Message("tool", LOST))
    said = (*asked, Message("tool", "12:00"), Message("assistant", "Noon."))
    assert kept(tmp_path).messages == one.conversation.turns == said
    end(one)


def test_what_failed_and_what_was_only_asked_is_not_kept(desk: Desk, tmp_path: Path) -> None:
    one = desk([QwenError("no")], [Text("hi"), ended()], [QwenError("no")])
    with pytest.raises(QwenError):
        list(one.say("first"))
    assert SessionFolder(tmp_path).names() == []
    list(one.say("second"))
    with pytest.raises(QwenError):
        list(one.say("third"))
    assert [message.content for message in kept(tmp_path).messages] == ["second", "hi"]
    end(one)


def test_whoever_walks_away_keeps_what_was_said(desk: Desk, tmp_path: Path) -> None:
    one = desk([Text("hi"), Text(" there"), ended()])
    turn: Any = one.say("hello")
    assert next(turn) == Text("hi")
    turn.close()
    assert [message.content for message in kept(tmp_path).messages] == ["hello", "hi"]
    end(one)


def test_what_commands_change_is_kept(desk: Desk, tmp_path: Path) -> None:
    one = desk([Text("hi"), ended()], [Text("ho"), ended()])
    list(one.say("hello /no_think"))
    one.conversation.system = "Be brief."
    one.change(replace(one.settings, thinking=True, max_tokens=9, verbose=True, format={}))
    one.carry_think()
    one.prepare()
    now = kept(tmp_path)
    assert (now.model, now.system, now.settings.kv_type) == ("mine", "Be brief.", "q8_0")
    assert now.settings.chat == ChatSettings(thinking=True, max_tokens=9)
    end(one)
    again = desk([Text("ho"), ended()])
    assert again.thinks()
    list(again.say("again"))
    assert again.conversation.turns[-2] == Message("user", "again /think")
    again.switch("./models/other.gguf")
    assert kept(tmp_path).model == str(Path.cwd() / "models/other.gguf")
    again.clear()
    again.prepare()
    assert (kept(tmp_path).messages, kept(tmp_path).system) == ((), "Be brief.")
    end(again)


def test_what_the_model_does_not_see_is_kept(desk: Desk, tmp_path: Path) -> None:
    one = desk([Text("hi"), ended()])
    list(one.say("hello"))
    one.conversation.condense(2, [Message("user", "Sum up."), Message("assistant", "They greeted.")])
    one.prepare()
    seen = one.conversation.messages
    end(one)
    again = desk()
    assert (again.conversation.messages, len(again.conversation.turns)) == (seen, 2)
    end(again)


def test_the_engine_may_keep_what_is_written_down(desk: Desk) -> None:
    one = desk([Text("hi"), ended()])
    engine = cast(ScriptedEngine, one.engine)
    one.prepare()
    list(one.say("hello"))
    one.prepare()
    one.clear()
    one.prepare()
    assert engine.sessions == [None, "tea", None]
    end(one)
    # As a run with one prompt does, which nobody prepares for another one.
    once = desk([Text("ho"), ended()])
    engine = cast(ScriptedEngine, once.engine)
    list(once.say("hello"))
    end(once)
    assert engine.sessions == ["tea"]


def test_a_full_disk_is_told_once_and_the_chat_goes_on(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk([Text("hi"), ended()], [Text("ho"), ended()])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        events = list(one.say("hello"))
        assert [type(event) for event in events] == [Text, Notice, TurnEnded]
    assert [type(event) for event in one.say("again")] == [Text, TurnEnded]
    assert len(kept(tmp_path).messages) == 4
    end(one)


def test_a_model_that_completes_text_has_no_sessions(desk: Desk) -> None:
    with pytest.raises(UsageError, match="`mine` completes text"):
        desk(facts=replace(FACTS, base=True))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(console(err=io.StringIO()), Config(Paths(tmp_path)))


SAID = (Message("user", "2 + 3?"), Message("assistant", "5"))


def write(session: Session, now: Snapshot, name: str = "tea") -> None:
    journal = Journal.open(session.config.paths.sessions, name)
    journal.follow(now)
    journal.close()


def start(
    session: Session,
    settings: ChatSettings | None = None,
    *,
    name: str | None = "tea",
    model: str | None = None,
    options: RunOptions | None = None,
    system: str | None = None,
    latest: bool = False,
    repl: bool = False,
) -> Start:
    wanted = Start(model, options or RunOptions(), settings or ChatSettings(), system)
    with started(session, wanted, name, latest=latest, repl=repl) as begun:
        return begun


def test_what_is_given_now_wins_over_what_the_session_has(session: Session) -> None:
    sampling = SamplingChoice(temperature=0.5, seed=7)
    chat = ChatSettings(False, 100, sampling, 50, ("END",), when_full="drop")
    write(session, Snapshot("8b", "Be brief.", Lasting(chat, context=8192, kv_type="q8_0"), SAID))
    old = start(session)
    assert (old.model, old.system, old.settings) == ("8b", "Be brief.", chat)
    assert (old.options.context, old.options.kv_type) == (8192, "q8_0")
    assert (old.old_model, old.old_thinking) == (True, True)
    given = ChatSettings(True, 7, SamplingChoice(temperature=0.0), 9, ("\n",), verbose=True, when_full="ask")
    new = start(session, given, model="4b", options=RunOptions(context=1024, kv_type="f16"), system="")
    assert (new.model, new.system, new.options) == ("4b", "", RunOptions(context=1024, kv_type="f16"))
    assert new.settings == replace(given, sampling=SamplingChoice(temperature=0.0, seed=7))
    assert (new.old_model, new.old_thinking) == (False, False)


def test_thinking_that_is_turned_on_ends_a_budget_of_nothing(session: Session) -> None:
    write(session, Snapshot("8b", None, Lasting(ChatSettings(think_budget=0)), SAID))
    assert start(session).settings.think_budget == 0
    assert start(session, ChatSettings(thinking=True)).settings.think_budget is None


def test_only_a_chat_at_the_prompt_is_kept_unasked(session: Session, tmp_path: Path) -> None:
    raw = ChatSettings(raw=True)
    assert start(session, name=None).journal is None
    assert start(session, raw, name=None, repl=True).journal is None
    assert start(session, name=None, repl=True).journal is not None
    (tmp_path / "config.toml").write_text("[sessions]\nkeep = false\n")
    assert start(session, name=None, repl=True).journal is None
    assert start(session, repl=True).journal is not None
    (tmp_path / "config.toml").write_text("[sessions]\nkeep = 'no'\n")
    with pytest.raises(InvalidFile, match=r"sessions\.keep"):
        start(session, name=None, repl=True)


def test_what_the_disk_refuses_at_the_very_end_is_told(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise OSError(5, "Input/output error")

    wanted = Start(None, RunOptions(), ChatSettings(), None)
    with started(session, wanted, None, latest=False, repl=True) as begun:
        assert begun.journal is not None
        begun.journal.follow(Snapshot("8b", messages=SAID))
        monkeypatch.setattr(os, "fsync", refused)
    stream = session.console.err._stream  # pyright: ignore[reportPrivateUsage]
    assert "cannot be written: Input/output error" in cast(io.StringIO, stream).getvalue()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latest": True}, "exclude each other"),
        ({"name": None, "latest": True}, "no session to go on with"),
        ({"name": "../tea"}, "no session can be called"),
        ({"settings": ChatSettings(raw=True)}, "`--raw` completes text"),
    ],
)
def test_what_makes_no_sense_is_told(session: Session, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        start(session, **options)


def test_the_latest_is_gone_on_with(session: Session) -> None:
    for age, name in enumerate(("b", "c", "a")):
        write(session, Snapshot("8b", messages=SAID), name)
        path = session.config.paths.sessions / f"{name}.jsonl"
        os.utime(path, (1e9 - age, 1e9 - age))
    begun = start(session, name=None, latest=True)
    assert begun.before == Snapshot("8b", messages=SAID)
    stream = session.console.err._stream  # pyright: ignore[reportPrivateUsage]
    assert "session `b`: 1 turn, used " in cast(io.StringIO, stream).getvalue()


def test_a_switch_for_another_kind_of_model_is_left_out_with_a_notice(session: Session) -> None:
    write(session, Snapshot("8b", None, Lasting(ChatSettings(thinking=False)), SAID))
    old, always = start(session), ScriptedEngine(mode=ThinkingMode.ALWAYS)
    assert fitting(session, old, ScriptedEngine()).thinking is False
    assert fitting(session, old, always).thinking is None
    given = start(session, ChatSettings(thinking=False))
    assert fitting(session, given, always).thinking is False


def test_a_model_that_is_gone_can_be_replaced(session: Session) -> None:
    write(session, Snapshot("8b", messages=SAID))
    begun = start(session)
    for one, hint in ((replace(begun, journal=None), "x"), (begun, "chat MODEL --session")):
        with pytest.raises(ModelNotFound) as caught, or_another(one):
            raise ModelNotFound("gone", "x")
        assert hint in str(caught.value.hint)


def test_a_path_opens_the_same_model_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference_of("./a.gguf") == str(tmp_path / "a.gguf")
    assert [reference_of(name) for name in ("8b", "demo", "Qwen/Qwen3-8B-GGUF:Q4_K_M")] == [
        "8b",
        "demo",
        "Qwen/Qwen3-8B-GGUF:Q4_K_M",
    ]
