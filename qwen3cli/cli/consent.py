"""Questions that MCP servers make necessary: may a project's servers be used, what is the value of an input.

Each function gives the callable that `tools` wants, or None where nobody can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qwen3cli.errors import Interrupted
from qwen3cli.terminal.ask import can_ask
from qwen3cli.terminal.console import Console, Style
from qwen3cli.terminal.interrupts import asking
from qwen3cli.terminal.wrap import clip, display_width, hang
from qwen3cli.tools.dialects import Input
from qwen3cli.tools.expand import AskInput
from qwen3cli.tools.projects import WARNING, AskProject, Project
from qwen3cli.tools.showing import lines_of, one_line, quoted, site_of

_MARGIN = "  "


def project_question(console: Console) -> AskProject | None:
    """Shows what a project's servers are, whole, and asks; only a yes that is typed is one."""

    def ask(project: Project) -> bool:
        console.fresh_line()
        place = quoted(str(project.path))
        if project.changed:
            say(console, f"{place} has changed since you accepted it. It lists these servers:", "warning")
        else:
            say(console, f"This folder has servers of its own, in {place}:", "bold")
        for line in project.lines:
            # Not wrapped, so that it is what runs, letter by letter.
            console.err.write(f"  {line}\n")
        say(console, WARNING, "warning")
        return line_of(console, "Use them, now and later? [y/N] ").strip().lower() in ("y", "yes", "是", "好")

    return ask if can_ask(console) else None


def input_question(console: Console) -> AskInput | None:
    """Asks for a value, of a password without showing it; a bare Enter takes the default."""

    def ask(wanted: Input) -> str:
        console.fresh_line()
        say(console, f"{quoted(str(wanted.source))} asks for `{one_line(wanted.id)}`", "bold")
        for number, option in enumerate(wanted.options, 1):
            show(console, one_line(option), f"{number}. ")
        # What is not shown when it is typed would not be seen when a file gives it.
        given = "" if wanted.password else wanted.default
        question = one_line((wanted.description or wanted.id) + (f" [{given}]" if given else ""))
        while True:
            answer = line_of(console, f"  {question}: ", hidden=wanted.password) or given
            if not wanted.options or answer in wanted.options:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(wanted.options):
                return wanted.options[int(answer) - 1]

    return ask if can_ask(console) else None


def url_shower(console: Console) -> Callable[[str], None] | None:
    """Shows an address in full, and where it leads; opening it is left to the person."""

    def show(url: str) -> None:
        console.fresh_line()
        say(
            console, f"Open this address in a browser, for a server asks it; it leads {site_of(url)}:", "bold"
        )
        # Not wrapped, so that it can be copied.
        console.err.write(f"{one_line(url)}\n")

    return show if can_ask(console) else None


def say(console: Console, text: str, style: Style | None = None) -> None:
    """Tell the person, wrapped to the window."""
    console.err.write(hang(text, console.err.width, 0) + "\n", style)


def show(console: Console, text: str, name: str = "", style: Style | None = None) -> None:
    """Show a text of others beside the margin, its later lines deeper; none of it can look like a line of ours."""
    first, *rest = lines_of(text)
    deeper = _MARGIN * 2 if name else _MARGIN
    pieces = list(_folded(name + first, console.err.width - len(deeper)))
    for line in rest:
        pieces.extend(_folded(line, console.err.width - len(deeper)))
    for number, piece in enumerate(pieces):
        console.err.write(f"{deeper if number else _MARGIN}{piece}\n", style)


def _folded(line: str, width: int) -> Iterator[str]:
    """A line in pieces that fit; the terminal itself would begin each at its edge."""
    while len(line) > width or display_width(line) > width:
        piece = clip(line[:width], width, "")
        blank = piece.rfind(" ") + 1
        cut = blank if blank > len(piece) // 2 else len(piece)
        yield line[:cut]
        line = line[cut:]
    yield line


def line_of(console: Console, question: str, *, hidden: bool = False) -> str:
    """One line that a person types; raises `Interrupted` when they leave with Ctrl-C or Ctrl-D."""
    assert console.stdin is not None, "asked without a terminal"
    console.fresh_line()
    console.err.write(question, "bold")
    try:
        with asking(console.stdin, hidden=hidden):
            line = console.stdin.readline()
    except KeyboardInterrupt:
        line = ""
    if not line.endswith("\n") or hidden:
        console.err.write("\n")
    console.screen.midline = False
    if not line:
        raise Interrupted
    return line.rstrip("\r\n")
