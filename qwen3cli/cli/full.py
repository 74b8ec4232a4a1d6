"""The question that a full context makes necessary: what becomes of the oldest turns."""

from __future__ import annotations

from qwen3cli.chat.ports import Making, Shortage
from qwen3cli.cli.asking import line_of, say
from qwen3cli.cli.desk import AskWhenFull
from qwen3cli.terminal.ask import can_ask
from qwen3cli.terminal.console import Console

_ANSWERS: dict[str, Making] = {
    **dict.fromkeys(("s", "summarise", "summarize"), "summarise"),
    **dict.fromkeys(("d", "drop"), "drop"),
    **dict.fromkeys(("t", "stop"), "stop"),
}
_HELP = "Type s, d or t; `s always` and `d always` hold for this chat, and `/set when-full ask` has you asked again."


def when_full_question(console: Console) -> AskWhenFull | None:
    """Asks whether the oldest turns are summed up, dropped, or stay; None where nobody can be asked."""

    def ask(shortage: Shortage) -> tuple[Making, bool]:
        what = "[s]ummarise the oldest turns, [d]rop them or s[t]op"
        if not shortage.summarisable:
            say(console, "The oldest turns are too long to be summed up in what is left.", "dim")
            what = "[d]rop the oldest turns or s[t]op"
        while True:
            words = line_of(console, f"{what}, this time or `always`?").lower().split()
            making = _ANSWERS.get(words[0]) if words else None
            possible = making is not None and (shortage.summarisable or making != "summarise")
            if making is not None and possible and words[1:] in ([], ["always"]):
                return making, bool(words[1:])
            say(console, _HELP, "dim")

    return ask if can_ask(console) else None
