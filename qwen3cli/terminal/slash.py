"""The table of slash commands: it runs them, prints `/help` and drives completion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from qwen3cli.chat.ports import Desk
from qwen3cli.terminal.blocks import MARK, is_block
from qwen3cli.terminal.command import Command, Seat, find, print_pairs, print_table, take_nothing, unknown
from qwen3cli.terminal.settings import SETTINGS, SHOWABLE, choices_in, run_in, switch_thinking
from qwen3cli.terminal.tools import (
    PREFIX,
    TOOLS_HELP,
    choose_tools,
    complete_resource,
    prompt_names,
    run_prompt,
    run_tools,
)

# Qwen's own switches; with text after them they are part of a message.
_SOFT_SWITCHES = ("think", "no_think")
# What could be meant as a command; `/home/me`, `/*` and `//` could not.
_COMMAND_LINE = re.compile(r"/(?P<name>mcp:\S{1,200}|[A-Za-z?][\w-]{0,40})(?:\s+(?P<rest>.*))?\Z", re.DOTALL)

KEYS = (
    ("Enter", "send the message"),
    ("Ctrl-J", "new line"),
    ("Ctrl-C", "stop the reply; clear the line"),
    ("Ctrl-D", "leave, on an empty line"),
    ("Ctrl-R", "search the history"),
    ("Ctrl-G", "write the message in your editor"),
    ("Ctrl-L", "clear the screen"),
    ("Tab", "complete a command or a file name"),
)


def _help(seat: Seat, rest: str) -> None:
    if rest in ("keys", "shortcuts"):
        seat.console.table(KEYS, indent="  ")
    elif rest:
        _help_one(seat, rest)
    else:
        print_table(seat, COMMANDS, "/")
        seat.console.talk('Begin with """ to write several lines. /help keys lists the keys.')


def _help_one(seat: Seat, name: str) -> None:
    name = name.removeprefix("/")
    command = find(COMMANDS, name)
    if command is None:
        raise unknown(COMMANDS, name, "/")
    print_table(seat, [command], "/")
    if "tools" in command.names:
        print_pairs(seat, TOOLS_HELP)
    for group, table in (("set", SETTINGS), ("show", SHOWABLE)):
        if group in command.names:
            print_table(seat, table, f"/{group} ")


def _think(seat: Seat, rest: str) -> None:
    take_nothing("/think", rest)
    switch_thinking(seat, True)


def _no_think(seat: Seat, rest: str) -> None:
    take_nothing("/nothink", rest)
    switch_thinking(seat, False)


def _set(seat: Seat, rest: str) -> None:
    run_in(SETTINGS, "/set ", seat, rest)


def _show(seat: Seat, rest: str) -> None:
    run_in(SHOWABLE, "/show ", seat, rest)


def _clear(seat: Seat, rest: str) -> None:
    take_nothing("/clear", rest)
    seat.desk.clear()
    seat.console.talk("Cleared session context.")


def _model(seat: Seat, rest: str) -> None:
    desk, console = seat.desk, seat.console
    if rest:
        desk.switch(rest)
        console.talk(f"Now talking to `{desk.facts.name}`.")
        for line in desk.opening_notices():
            console.notice(line)
        return
    names, here = desk.models(), desk.facts.name
    # A model that was opened by its path has no name there.
    shown = names if here in names else [here, *names]
    console.table([("*" if name == here else " ", name) for name in shown])
    console.talk("/model NAME changes to another one.")


def _bye(seat: Seat, rest: str) -> None:
    take_nothing("/bye", rest)
    seat.leaving = True


def _choose_setting(desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return choices_in(SETTINGS, desk, words)


def _choose_showable(desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return choices_in(SHOWABLE, desk, words)


def _choose_model(desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return () if words else desk.models()


def _choose_help(_desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return () if words else ["keys", *(command.names[0] for command in COMMANDS)]


COMMANDS = (
    Command(("set",), "...", "change a setting; alone: list the settings", _set, _choose_setting),
    Command(("show",), "...", "show the model, parameters, system or context", _show, _choose_showable),
    Command(("think",), "", "think before answering, from now on", _think),
    Command(("no_think", "nothink", "no-think"), "", "answer at once, from now on", _no_think),
    Command(("model",), "[NAME]", "change the model; alone: list the models", _model, _choose_model),
    Command(
        ("tools",), "[...]", "list the tools; enable, disable, show or reconnect one", run_tools, choose_tools
    ),
    Command(("clear",), "", "forget the conversation", _clear),
    Command(("bye", "exit", "quit"), "", "leave", _bye),
    Command(("help", "?"), "[COMMAND|keys]", "this help", _help, _choose_help),
)


def run_line(seat: Seat, text: str) -> bool:
    """Run `text` if it is a command; False when it is a message for the model.

    A message may begin with a slash too: a path, a comment, Qwen's `/think` and `/no_think` with text after
    them, several lines, or whatever has white space before it. Raises `UsageError` for what looks like a
    command and is none.
    """
    split = _COMMAND_LINE.match(text)
    if split is None:
        return False
    name, rest = split["name"], (split["rest"] or "").rstrip()
    if "\n" in text.rstrip() and not is_block(rest[rest.find(MARK) :]):
        return False
    if rest and name.lower() in _SOFT_SWITCHES:
        return False
    if name.lower().startswith(PREFIX):
        run_prompt(seat, name, rest)
        return True
    command = find(COMMANDS, name)
    if command is None and Path(f"/{name}").exists():
        return False
    if command is None:
        error = unknown(COMMANDS, name, "/")
        error.hint = f"{error.hint}; to send it as a message, put a space before it"
        raise error
    command.run(seat, rest)
    return True


def complete_line(desk: Desk, text: str) -> tuple[str, list[str]]:
    """The word being typed at the end of `text`, and the words it could become."""
    words = text.split(" ")
    if not text.startswith("/"):
        word, resources = complete_resource(desk, text)
        return (word, resources) if resources else (words[-1], [])
    if len(words) == 1:
        names = [command.names[0] for command in COMMANDS]
        names += [alias for command in COMMANDS for alias in command.names[1:] if len(words[0]) > 1]
        if words[0].startswith(f"/{PREFIX[:2]}"):
            names += prompt_names(desk)
        typed = words[0].lower()
        return words[0], [f"/{name}" for name in names if f"/{name}".lower().startswith(typed)]
    command = find(COMMANDS, words[0][1:])
    if command is None:
        return words[-1], []
    typed = [word for word in words[1:-1] if word]
    return words[-1], [choice for choice in command.choices(desk, typed) if choice.startswith(words[-1])]
