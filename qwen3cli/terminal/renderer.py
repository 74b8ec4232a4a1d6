"""How the events of a turn look: as text for a person, as bytes for a pipe, as JSON for a program.

It knows no engine and no tool; an event is all it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, Protocol

from qwen3cli.chat.events import (
    Event,
    Notice,
    Prefill,
    Text,
    Thinking,
    ToolCalled,
    ToolReturned,
    TurnEnded,
    Working,
)
from qwen3cli.errors import Interrupted, QwenError
from qwen3cli.terminal.console import Console, Outlet
from qwen3cli.terminal.figures import call_text, duration, result_text, stats_text
from qwen3cli.terminal.flow import Flow
from qwen3cli.terminal.progress import LiveLine

PREFILL_DELAY = 0.5
"""Seconds of silence before a person is told what it is about."""


class Renderer(Protocol):
    """Something that shows one turn."""

    def show(self, event: Event) -> None:
        """Show the next event."""
        ...

    def fail(self, error: QwenError) -> None:
        """Show that the turn failed."""
        ...

    def close(self) -> None:
        """End whatever is still open on the screen; a second call does nothing."""
        ...


def turn_renderer(
    console: Console,
    *,
    repl: bool = False,
    as_json: bool = False,
    show_thinking: bool = False,
    hide_thinking: bool = False,
    stats: bool = False,
) -> Renderer:
    """The renderer for one turn, as the contract has it.

    In the REPL thinking is shown; in one-shot use it goes to stderr when that is a terminal, or when
    `show_thinking` asks for it. `hide_thinking` leaves one live line.
    """
    if as_json:
        return JsonRenderer(console)
    aside = console.out if repl else console.err
    if hide_thinking:
        return TextRenderer(console, aside, "hidden", spaced=repl, stats=stats)
    shown = repl or show_thinking or (console.err.is_terminal and not console.quiet)
    return TextRenderer(console, aside, "shown" if shown else "off", spaced=repl, stats=stats)


class TextRenderer:
    """The answer on stdout, the thinking dim on `aside`, everything else on stderr.

    `spaced` leaves a blank line after the turn, for a prompt to follow.
    """

    def __init__(
        self,
        console: Console,
        aside: Outlet,
        thinking: Literal["shown", "hidden", "off"],
        *,
        spaced: bool = False,
        stats: bool = False,
    ) -> None:
        self._console = console
        self._thinking: Literal["shown", "hidden", "off"] = thinking
        self._thoughts = Flow(aside, "dim")
        self._answer = Flow(console.out, exact=not console.out.is_terminal)
        self._spaced = spaced
        self._stats = stats
        self._live: LiveLine | None = None
        self._prefill = Prefill(0, 0)
        self._working = ""
        self._thought_pieces = 0
        self._anything = False

    def show(self, event: Event) -> None:
        """Show the next event."""
        self._anything = self._anything or not isinstance(event, Prefill)
        if isinstance(event, Prefill):
            self._show_prefill(event)
        elif isinstance(event, Thinking):
            self._show_thinking(event.text)
        elif isinstance(event, Text):
            self._show_text(event.text)
        elif isinstance(event, ToolCalled):
            self._show_aside(call_text(event.call, self._console.err))
        elif isinstance(event, Working):
            self._show_working(event)
        elif isinstance(event, ToolReturned):
            self._show_aside(result_text(event.result, self._console.err))
        elif isinstance(event, Notice):
            self._show_notice(event.message)
        else:
            self._end_turn(event)

    def fail(self, error: QwenError) -> None:
        """Show that the turn failed."""
        self._end_flows(thought_out=False)
        if isinstance(error, Interrupted):
            self._console.talk(error.message)
        else:
            self._console.error(error.message, error.hint)
        self.close()

    def close(self) -> None:
        """End whatever is still open on the screen."""
        self._end_flows(thought_out=False)
        if self._spaced and self._anything:
            self._console.result("\n")
        self._anything = False

    def _show_prefill(self, event: Prefill) -> None:
        self._prefill = event
        if self._live is None:
            self._start_live(self._prefill_line, PREFILL_DELAY)

    def _show_working(self, event: Working) -> None:
        self._working = event.text or self._working
        if self._live is None:
            self._start_live(self._working_line, PREFILL_DELAY)

    def _show_thinking(self, text: str) -> None:
        if self._thinking == "hidden":
            if not self._thought_pieces:
                self._end_live()
                self._start_live(self._thinking_line)
            self._thought_pieces += 1
        elif self._thinking == "shown" and (text.strip() or self._thoughts.open):
            if not self._thoughts.open:
                self._end_live()
                self._answer.pause()
                self._thoughts.outlet.write("Thinking...\n", "heading")
            self._thoughts.write(text)

    def _show_text(self, text: str) -> None:
        self._end_live()
        self._end_thoughts(thought_out=True)
        self._answer.write(text)

    def _show_aside(self, line: str) -> None:
        self._end_live()
        self._end_thoughts(thought_out=True)
        self._answer.pause()
        self._console.talk(line)

    def _show_notice(self, message: str) -> None:
        if self._working:
            self._end_live()
        self._thoughts.pause()
        self._answer.pause()
        self._console.notice(message)

    def _end_thoughts(self, *, thought_out: bool) -> None:
        self._thought_pieces = 0
        if self._thoughts.end() and thought_out:
            self._thoughts.outlet.write("...done thinking.\n", "heading")
            self._thoughts.outlet.write("\n")

    def _end_flows(self, *, thought_out: bool) -> None:
        self._end_live()
        self._end_thoughts(thought_out=thought_out)
        self._answer.end()

    def _end_turn(self, event: TurnEnded) -> None:
        self._end_flows(thought_out=event.finish == "stop")
        if event.finish == "length":
            self._console.notice("the reply was cut: it reached the limit of tokens")
        elif event.finish == "context":
            size = event.stats.context_size
            self._console.notice(f"the reply was cut: the context of {size:,} tokens is full")
        elif event.finish == "interrupted" and self._spaced:
            self._console.talk("interrupted")
        if self._stats:
            self._console.talk(stats_text(event.stats))
        self.close()

    def _start_live(self, compose: Callable[[float], str], delay: float = 0.0) -> None:
        self._live = LiveLine(self._console, compose, delay=delay)
        self._live.start()

    def _end_live(self) -> None:
        self._working = ""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _prefill_line(self, elapsed: float) -> str:
        err, now = self._console.err, self._prefill
        return (
            f"Reading the prompt{err.glyph('…', '...')} {now.done:,} of {now.total:,} tokens"
            f"{err.glyph(' · ', ', ')}{duration(elapsed)}"
        )

    def _working_line(self, elapsed: float) -> str:
        err = self._console.err
        what = self._working or "a tool is running"
        return f"{what}{err.glyph('…', '...')}{err.glyph(' · ', ', ')}{duration(elapsed)}"

    def _thinking_line(self, elapsed: float) -> str:
        err = self._console.err
        return (
            f"Thinking{err.glyph('…', '...')} {duration(elapsed)}"
            f"{err.glyph(' · ', ', ')}{self._thought_pieces:,} tokens"
        )


class JsonRenderer:
    """One JSON object per line on stdout, with the names of the contract; prefill is not among them."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: Event) -> None:
        """Show the next event."""
        value = event_json(event)
        if value is not None:
            self._console.json(value)

    def fail(self, error: QwenError) -> None:
        """Show that the turn failed."""
        self._console.json({"event": "error", "message": error.message, "exit_code": int(error.exit_code)})

    def close(self) -> None:
        """Nothing is ever left open."""


def event_json(event: Event) -> dict[str, Any] | None:
    """The JSON object of an event; None for one that only screens show."""
    if isinstance(event, Thinking):
        return {"event": "thinking", "text": event.text}
    if isinstance(event, Text):
        return {"event": "text", "text": event.text}
    if isinstance(event, ToolCalled):
        return {"event": "tool_call", "name": event.call.name, "arguments": dict(event.call.arguments)}
    if isinstance(event, ToolReturned):
        result = event.result
        return {
            "event": "tool_result",
            "name": result.name,
            "is_error": result.is_error,
            "content": result.content,
        }
    if isinstance(event, Notice):
        return {"event": "notice", "message": event.message}
    if isinstance(event, TurnEnded):
        return {"event": "end", "finish": event.finish, "stats": asdict(event.stats)}
    return None
