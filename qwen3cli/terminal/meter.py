"""How full the context is, in one line: what is used of it, what a message adds, and what happens at its end."""

from __future__ import annotations

from qwen3cli.chat.limits import AT_THE_END, least_room
from qwen3cli.chat.ports import Desk
from qwen3cli.terminal.command import Seat
from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.wrap import clip, display_width

_NEARLY = 0.8
"""The part of the context from which on a person is warned."""
_COUNTED = 20_000
"""Characters of a message up to which its tokens are counted at every key: a longer one takes milliseconds."""
_LEAST_NAME = 4
_BRIEFLY = {"ask": "asks", "summarise": "sums up", "drop": "drops", "stop": "stops"}


def added_by(desk: Desk, text: str) -> int:
    """Tokens of a message that is being typed; 0 for a command, and for one that takes long to count."""
    if not text.strip() or text.startswith("/") or len(text) > _COUNTED:
        return 0
    return desk.engine.count_tokens(text)


def warning(desk: Desk, typed: int = 0) -> str:
    """What to say loudly of the context, in few words; nothing while there is room."""
    size, used = desk.engine.context_size, desk.context_used + typed
    # Completed texts do not add up.
    if desk.settings.raw:
        return ""
    if used + least_room(desk.settings, size, thinking=desk.thinks()) > size:
        return f"full: {_BRIEFLY[desk.settings.at_the_end]}"
    return f"nearly full, then {_BRIEFLY[desk.settings.at_the_end]}" if used >= _NEARLY * size else ""


def sentence(desk: Desk) -> str:
    """The same for whoever has no status line."""
    if not warning(desk):
        return ""
    used, size = desk.context_used, desk.engine.context_size
    then = AT_THE_END[desk.settings.at_the_end]
    return f"{used:,} of the context's {size:,} tokens are in use; when it is full, {then}."


def status_line(seat: Seat, width: int, typed: int = 0) -> tuple[str, str]:
    """Model, mode, and context used of its size, in `width` columns; the second part is loud.

    A long model name gives way; for what is loud the mode does, too.
    """
    desk, dot = seat.desk, seat.console.out.glyph(" · ", " - ")
    if desk.settings.raw or not desk.engine.has_template:
        mode = "completing"
    else:
        mode = "thinking" if desk.thinks() else "not thinking"
    figures = f"{desk.context_used:,}{f'+{typed:,}' if typed else ''}/{desk.engine.context_size:,}"
    name = sanitise_line(desk.facts.name)
    loud = warning(desk, typed)
    if not loud:
        return _fitted(name, f"{dot}{mode}{dot}{figures}", width), ""
    for rest in (f"{dot}{mode}{dot}", dot):
        for words in (f"{figures}{dot}{loud}", f"{figures}{dot}{loud.partition(',')[0]}"):
            if min(display_width(name), _LEAST_NAME) + display_width(rest + words) <= width:
                return _fitted(name, rest, width - display_width(words)), words
    return "", clip(f"{figures} {loud}", width)


def _fitted(name: str, rest: str, width: int) -> str:
    return clip(clip(name, max(width - display_width(rest), _LEAST_NAME)) + rest, width)
