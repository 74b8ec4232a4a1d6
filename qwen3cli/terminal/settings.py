"""What `/set` can change and `/show` can show: two tables in which each row names its function."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace

from qwen3cli.chat.limits import AT_THE_END, when_full_of
from qwen3cli.chat.ports import Desk
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_TOKENS
from qwen3cli.terminal.blocks import unquote
from qwen3cli.terminal.command import Command, Seat, find, print_table, take_nothing, unknown
from qwen3cli.terminal.figures import count, size

_SAMPLING = tuple(field.name for field in fields(SamplingChoice))
PARAMETERS = (*_SAMPLING, "max_tokens", "stop")


def switch_thinking(seat: Seat, wanted: bool | None) -> None:
    """Turn thinking on, off, or back to the model's own default (None), for this turn and all later ones."""
    desk = seat.desk
    desk.change(replace(desk.settings, thinking=wanted))
    if wanted and not desk.thinks():
        if desk.settings.think_budget == 0:
            seat.console.notice("a thinking budget of 0 keeps it off; `/set budget off` ends that")
        else:
            desk.carry_think()
            seat.console.notice("the next message carries `/think`: an earlier `/no_think` still holds")
    seat.console.talk(f"Set '{'think' if desk.thinks() else 'nothink'}' mode.")


def _think(seat: Seat, rest: str) -> None:
    switch_thinking(seat, None if rest == "default" else _on_or_off(rest or "on", "think"))


def _nothink(seat: Seat, rest: str) -> None:
    take_nothing("/set nothink", rest)
    switch_thinking(seat, False)


def _budget(seat: Seat, rest: str) -> None:
    budget = None if rest == "off" else _whole(rest, "budget", "a number of tokens, or `off`", least=0)
    seat.desk.change(replace(seat.desk.settings, think_budget=budget))
    tokens = "no budget" if budget is None else f"a budget of {budget:,} tokens"
    seat.console.talk(f"Thinking has {tokens} now.")


def _parameter(seat: Seat, rest: str) -> None:
    name, _, value = rest.partition(" ")
    value = value.strip()
    names = f"the names are {', '.join(PARAMETERS)}"
    if not name or not value:
        raise UsageError("`/set parameter` takes a name and a value", names)
    settings = seat.desk.settings
    if name == "max_tokens":
        limit = None if value == "default" else _whole(value, name, "a number of tokens, or `default`")
        settings = replace(settings, max_tokens=limit)
    elif name == "stop":
        settings = replace(settings, stop=() if value == "default" else _words(value))
    elif name in _SAMPLING:
        settings = replace(settings, sampling=settings.sampling.with_text(name, value))
    else:
        raise UsageError(f"there is no parameter `{name}`", names)
    seat.desk.change(settings)
    seat.console.talk(f"Set parameter '{name}' to '{value}'.")


def _system(seat: Seat, rest: str) -> None:
    if not rest:
        raise UsageError('`/set system` takes a text, or `""` for none', 'several lines go between `"""`')
    text = unquote(rest)
    if text == rest and len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    seat.desk.conversation.system = text or None
    seat.console.talk("Set system message." if text else "Removed the system message.")


def _when_full(seat: Seat, rest: str) -> None:
    setting = when_full_of(rest, "/set when-full")
    seat.desk.change(replace(seat.desk.settings, when_full=setting))
    seat.console.talk(f"When the context is full, {AT_THE_END[setting]}.")


def _verbose(seat: Seat, rest: str) -> None:
    _set_verbose(seat, _on_or_off(rest or "on", "verbose"))


def _quiet(seat: Seat, rest: str) -> None:
    take_nothing("/set quiet", rest)
    _set_verbose(seat, False)


def _set_verbose(seat: Seat, on: bool) -> None:
    seat.desk.change(replace(seat.desk.settings, verbose=on))
    seat.console.talk(f"Set '{'verbose' if on else 'quiet'}' mode.")


def _history(seat: Seat, rest: str) -> None:
    take_nothing("/set history", rest)
    seat.recording = True
    seat.console.talk("What you type is kept in the history.")


def _nohistory(seat: Seat, rest: str) -> None:
    take_nothing("/set nohistory", rest)
    seat.recording = False
    seat.console.talk("What you type is not kept in the history.")


