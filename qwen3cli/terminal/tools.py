"""`/tools`, and the prompts of servers as commands: what a person does with the tools of a chat."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence

from qwen3cli.chat.bench import Bench, PromptView, ServerView, ToolView
from qwen3cli.chat.ports import Desk
from qwen3cli.errors import UsageError
from qwen3cli.terminal.command import NARROW, Seat, print_pairs
from qwen3cli.terminal.figures import call_words
from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.tables import LEAST_COLUMN, NARROW_GAP, measured
from qwen3cli.terminal.wrap import clip

PREFIX = "mcp:"
_VERBS = ("enable", "disable", "show", "reconnect")
TOOLS_HELP = (
    ("/tools [list]", "list servers, tools, prompts and resources"),
    ("/tools enable NAME", "offer a tool, a server's tools or a glob of them"),
    ("/tools disable NAME", "offer them no more"),
    ("/tools show NAME", "a tool's description and schema, whole"),
    ("/tools reconnect SERVER", "start a server again"),
    ("/mcp:SERVER:PROMPT [VALUE]...", "say what a server's prompt says"),
    ("@SERVER:URI", "in a message: attach a server's resource"),
)
_LONGEST = 60
_RESOURCE = re.compile(r"(?<![!-~])@\S*\Z")
_NONE = "There are no tools: no MCP server is configured. `qwen3 mcp add` adds one."


def run_tools(seat: Seat, rest: str) -> None:
    """`/tools [list]`, or `/tools enable|disable|show|reconnect WHICH`."""
    bench = seat.desk.bench
    if bench is None:
        seat.console.talk(_NONE)
        return
    verb, _, which = rest.partition(" ")
    which = which.strip()
    if verb != "reconnect":
        # Whoever wants a server started again has waited for it long enough.
        bench.wait()
    if verb in ("", "list") and not which:
        _list(seat, bench)
        return
    if verb not in _VERBS or not which:
        raise UsageError(
            f"`/tools {rest}` {'needs a name behind it' if verb in _VERBS else 'is not understood'}",
            f"`/tools` alone lists them; `/tools {'|'.join(_VERBS)} NAME` does something to one",
        )
    if verb == "show":
        _show(seat, bench, which)
    elif verb == "reconnect":
        bench.reconnect(which)
        _list_servers(seat, [one for one in bench.servers() if one.name == which])
    else:
        labels = bench.enable(which) if verb == "enable" else bench.disable(which)
        seat.console.talk(f"{verb}d: {', '.join(map(sanitise_line, labels))}")


def choose_tools(desk: Desk, words: Sequence[str]) -> Iterable[str]:
    """What may follow `/tools`."""
    if not words:
        return ("list", *_VERBS)
    bench = desk.bench
    if bench is None or len(words) > 1:
        return ()
    servers = [one.name for one in bench.servers()]
    if words[0] == "reconnect":
        return servers
    labels = [one.label for one in bench.descriptions()]
    return labels if words[0] == "show" else [*servers, *labels]


def run_prompt(seat: Seat, name: str, rest: str) -> None:
    """`/mcp:SERVER:PROMPT [VALUE|NAME=VALUE]...`: says what the server's prompt says."""
    bench = seat.desk.bench
    if bench is None:
        raise UsageError("there are no prompts: no MCP server is configured", "`qwen3 mcp add` adds one")
    bench.wait()
    server, _, wanted = name.removeprefix(PREFIX).partition(":")
    prompts = bench.prompts()
    # Of a server that has none, or is none, nothing could be named.
    prompts = [one for one in prompts if one.server == server] or prompts
    found = next((one for one in prompts if (one.server, one.name) == (server, wanted)), None)
    if found is None:
        known = ", ".join(f"/{PREFIX}{one.server}:{sanitise_line(one.name)}" for one in prompts)
        raise UsageError(f"there is no prompt `/{name}`", f"there are {known}" if known else None)
    seat.said = tuple(bench.prompt(server, wanted, _arguments(found, rest)))
    for message in seat.said:
        # A server has written it, so a person sees all of it.
        whose = "you say" if message.role == "user" else "the model is taken to have said"
        seat.console.quote(f"{server}, {whose}", message.content)


def prompt_names(desk: Desk) -> list[str]:
    """The prompts of all servers, as commands."""
    bench = _settled(desk)
    return _typable(f"{PREFIX}{one.server}:{one.name}" for one in bench.known_prompts()) if bench else []


def complete_resource(desk: Desk, text: str) -> tuple[str, list[str]]:
    """The `@server:uri` being typed at the end of `text`, and what it could become; nothing where none is."""
    match = _RESOURCE.search(text)
    bench = _settled(desk) if match else None
    if match is None or bench is None:
        return "", []
    names = _typable(f"@{one.server}:{one.uri}" for one in bench.known_resources())
    return match[0], [name for name in names if name.startswith(match[0])]


def _settled(desk: Desk) -> Bench | None:
    """The tools, if there are any and their servers have started: a completion waits for nobody."""
    bench = desk.bench
    if bench is None or any(one.state == "starting" for one in bench.servers()):
        return None
    return bench


def _typable(words: Iterable[str]) -> list[str]:
    """Those that are one word, of nothing but what can be seen."""
    return [word for word in words if word.isprintable() and " " not in word]


