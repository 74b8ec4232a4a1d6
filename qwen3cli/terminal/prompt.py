"""The line editor of the REPL. Importing this module loads prompt_toolkit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from qwen3cli.chat.ports import Desk
from qwen3cli.terminal.blocks import is_open
from qwen3cli.terminal.command import Seat
from qwen3cli.terminal.history import HistoryFile
from qwen3cli.terminal.interrupts import ended_by
from qwen3cli.terminal.meter import added_by, status_line
from qwen3cli.terminal.repl import CONTINUATION, PROMPT
from qwen3cli.terminal.slash import complete_line

_LOOK_S = 0.3
PLACEHOLDER = "Send a message (/? for help)"

_STYLE = Style.from_dict(
    {
        "hint": "#8a8a8a",
        "bottom-toolbar": "noreverse #8a8a8a",
        "bottom-toolbar loud": "noreverse ansiyellow",
        "completion-menu": "bg:default",
    }
)


class PromptReader:
    """Reads messages with history, completion, several lines and a status line below."""

    def __init__(self, seat: Seat, history: HistoryFile) -> None:
        self._seat = seat
        self._reading = False
        self._signal: int | None = None
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=_continuation,
            history=_RecalledHistory(seat, history),
            completer=_LineCompleter(seat),
            complete_while_typing=False,
            key_bindings=_key_bindings(),
            placeholder=_placeholder,
            bottom_toolbar=self._toolbar,
            style=_STYLE,
            enable_suspend=True,
            tempfile_suffix=".md",
        )

    def read(self) -> str:
        """The next message."""
        self._reading = True
        try:
            return self._session.prompt(pre_run=self._begin)
        finally:
            self._reading = False
            if self._signal is not None:
                raise ended_by(self._signal)

    def end(self, number: int) -> bool:
        """Leave the event loop from within: an exception out of the blue would leave its tasks behind."""
        if self._reading:
            self._signal = number
            loop = self._session.app.loop
            if self._session.app.is_running and loop is not None:
                loop.call_soon_threadsafe(self._leave)
        return self._reading

    def _begin(self) -> None:
        get_app().create_background_task(_attend(self._seat.desk))
        self._leave()

    def _leave(self) -> None:
        app = self._session.app
        if self._signal is not None and app.is_running and not app.is_done:
            app.exit(exception=EOFError)

    def _toolbar(self) -> StyleAndTextTuples:
        typed = added_by(self._seat.desk, self._session.default_buffer.text)
        calm, loud = status_line(self._seat, get_app().output.get_size().columns, typed)
        return [("", calm), ("class:loud", loud)]


async def _attend(desk: Desk) -> None:
    """What happens while a person types: the context is counted, servers get ready.

    And they want logins, which are shown above the line.
    """
    bench, used = desk.bench, desk.context_used
    while True:
        await asyncio.sleep(_LOOK_S)
        if bench is not None:
            if bench.addresses.any:
                await run_in_terminal(bench.addresses.show)
            desk.prepare()
        if desk.context_used != used:
            used = desk.context_used
            get_app().invalidate()


def _placeholder() -> StyleAndTextTuples:
    # What was accepted stays on the screen, and a search shows what it found; the placeholder must not.
    app = get_app()
    return [("class:hint", "" if app.is_done or app.layout.is_searching else PLACEHOLDER)]


def _continuation(_width: int, _line: int, wrapped: int) -> StyleAndTextTuples:
    return [("", " " * len(CONTINUATION) if wrapped else CONTINUATION)]


class _RecalledHistory(History):
    def __init__(self, seat: Seat, file: HistoryFile) -> None:
        super().__init__()
        self._seat = seat
        self._file = file

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._file.entries())

    def append_string(self, string: str) -> None:
        # Not recorded means not even recalled in this session.
        if self._seat.recording:
            super().append_string(string)

    def store_string(self, string: str) -> None:
        self._file.append(string)


class _LineCompleter(Completer):
    """Commands and their arguments at the start of a message, file names anywhere."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        word, choices = complete_line(self._seat.desk, text)
        if choices:
            yield from (Completion(choice, -len(word)) for choice in choices)
            return
        word = document.get_word_before_cursor(WORD=True)
        if word.startswith(("/", "./", "../", "~")) or "/" in word:
            yield from self._paths.get_completions(Document(word), complete_event)


def _key_bindings() -> KeyBindings:
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("c-j", filter=typing)
    @keys.add("escape", "enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=typing)
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    @keys.add("c-g", filter=typing & ~Condition(_selecting))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return keys


def _selecting() -> bool:
    return get_app().current_buffer.selection_state is not None
