"""The prompt loop: reads what a person types, runs commands, shows turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

from qwen3cli.chat.events import Event, TurnEnded
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import Desk
from qwen3cli.errors import ExitCode, Interrupted, QwenError
from qwen3cli.terminal.blocks import is_open, unquote
from qwen3cli.terminal.command import Seat
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.history import HistoryFile
from qwen3cli.terminal.interrupts import cancelling, ending_in_order, typing_ahead
from qwen3cli.terminal.meter import sentence
from qwen3cli.terminal.renderer import turn_renderer
from qwen3cli.terminal.sanitise import replace_surrogates
from qwen3cli.terminal.slash import run_line

PROMPT = ">>> "
CONTINUATION = "... "
_COUNTING_S = 0.1


class ReplDesk(Desk, Protocol):
    """A desk that also takes messages."""

    def say(self, text: str, *, typed: bool = True) -> Iterator[Event]:
        """Send a message, `typed` by the person or not, and yield the turn's events, the last one TurnEnded.

        After a `QwenError` the message is part of the conversation only if something of the answer is.
        """
        ...

    def make_room(self) -> Iterator[Event]:
        """Make room for the next message, after a reply that ran into the end of the context."""
        ...

    def cancel(self) -> None:
        """Stop what runs soon; callable from a signal handler."""
        ...

    def allow(self) -> None:
        """Take an earlier `cancel` back."""
        ...


class Reader(Protocol):
    """Something that a person types into."""

    def read(self) -> str:
        """The next message; raises EOFError for Ctrl-D and KeyboardInterrupt for Ctrl-C on an empty line."""
        ...

    def end(self, number: int) -> bool:
        """Asked in a signal handler: True if `read` is running and will raise SystemExit by itself."""
        ...


def run_repl(
    desk: ReplDesk, console: Console, history: Path | None = None, *, hide_thinking: bool = False
) -> ExitCode:
    """Talk until the person leaves; `history` is the file of what was typed, None keeps nothing."""
    seat = Seat(desk, console)
    edits = _can_edit(console)
    reader = _open_reader(seat, HistoryFile(history, console), edits)
    # A line editor shows what is typed by itself, so the terminal never has to, not even between reply and prompt.
    with ending_in_order(reader.end), typing_ahead(console.stdin) if edits else nullcontext():
        return _talk(seat, desk, reader, hide_thinking)


def _talk(seat: Seat, desk: ReplDesk, reader: Reader, hide_thinking: bool) -> ExitCode:
    console, warned = seat.console, False
    while not seat.leaving:
        if (bench := desk.bench) is not None:
            bench.addresses.show()
        desk.prepare()
        # The thinking of the last reply goes: what is shown as used should not shrink while it is read.
        desk.engine.expected_tokens(_COUNTING_S)
        try:
            text = replace_surrogates(reader.read())
        except EOFError:
            break
        except KeyboardInterrupt:
            if warned:
                return ExitCode.INTERRUPTED
            warned = True
            console.talk("Use Ctrl-D or /bye to leave.")
            continue
        warned = False
        try:
            _answer(desk, seat, text, hide_thinking)
        except KeyboardInterrupt:
            console.talk("interrupted")
    return ExitCode.DONE


def _answer(desk: ReplDesk, seat: Seat, text: str, hide_thinking: bool) -> None:
    """Do what the person typed: a command, a message, or nothing."""
    try:
        if not text.strip():
            return
        if run_line(seat, text.rstrip()):
            # A command may have something to say in the person's place: a server's prompt.
            said, seat.said = seat.said, ()
            if said:
                _say_for(desk, seat.console, said, hide_thinking)
            return
    except Interrupted as error:
        seat.console.talk(error.message)
        return
    except QwenError as error:
        seat.console.error(error.message, error.hint)
        return
    _say(desk, seat.console, unquote(text).strip("\n"), hide_thinking)


def _say_for(desk: ReplDesk, console: Console, said: Sequence[Message], hide_thinking: bool) -> None:
    """Say what the person has not typed; the last message is theirs, the others have led up to it."""
    *earlier, last = said
    before = len(desk.conversation.turns)
    desk.conversation.append(*earlier)
    _say(desk, console, last.content, hide_thinking, typed=False)
    if len(desk.conversation.turns) == before + len(earlier):
        # Nothing was answered, and the last one is taken back.
        desk.conversation.rewind(before)


def _say(desk: ReplDesk, console: Console, text: str, hide_thinking: bool, *, typed: bool = True) -> None:
    verbose = desk.settings.verbose
    renderer = turn_renderer(console, repl=True, hide_thinking=hide_thinking, stats=verbose)
    before, finish = len(desk.conversation.turns), None
    try:
        with typing_ahead(console.stdin), cancelling(desk.cancel, desk.allow):
            for event in desk.say(text, typed=typed):
                renderer.show(event)
                finish = event.finish if isinstance(event, TurnEnded) else None
            if finish == "context":
                for event in desk.make_room():
                    renderer.show(event)
        if finish == "interrupted" and len(desk.conversation.turns) == before and not desk.settings.raw:
            console.talk("Your message is taken back: nothing was answered yet.")
    except KeyboardInterrupt:
        renderer.fail(Interrupted())
    except QwenError as error:
        renderer.fail(error)
    finally:
        renderer.close()


def _can_edit(console: Console) -> bool:
    """Whether a line editor can work here: on this process's own terminal, and that can move its cursor."""
    own = console.stdin is sys.stdin and console.stdin_is_terminal and console.stdout_is_terminal
    return own and not console.out.dumb


def _open_reader(seat: Seat, history: HistoryFile, edits: bool) -> Reader:
    if not edits:
        return PlainReader(seat, history)
    # Takes 110 ms, and only a person at a prompt needs it.
    from qwen3cli.terminal.prompt import PromptReader

    return PromptReader(seat, history)


class PlainReader:
    """Lines as the terminal itself edits them, for terminals that cannot move the cursor."""

    def __init__(self, seat: Seat, history: HistoryFile) -> None:
        self._seat = seat
        self._history = history

    def read(self) -> str:
        """The next message."""
        if line := sentence(self._seat.desk):
            self._seat.console.talk(line)
        text = self._line(PROMPT)
        while is_open(text):
            text += "\n" + self._line(CONTINUATION)
        if text.strip() and self._seat.recording:
            self._history.append(text)
        return text

    def end(self, number: int) -> bool:
        """A line that is being read can be broken off anywhere."""
        return False

    def _line(self, prompt: str) -> str:
        console = self._seat.console
        stdin = console.stdin
        console.fresh_line()
        console.out.write(prompt)
        if stdin is None:
            raise EOFError
        try:
            # Bytes, because a terminal may send what is not UTF-8; the text layer would raise.
            buffer = getattr(stdin, "buffer", None)
            line = buffer.readline().decode("utf-8", "replace") if buffer else stdin.readline()
        except KeyboardInterrupt:
            console.fresh_line()
            raise
        if not line:
            console.fresh_line()
            raise EOFError
        console.screen.midline = False
        return line.rstrip("\r\n")