def _arguments(prompt: PromptView, rest: str) -> dict[str, str]:
    """What was typed, by names; words without one fill the arguments in their order."""
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"what follows `/{PREFIX}{prompt.server}:{prompt.name}` has {error}") from None
    names = [one.name for one in prompt.arguments]
    given: dict[str, str] = {}
    plain: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in names:
            given[name] = value
        else:
            plain.append(word)
    open_names = [name for name in names if name not in given]
    if open_names and len(plain) > len(open_names):
        # The last one takes what is left, as people type sentences without quotes.
        plain = [*plain[: len(open_names) - 1], " ".join(plain[len(open_names) - 1 :])]
    given.update(zip(open_names, plain, strict=False))
    lacking = [one.name for one in prompt.arguments if one.required and one.name not in given]
    if lacking or (plain and not open_names):
        usage = " ".join(
            f"{one.name}=..." if one.required else f"[{one.name}=...]" for one in prompt.arguments
        )
        raise UsageError(
            f"`/{PREFIX}{prompt.server}:{prompt.name}` "
            + (f"needs {', '.join(lacking)}" if lacking else "takes no arguments"),
            f"/{PREFIX}{prompt.server}:{prompt.name} {usage}".rstrip(),
        )
    return given


def _list(seat: Seat, bench: Bench) -> None:
    _list_servers(seat, bench.servers())
    if tools := bench.descriptions():
        _list_tools(seat, tools)
    else:
        seat.console.talk("No server offers a tool now.")
    _list_others(seat, bench)


def _list_tools(seat: Seat, tools: Sequence[ToolView]) -> None:
    seat.console.result("\n")
    if seat.console.width < NARROW:
        print_pairs(
            seat,
            [
                (
                    f"{_mark(one)} {sanitise_line(one.label)} ({one.tokens:,} tokens)",
                    _line_of(one.description),
                )
                for one in tools
            ],
        )
    else:
        header = (" ", "TOOL", "TOKENS", "WHAT IT SAYS IT DOES")
        rows = [(_mark(one), sanitise_line(one.label), f"{one.tokens:,}") for one in tools]
        room = _room_beside(seat, rows, header[:3])
        rows = [(*row, _line_of(one.description, room)) for row, one in zip(rows, tools, strict=True)]
        seat.console.table(rows, header, right=(2,), squeezed=(3,))
    if any(not one.enabled or not one.offered for one in tools):
        seat.console.talk("- is disabled or denied, ? has to be searched for by the model.")


def _list_others(seat: Seat, bench: Bench) -> None:
    """What servers offer besides tools, as it is typed."""
    prompts = [
        (f"/{PREFIX}{one.server}:{sanitise_line(one.name)}", _line_of(one.description))
        for one in bench.prompts()
    ]
    resources = [
        (f"@{one.server}:{sanitise_line(one.uri)}", _line_of(one.description or one.name))
        for one in bench.resources()
    ]
    for title, rows in (("PROMPT", prompts), ("RESOURCE, FOR A MESSAGE", resources)):
        if rows:
            seat.console.result("\n")
            if seat.console.width < NARROW:
                seat.console.result(f"{title}\n")
                print_pairs(seat, rows)
            else:
                room = _room_beside(seat, [row[:1] for row in rows], (title,))
                rows = [(name, clip(text, room, "...")) for name, text in rows]
                seat.console.table(rows, (title, "WHAT IT IS"), squeezed=(1,))


def _list_servers(seat: Seat, servers: Sequence[ServerView]) -> None:
    rows = [[one.name, one.state, f"{one.tools:,}", sanitise_line(one.reason)] for one in servers]
    header = ["SERVER", "STATE", "TOOLS", "WHY"]
    if not any(one.reason for one in servers):
        rows, header = [row[:3] for row in rows], header[:3]
    seat.console.table(rows, header, right=(2,), squeezed=(3,) if len(header) > 3 else ())
    for one in servers:
        if one.state == "failed":
            seat.console.talk(f"What {one.name} wrote is in {one.log}")


def _show(seat: Seat, bench: Bench, which: str) -> None:
    tools = bench.descriptions()
    found = [one for one in tools if which in (one.label, one.label.partition(".")[2])]
    if not found:
        raise UsageError(f"there is no tool `{which}`", "`/tools` lists them")
    for one in found:
        rows = [
            ("tool", sanitise_line(one.label)),
            ("state", "enabled" if one.enabled else "disabled or denied"),
            ("tokens", f"{one.tokens:,}"),
            ("claims, unchecked", call_words(one.annotations) or "none"),
        ]
        seat.console.table(rows)
        seat.console.quote("what its server says of it", one.description.strip() or "nothing")
        seat.console.result(json.dumps(one.schema, ensure_ascii=False, indent=2) + "\n")


def _mark(tool: ToolView) -> str:
    if not tool.enabled:
        return "-"
    return "*" if tool.offered else "?"


def _room_beside(seat: Seat, rows: Sequence[Sequence[str]], header: Sequence[str]) -> int:
    """What these columns of a table leave for a text, whose beginning says more than its end."""
    _, widths = measured(rows, header)
    return max(seat.console.width - 1 - sum(widths) - NARROW_GAP * len(widths), LEAST_COLUMN)


def _line_of(text: str, room: int = _LONGEST) -> str:
    """The beginning of untrusted text, on one line."""
    line = sanitise_line(" ".join(text.split()))
    return clip(line, min(room, _LONGEST), "...")