def _on_or_off(text: str, name: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise UsageError(f"`{name}` is on or off, not `{text}`")
    return text.lower() == "on"


def _whole(text: str, name: str, wanted: str, *, least: int = 1) -> int:
    if not text.isdecimal() or len(text) > 10 or not least <= int(text) <= MOST_TOKENS:
        raise UsageError(f"`{name}` takes {wanted}" + (f", not `{text}`" if text else ""))
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise UsageError(f"a quote is not closed in `{text}`") from None


def _choose_on_off(_desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return () if words else ("on", "off")


def _choose_budget(_desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return () if words else ("off",)


def _choose_when_full(_desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return () if words else AT_THE_END


def _choose_parameter(_desk: Desk, words: Sequence[str]) -> Iterable[str]:
    return ((PARAMETERS), ("default",), ())[min(len(words), 2)]


SETTINGS = (
    Command(("think",), "[on|off|default]", "think before answering, or not", _think, _choose_on_off),
    Command(("nothink",), "", "answer at once", _nothink),
    Command(("budget",), "N|off", "let thinking take N tokens at most", _budget, _choose_budget),
    Command(("parameter",), "NAME VALUE|default", "a sampling parameter", _parameter, _choose_parameter),
    Command(("system",), "TEXT", 'the system message; `"""` around several lines', _system),
    Command(
        ("when-full",),
        "ask|summarise|drop|stop",
        "what becomes of the oldest turns when the context is full",
        _when_full,
        _choose_when_full,
    ),
    Command(("verbose",), "[on|off]", "statistics after each reply", _verbose, _choose_on_off),
    Command(("quiet",), "", "no statistics", _quiet),
    Command(("history",), "", "keep what you type", _history),
    Command(("nohistory",), "", "keep nothing of what you type", _nohistory),
)


def _show_info(seat: Seat, rest: str) -> None:
    take_nothing("/show info", rest)
    facts, engine = seat.desk.facts, seat.desk.engine
    trained = f"{facts.context_length:,} tokens" if facts.context_length else "not given"
    seat.console.table(
        [
            ("model", facts.name),
            ("architecture", facts.architecture),
            ("parameters", count(facts.parameters)),
            ("quantization", facts.quantization),
            ("size", size(facts.file_bytes)),
            ("trained context", trained),
            ("thinking", engine.thinking_mode.value if engine.has_template else "no chat template"),
            ("file", str(facts.path)),
        ],
        indent="  ",
    )


def _show_parameters(seat: Seat, rest: str) -> None:
    take_nothing("/show parameters", rest)
    desk, settings = seat.desk, seat.desk.settings
    in_force = asdict(settings.sampling.resolve(thinking=desk.thinks(), quantized=desk.facts.quantized))
    chosen = asdict(settings.sampling)
    rows: list[tuple[str, str, str]] = []
    for name, value in in_force.items():
        shown = "random" if value is None else f"{value:g}"
        rows.append((name, shown, _origin(chosen[name] is not None)))
    limits = (("max_tokens", settings.max_tokens), ("think budget", settings.think_budget))
    rows += [(name, "no limit" if n is None else f"{n:,}", _origin(n is not None)) for name, n in limits]
    rows.append(("stop", " ".join(map(repr, settings.stop)) or "none", _origin(bool(settings.stop))))
    seat.console.table(rows, indent="  ")


def _origin(chosen: bool) -> str:
    return "(set)" if chosen else ""


def _show_system(seat: Seat, rest: str) -> None:
    take_nothing("/show system", rest)
    system = seat.desk.conversation.system
    if system:
        seat.console.result(system + "\n")
    else:
        seat.console.talk("There is no system message.")


def _show_context(seat: Seat, rest: str) -> None:
    take_nothing("/show context", rest)
    desk = seat.desk
    used, room = desk.context_used, desk.engine.context_size
    rows = [
        ("used", f"{used:,} of {room:,} tokens ({used / room:.0%})"),
        ("messages", f"{len(desk.conversation.messages):,}"),
    ]
    replaced, stand_in = desk.conversation.condensed
    if replaced:
        summed = desk.conversation.summary is not None
        # A message that carries a soft switch on is seen.
        hidden = replaced - len(stand_in) + 2 * summed
        instead = "a summary, `/show summary`" if summed else "nothing"
        rows.append(("not seen", f"{hidden:,} older messages; in their place {instead}"))
    rows.append(("when full", AT_THE_END[desk.settings.at_the_end]))
    seat.console.table(rows, indent="  ")


def _show_summary(seat: Seat, rest: str) -> None:
    take_nothing("/show summary", rest)
    summary = seat.desk.conversation.summary
    if summary:
        seat.console.result(summary + "\n")
    else:
        seat.console.talk("Nothing was summed up.")


SHOWABLE = (
    Command(("info",), "", "the model", _show_info),
    Command(("parameters",), "", "what is in force, and which of it you set", _show_parameters),
    Command(("system",), "", "the system message", _show_system),
    Command(("context",), "", "how full the context is", _show_context),
    Command(("summary",), "", "what stands for turns that were summed up", _show_summary),
)


def run_in(table: Sequence[Command], prefix: str, seat: Seat, rest: str) -> None:
    """Run one row of a table; without a name, print the table."""
    name, _, rest = rest.partition(" ")
    if not name:
        print_table(seat, table, prefix)
        return
    command = find(table, name)
    if command is None:
        raise unknown(table, name, prefix)
    command.run(seat, rest.strip())


def choices_in(table: Sequence[Command], desk: Desk, words: Sequence[str]) -> Iterable[str]:
    """The names in a table, or what the named row takes next."""
    if not words:
        return [command.names[0] for command in table]
    command = find(table, words[0])
    return command.choices(desk, words[1:]) if command else ()
