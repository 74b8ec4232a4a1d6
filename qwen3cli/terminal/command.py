"""What a slash command is, and where it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Desk
from qwen3cli.errors import UsageError
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.wrap import hang

NARROW = 60
"""Columns under which a table of commands and explanations has no room."""


@dataclass
class Seat:
    """Where a person sits: the desk, the console, and the switches of the prompt itself.

    `said` is what a command wants said next: the last message in the person's place, the others before it.
    """

    desk: Desk
    console: Console
    recording: bool = True
    leaving: bool = False
    said: tuple[Message, ...] = ()


def no_choices(_desk: Desk, _words: Sequence[str]) -> Iterable[str]:
    """For a command whose arguments nobody can guess."""
    return ()


@dataclass(frozen=True)
class Command:
    """One row of a table: `names` without the slash, the usual one first; `run` gets what follows the name.

    `choices` gives the words that may come next, after the words already typed.
    """

    names: tuple[str, ...]
    arguments: str
    help: str
    run: Callable[[Seat, str], None]
    choices: Callable[[Desk, Sequence[str]], Iterable[str]] = no_choices


def find(table: Sequence[Command], name: str) -> Command | None:
    """The command of that name or alias."""
    name = name.lower()
    return next((command for command in table if name in command.names), None)


def unknown(table: Sequence[Command], name: str, prefix: str) -> UsageError:
    """The error for a name that is not in the table, with the nearest one that is."""
    names = [known for command in table for known in command.names]
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return UsageError(
        f"unknown command `{prefix}{name}`",
        (f"did you mean `{prefix}{near[0]}`? " if near else "") + "Type /? for help",
    )


def print_table(seat: Seat, table: Sequence[Command], prefix: str) -> None:
    """The help: a row for each command, its aliases in brackets; two lines for each in a narrow window."""
    rows: list[tuple[str, str]] = []
    for command in table:
        also = (
            f" (also {', '.join(prefix + name for name in command.names[1:])})" if command.names[1:] else ""
        )
        rows.append((f"{prefix}{command.names[0]} {command.arguments}".rstrip(), command.help + also))
    print_pairs(seat, rows)


def print_pairs(seat: Seat, rows: Iterable[tuple[str, str]]) -> None:
    """Names and explanations, a row for each; two lines for each in a narrow window."""
    if seat.console.width < NARROW:
        seat.console.result(
            "".join(f"{name}\n{hang('    ' + text, seat.console.width, 4)}\n" for name, text in rows)
        )
    else:
        seat.console.table([*rows], indent="  ")


def take_nothing(name: str, rest: str) -> None:
    """Refuse what follows a command that takes no arguments."""
    if rest:
        raise UsageError(
            f"`{name}` takes nothing after it", f"to send a message, do not begin it with `{name}`"
        )
