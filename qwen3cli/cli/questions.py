"""Questions that tools make necessary during a turn: may a call run, may a turn go on, what does a server want to know.

All that is shown comes from a model or a server: what cannot be seen in it is written as an escape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from qwen3cli.cli.consent import line_of, say
from qwen3cli.terminal.ask import can_ask
from qwen3cli.terminal.console import Console
from qwen3cli.tools.approval import Answer, Ask, Question
from qwen3cli.tools.offers import Elicit

_ANSWERS = {
    **dict.fromkeys(("o", "once", "y", "yes", "是", "好"), "once"),
    **dict.fromkeys(("s", "session"), "session"),
    **dict.fromkeys(("a", "always"), "always"),
    **dict.fromkeys(("d", "deny", "n", "no", "否", "不"), "deny"),
}
_YES = ("y", "yes", "是", "好")


def call_question(console: Console) -> Ask | None:
    """Shows a call whole and asks whether it may run; None where nobody can be asked."""

    def ask(question: Question) -> Answer:
        _show(console, question)
        while True:
            words = line_of(console, "Run it? [o]nce, [s]ession, [a]lways, [d]eny [REASON]: ").split(None, 1)
            kind = _ANSWERS.get(words[0].lower()) if words else None
            if kind == "deny":
                return Answer("deny", words[1].strip() if len(words) > 1 else "")
            if kind is not None and len(words) == 1:
                return Answer(kind)  # type: ignore[arg-type]
            say(console, "Type o, s, a, or d; a reason after d is told to the model.", "dim")

    return ask if can_ask(console) else None


def go_on_question(console: Console) -> Callable[[int], bool] | None:
    """Asks whether a turn may go on although the model has called tools for so long."""

    def ask(rounds: int) -> bool:
        question = f"The model has called tools {rounds} times in a row. Go on? [y/N] "
        return line_of(console, question).strip().lower() in _YES

    return ask if can_ask(console) else None


def elicitation(console: Console) -> Elicit | None:
    """Asks what a server wants to know, field by field; a person may decline."""

    def ask(server: str, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        say(console, f"The server `{visible(server)}` asks:", "bold")
        say(console, visible(message))
        if line_of(console, "Answer it? [y/N] ").strip().lower() not in _YES:
            return None
        required = schema.get("required", ())
        answers: dict[str, Any] = {}
        for name, field in schema.get("properties", {}).items():
            value = _field(console, name, field, needed=name in required)
            if value is not None:
                answers[name] = value
        return answers

    return ask if can_ask(console) else None


def visible(text: str) -> str:
    """The text with whatever cannot be seen, or changes what is seen around it, as an escape."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text
    )


def _show(console: Console, question: Question) -> None:
    tool, server = question.tool, question.server
    runs = server.url or " ".join([server.command, *server.args])
    console.fresh_line()
    say(console, f"The model wants to call `{visible(tool.label)}` of the server that runs as:", "bold")
    # Not wrapped, so that it is what runs, letter by letter.
    console.err.write(f"  {visible(runs)}\n")
    if question.changed:
        parts = ", ".join(question.changed)
        say(console, f"Since you approved it, something has changed: {parts}.", "warning")
    for name, value in question.arguments.items():
        shown = json.dumps(value, ensure_ascii=False, indent=2) if not isinstance(value, str) else value
        first, *rest = visible(shown).split("\n")
        console.err.write(f"  {visible(name)}: {first}\n")
        for line in rest:
            console.err.write(f"    {line}\n")
    if not question.arguments:
        console.err.write("  (without arguments)\n")
    claims = ", ".join(f"{visible(key)}: {visible(str(value))}" for key, value in tool.annotations.items())
    if claims:
        say(console, f"  The server says of it, which nobody has checked: {claims}", "dim")


def _field(console: Console, name: str, field: Mapping[str, Any], *, needed: bool) -> Any:
    """One answer, of the type that is wanted; None for an optional one that is left out."""
    title = visible(str(field.get("title") or field.get("description") or name))
    options = [str(one) for one in field.get("enum", ())]
    hint = f" ({', '.join(options)})" if options else ""
    default = field.get("default")
    shown = f" [{visible(str(default))}]" if default is not None else "" if needed else " [leave out]"
    while True:
        text = line_of(console, f"{title}{visible(hint)}{shown}: ").strip()
        if not text and (default is not None or not needed):
            return default
        value = _typed(text, field.get("type"))
        if value is not None and (not options or text in options):
            return value
        say(console, f"That is no {field.get('type', 'answer')} of those that fit.", "dim")


def _typed(text: str, kind: Any) -> Any:
    """The text as a value of a JSON type; None if it is none."""
    if kind == "boolean":
        return {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}.get(
            text.lower()
        )
    if kind == "array":
        return [part.strip() for part in text.split(",")]
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return None
    return text or None
