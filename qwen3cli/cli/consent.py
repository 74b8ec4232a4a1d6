"""Questions that MCP servers make necessary: may a project's servers be used, what is the value of an input.

Each function gives the callable that `tools` wants, or None where nobody can be asked.
"""

from __future__ import annotations

from collections.abc import Callable

from qwen3cli.cli.asking import Page, line_of, say, value_of
from qwen3cli.terminal.ask import YES, can_ask
from qwen3cli.terminal.console import Console
from qwen3cli.tools.dialects import Input
from qwen3cli.tools.expand import AskInput
from qwen3cli.tools.projects import WARNING, AskProject, Project, Word
from qwen3cli.tools.showing import one_line, quoted, site_of

_NEVER = (
    "You are not asked about them again unless the file changes; `qwen3 mcp check` shows them and asks anew."
)
_NOT_NOW = "They are not used this time; you are asked again the next."


def project_question(console: Console) -> AskProject | None:
    """Shows what a project's servers are, whole, and asks; only a yes that is typed is one."""

    def ask(project: Project) -> Word:
        page = Page(console)
        place = quoted(str(project.path))
        if project.changed:
            page.say(f"{place} has changed since you accepted it. It lists these servers:", "warning")
        else:
            page.say(f"This folder has servers of its own, in {place}:", "bold")
        for line in project.lines:
            page.show(line, depth=2)
        page.say(WARNING, "warning")
        page.end()
        answer = line_of(console, "Use them, now and later? [y/N/never]").strip().lower()
        if answer == "never":
            say(console, _NEVER, "dim")
            return "never"
        if answer in YES:
            return "yes"
        # Whatever is no yes is a no, which whoever mistyped one would not learn from silence.
        say(console, _NOT_NOW, "dim")
        return "no"

    return ask if can_ask(console) else None


def input_question(console: Console) -> AskInput | None:
    """Asks for a value, of a password without showing it; a bare Enter takes the default."""

    def ask(wanted: Input) -> str:
        page = Page(console)
        page.say(f"{quoted(str(wanted.source))} asks for `{wanted.id}`", "bold")
        for number, option in enumerate(wanted.options, 1):
            page.show(one_line(option), f"{number}. ")
        # What is not shown when it is typed would not be seen when a file gives it.
        given = "" if wanted.password else wanted.default
        question = (wanted.description or wanted.id) + (f" [{given}]" if given else "")
        while True:
            answer = value_of(console, f"{question}:", hidden=wanted.password) or given
            if not wanted.options or answer in wanted.options:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(wanted.options):
                return wanted.options[int(answer) - 1]

    return ask if can_ask(console) else None


def url_shower(console: Console) -> Callable[[str], None] | None:
    """Shows an address in full, and where it leads; opening it is left to the person."""

    def show(url: str) -> None:
        say(
            console, f"Open this address in a browser, for a server asks it; it leads {site_of(url)}:", "bold"
        )
        # Not folded, so that it can be copied; no address has a blank in it, as every line of ours has.
        console.err.write(one_line(url).replace(" ", "%20") + "\n")

    return show if can_ask(console) else None
