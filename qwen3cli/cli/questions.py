"""Questions that tools make necessary during a turn: may a call run, may a turn go on, what does a server want to know.

All that is shown comes from a model or a server: what cannot be seen in it is written as an escape, and only our own
lines begin at the margin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from qwen3cli.cli.asking import Page, Withdrawn, agrees, line_of, say, value_of
from qwen3cli.terminal.ask import NO, YES, can_ask
from qwen3cli.terminal.console import Console
from qwen3cli.tools.approval import Answer, Ask, Question
from qwen3cli.tools.forms import FormField, Unfit, fields_of
from qwen3cli.tools.identity import DESCRIPTION
from qwen3cli.tools.offers import Elicit
from qwen3cli.tools.showing import command_line, one_line, quoted

_ANSWERS = {
    **dict.fromkeys(("o", "once", *YES), "once"),
    **dict.fromkeys(("s", "session"), "session"),
    **dict.fromkeys(("a", "always"), "always"),
    **dict.fromkeys(("d", "deny", *NO), "deny"),
}
_LONGEST = 4_000
_HELP = (
    "Type o, s, a, or d. s and a mean every call of this tool, whatever its arguments;"
    " a reason after d is told to the model."
)


def call_question(console: Console) -> Ask | None:
    """Shows a call whole and asks whether it may run; None where nobody can be asked."""

    def ask(question: Question) -> Answer:
        _show(console, question)
        asked = f"Run `{question.tool.label}`? [o]nce, [s]ession, [a]lways, [d]eny [REASON]:"
        while True:
            words = line_of(console, asked).split(None, 1)
            kind = _ANSWERS.get(words[0].lower()) if words else None
            if kind == "deny":
                return Answer("deny", words[1].strip() if len(words) > 1 else "")
            if kind is not None and len(words) == 1:
                return Answer(kind)  # type: ignore[arg-type]
            say(console, _HELP, "dim")

    return ask if can_ask(console) else None


def go_on_question(console: Console) -> Callable[[int], bool] | None:
    """Asks whether a turn may go on although the model has called tools for so long."""

    def ask(rounds: int) -> bool:
        so_often = "once" if rounds == 1 else f"{rounds} times in a row"
        return agrees(console, f"The model has called tools {so_often}. Go on? [y/N]")

    return ask if can_ask(console) else None


def elicitation(console: Console) -> Elicit | None:
    """Asks what a server wants to know, field by field; a person may decline."""

    def ask(server: str, message: str, schema: Mapping[str, Any], gone: Event) -> Mapping[str, Any] | None:
        try:
            return _answers(console, server, message, fields_of(schema), gone)
        except Withdrawn:
            say(console, f"The server `{server}` does not wait for that any more.", "dim")
            return None

    return ask if can_ask(console) else None


def _answers(
    console: Console, server: str, message: str, fields: Sequence[FormField], gone: Event
) -> Mapping[str, Any] | None:
    page = Page(console)
    page.say(f"The server `{server}` asks, and gets what you answer:", "bold")
    page.show(message)
    page.end()
    if not agrees(console, "Answer it? [y/N]", gone):
        return None
    values = {field.name: _field(console, field, gone) for field in fields}
    return {name: value for name, value in values.items() if value is not None}


def _show(console: Console, question: Question) -> None:
    tool, server = question.tool, question.server
    page = Page(console)
    how = "at" if server.url else "that runs as"
    page.say(f"The model wants to call `{tool.label}` of the server {how}:", "bold")
    page.show(quoted(server.url) if server.url else command_line(server.command, server.args))
    if server.cwd is not None:
        page.show(quoted(str(server.cwd)), "in the folder: ")
    if question.changed:
        parts = ", ".join(question.changed)
        page.say(f"Since you approved it, something has changed: {parts}.", "warning")
    if DESCRIPTION in question.changed:
        page.show(_cut(tool.description), "Its description is now: ")
    for name, value in question.arguments.items():
        shown = json.dumps(value, ensure_ascii=False, indent=2) if not isinstance(value, str) else value
        page.show(shown, f"{one_line(name)}: ")
    if not question.arguments:
        page.show("(without arguments)")
    if tool.annotations:
        claims = json.dumps(tool.annotations, ensure_ascii=False, default=str)
        page.show(_cut(one_line(claims)), "The server says of it, which nobody has checked: ", "dim")
    page.end()


def _cut(text: str) -> str:
    """What a server says of itself, no longer than somebody reads; what decides is shown whole."""
    rest = len(text) - _LONGEST
    return (
        f"{text[:_LONGEST]} [… and {rest:,} more characters, which `/tools show` has]" if rest > 0 else text
    )


def _field(console: Console, field: FormField, gone: Event) -> Any:
    """One answer, of the kind that is wanted; None for an optional one that is left out."""
    choices = ", ".join(one.shown for one in field.choices)
    many = "some of: " if field.kind == "array" and choices else ""
    hint = f" ({many}{choices})" if choices else ""
    default = json.dumps(field.default, ensure_ascii=False)
    shown = f" [{default}]" if field.default is not None else "" if field.needed else " [leave out]"
    question = f"{field.title}{hint}{shown}:"
    while True:
        text = value_of(console, question, gone=gone).strip()
        if not text and (field.default is not None or not field.needed):
            return field.default
        try:
            return field.value(text)
        except Unfit as wanted:
            Page(console).show(one_line(f"It wants {wanted}."), style="dim")
