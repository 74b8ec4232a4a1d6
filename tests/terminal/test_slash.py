from __future__ import annotations

import re
from dataclasses import replace

import pytest

from qwen3cli.chat.messages import Message
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.errors import ModelNotFound, QwenError, UsageError
from qwen3cli.terminal.command import Seat
from qwen3cli.terminal.settings import PARAMETERS, SETTINGS, SHOWABLE
from qwen3cli.terminal.slash import COMMANDS, complete_line, run_line
from tests.terminal.fakes import FakeDesk, Terminal, console


class Room:
    """A seat with its desk, and what was printed."""

    def __init__(self, *, columns: int = 80) -> None:
        self.desk = FakeDesk()
        self.out, self.err = Terminal(), Terminal()
        screen = console(out=self.out, err=self.err, COLUMNS=str(columns), NO_COLOR="1")
        self.seat = Seat(self.desk, screen)

    def run(self, line: str) -> str:
        """Run a command and return what it printed."""
        before = len(self.out.getvalue()), len(self.err.getvalue())
        assert run_line(self.seat, line)
        return self.out.getvalue()[before[0] :] + self.err.getvalue()[before[1] :]


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "/think about it",
        "/no_think what is 2+2",
        "/think\nabout it",
        "/home/user/x",
        "/etc/passwd what is this",
        "/etc",
        "/tmp what is in it",
        "/* a comment */",
        "// a comment",
        "/",
        "/ help",
        " /help",
        "/clear\nand then",
        "/think,",
        "what does /help do",
    ],
)
def test_messages_are_no_commands(room: Room, line: str) -> None:
    assert not run_line(room.seat, line)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/hlep", "`/help`"),
        ("/quitt", "`/quit`"),
        ("/xyzzy", "Type /? for help"),
        ("/s", ""),
    ],
)
def test_unknown_commands_name_the_nearest(room: Room, line: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_line(room.seat, line)
    assert f"`{line.split()[0]}`" in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "space before it" in (caught.value.hint or "")


def test_names_are_unique() -> None:
    for table in (COMMANDS, SETTINGS, SHOWABLE):
        names = [name for command in table for name in command.names]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("columns", [40, 80])
def test_help_is_the_table(columns: int) -> None:
    room = Room(columns=columns)
    text = room.run("/help")
    assert room.run("/?") == text
    for command in COMMANDS:
        assert all(f"/{name}" in text for name in command.names)
        assert command.help.split()[0] in text
    assert all(len(line) < columns for line in text.splitlines())
    for command in SETTINGS:
        assert f"/set {command.names[0]}" in room.run("/help set")
        assert f"/set {command.names[0]}" in room.run("/set")
    for command in SHOWABLE:
        assert f"/show {command.names[0]}" in room.run("/help /show")
    assert "Ctrl-R" in room.run("/? keys")


def test_think_and_no_think(room: Room) -> None:
    assert "Set 'nothink' mode." in room.run("/no_think")
    assert room.desk.settings.thinking is False
    assert "Set 'think' mode." in room.run("/think")
    assert room.desk.settings.thinking is True
    for line in ("/nothink", "/no-think", "/set nothink", "/set think off"):
        room.run("/set think")
        room.run(line)
        assert room.desk.settings.thinking is False
    room.run("/set think default")
    assert room.desk.settings.thinking is None


def test_think_says_that_the_next_message_carries_it_where_an_earlier_switch_holds(room: Room) -> None:
    room.desk.conversation.append(Message("user", "/no_think hello"))
    text = room.run("/think")
    assert "Set 'think' mode." in text
    assert "the next message carries `/think`" in text
    assert room.desk.carried


def test_think_says_that_a_budget_of_nothing_keeps_it_off(room: Room) -> None:
    room.run("/set budget 0")
    text = room.run("/think")
    assert "budget of 0" in text
    assert "Set 'nothink' mode." in text
    assert not room.desk.carried


def test_an_impossible_switch_is_refused(room: Room) -> None:
    room.desk.engine.thinking_mode = ThinkingMode.ALWAYS
    with pytest.raises(UsageError, match="always thinks"):
        run_line(room.seat, "/nothink")
    assert room.desk.settings.thinking is None


def test_budget(room: Room) -> None:
    assert "a budget of 2,048 tokens" in room.run("/set budget 2048")
    assert room.desk.settings.think_budget == 2048
    assert "no budget" in room.run("/set budget off")
    assert room.desk.settings.think_budget is None


def test_parameters(room: Room) -> None:
    room.run("/set parameter temperature 0.2")
    room.run("/set parameter seed 7")
    room.run("/set parameter max_tokens 100")
    room.run("/set parameter stop 'two words' END")
    settings = room.desk.settings
    assert settings.sampling == SamplingChoice(temperature=0.2, seed=7)
    assert settings.max_tokens == 100
    assert settings.stop == ("two words", "END")
    shown = {line.split()[0]: line.split()[1:] for line in room.run("/show parameters").splitlines()}
    assert shown["temperature"] == ["0.2", "(set)"]
    assert shown["top_p"] == ["0.95"]
    assert shown["max_tokens"] == ["100", "(set)"]
    for name in PARAMETERS:
        room.run(f"/set parameter {name} default")
    assert room.desk.settings == type(settings)()


def test_parameters_follow_the_mode(room: Room) -> None:
    room.run("/no_think")
    assert "0.7" in room.run("/show parameters")


@pytest.mark.parametrize(
    "line",
    [
        "/set parameter",
        "/set parameter temperature",
        "/set parameter temperature hot",
        "/set parameter temperature nan",
        "/set parameter nonsense 1",
        "/set parameter max_tokens 0",
        "/set parameter max_tokens -3",
        "/set parameter stop 'open",
        "/set budget",
        "/set budget many",
        "/set think maybe",
        "/set verbose loud",
        "/set system",
        "/set nonsense",
        "/show nonsense",
        "/show info now",
        "/clear all",
        "/bye now",
        "/nothink about it",
        "/help nonsense",
    ],
)
def test_what_makes_no_sense_changes_nothing(room: Room, line: str) -> None:
    before = room.desk.settings
    with pytest.raises(UsageError):
        run_line(room.seat, line)
    assert room.desk.settings == before
    assert not room.seat.leaving


@pytest.mark.parametrize(
    ("line", "system"),
    [
        ("/set system You are brief", "You are brief"),
        ('/set system "You are brief"', "You are brief"),
        ('/set system """You\n are brief"""', "You\n are brief"),
        ('/set system """\nYou\n"""', "You"),
        ('/set system ""', None),
    ],
)
def test_system(room: Room, line: str, system: str | None) -> None:
    room.desk.conversation.system = "before"
    room.run(line)
    assert room.desk.conversation.system == system
    assert (system or "There is no system message") in room.run("/show system")


def test_verbose_and_history(room: Room) -> None:
    room.run("/set verbose")
    assert room.desk.settings.verbose
    room.run("/set quiet")
    assert not room.desk.settings.verbose
    room.run("/set nohistory")
    assert not room.seat.recording
    room.run("/set history")
    assert room.seat.recording


def test_show(room: Room) -> None:
    info = room.run("/show info")
    for fact in ("fake", "qwen3", "3.4 M", "Q8_0", "6.8 MB", "40,960 tokens", "hybrid", "/models/fake.gguf"):
        assert fact in info
    room.desk.context_used = 1024
    assert "1,024 of 4,096 tokens (25%)" in room.run("/show context")
    assert "you are asked what makes way" in room.run("/show context")


def test_what_the_model_does_not_see_is_shown(room: Room) -> None:
    conversation = room.desk.conversation
    assert "Nothing was summed up." in room.run("/show summary")
    conversation.append(*(Message("user", "one"), Message("assistant", "two")) * 2)
    conversation.condense(2)
    assert re.search(r"not seen +2 older messages; in their place nothing", room.run("/show context"))
    pair = (Message("user", "sum up"), Message("assistant", "They \x1b[2J talked."))
    conversation.condense(1, [*pair, Message("user", "one /no_think")])
    assert "2 older messages; in their place a summary, `/show summary`" in room.run("/show context")
    assert room.run("/show summary") == "They ␛[2J talked.\n"


def test_what_happens_at_the_limit_can_be_set(room: Room) -> None:
    assert room.run("/set when-full Drop") == "When the context is full, the oldest turns are dropped.\n"
    assert room.desk.settings.when_full == "drop"
    for line in ("/set when-full", "/set when-full often"):
        with pytest.raises(UsageError, match="takes ask, summarise, drop or stop"):
            run_line(room.seat, line)
    assert room.desk.settings.when_full == "drop"


def test_model(room: Room) -> None:
    assert room.run("/model").splitlines()[:2] == ["*    fake", "     other"]
    assert "`other`" in room.run("/model other")
    assert room.desk.facts.name == "other"
    with pytest.raises(ModelNotFound):
        run_line(room.seat, "/model nonsense")
    assert room.desk.facts.name == "other"
    room.desk.facts = replace(room.desk.facts, name="file")
    assert room.run("/model").splitlines()[:2] == ["*    file", "     fake"]


def test_clear(room: Room) -> None:
    room.desk.conversation.append(Message("user", "hello"))
    assert "Cleared" in room.run("/clear")
    assert room.desk.conversation.turns == ()


@pytest.mark.parametrize("line", ["/bye", "/exit", "/quit", "/BYE"])
def test_bye(room: Room, line: str) -> None:
    room.run(line)
    assert room.seat.leaving


@pytest.mark.parametrize(
    ("text", "word", "choices"),
    [
        ("/s", "/s", ["/set", "/show"]),
        ("/no", "/no", ["/no_think", "/nothink", "/no-think"]),
        ("/set t", "t", ["think"]),
        ("/set think o", "o", ["on", "off"]),
        ("/set parameter to", "to", ["top_p", "top_k"]),
        ("/set parameter top_p ", "", ["default"]),
        ("/set parameter top_p 1 ", "", []),
        ("/show ", "", ["info", "parameters", "system", "context", "summary"]),
        ("/set when-full s", "s", ["summarise", "stop"]),
        ("/model o", "o", ["other"]),
        ("/model other o", "o", []),
        ("/help se", "se", ["set"]),
        ("/nonsense x", "x", []),
        ("hello /s", "/s", []),
    ],
)
def test_completion(room: Room, text: str, word: str, choices: list[str]) -> None:
    assert complete_line(room.desk, text) == (word, choices)


def test_completion_offers_every_command(room: Room) -> None:
    assert complete_line(room.desk, "/")[1] == [f"/{command.names[0]}" for command in COMMANDS]


def test_what_is_completed_runs(room: Room) -> None:
    for name in complete_line(room.desk, "/")[1]:
        run_line(room.seat, name)
    for name in complete_line(room.desk, "/show ")[1]:
        run_line(room.seat, f"/show {name}")


def test_texts_from_outside_are_sanitised(room: Room) -> None:
    room.desk.conversation.system = "\x1b[2J"
    assert "\x1b" not in room.run("/show system")
    with pytest.raises(QwenError):
        run_line(room.seat, "/model \x1b[2J")
