"""The tools of a chat, put together from servers, trust and what the model sees; and what a person may do with them.

Servers start while the model loads, and are waited for when the first message is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3cli.chat.events import Event, Notice, Working
from qwen3cli.chat.messages import Message, Role, ToolCall, ToolResult, ToolSpec
from qwen3cli.chat.ports import Engine, PreparedCall
from qwen3cli.cli.addresses import Addresses
from qwen3cli.cli.attached import Attachments
from qwen3cli.cli.consent import input_question, project_question, url_shower
from qwen3cli.cli.questions import call_question, elicitation, go_on_question
from qwen3cli.cli.remembered import Remembered
from qwen3cli.cli.servers import where
from qwen3cli.cli.session import Session
from qwen3cli.cli.visitors import Visitors
from qwen3cli.config import ToolSettings
from qwen3cli.errors import ToolsFailed, UsageError
from qwen3cli.terminal.interrupts import cancelling
from qwen3cli.terminal.progress import Progress
from qwen3cli.tools.approval import Approval, trusting
from qwen3cli.tools.config import Gathered, gather
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.toolbox import Toolbox, ToolDescription

if TYPE_CHECKING:
    from qwen3cli.tools.offers import RemotePrompt, RemoteResource, ServerStatus

_START_S = 30.0
_LOOK_S = 0.1


def open_tooling(session: Session, extra: Path | None, *, everything: bool, strict: bool) -> Tooling | None:
    """The tools of the servers that are configured for this folder, starting; None where none are.

    `everything` is the person's word that every call may run. Unless `strict`, servers whose variables are not set are
    left out.
    """
    console = session.console
    can_ask = not session.as_json
    gathered = gather(
        session.config.paths,
        where(session).folder,
        extra,
        console.environ,
        project_question(console) if can_ask else None,
        input_question(console) if can_ask else None,
        strict=strict,
    )
    for line in gathered.notices:
        session.notice(line)
    if not gathered.servers:
        return None
    return Tooling(session, gathered, everything=everything, can_ask=can_ask)


class Tooling:
    """A `ToolHost` for the loop and a `Bench` for the slash commands; `use` comes first."""

    def __init__(self, session: Session, gathered: Gathered, *, everything: bool, can_ask: bool) -> None:
        console, paths = session.console, session.config.paths
        self._console = console
        self._folder = paths.tools
        self._servers = gathered.servers
        self._settings = ToolSettings.of(paths.config)
        ask = elicitation(console) if can_ask else None
        self._visitors = Visitors(ask) if ask is not None else None
        self.addresses = Addresses(url_shower(console) if can_ask else None)
        """What servers want opened."""
        self._host = McpHost(
            gathered.servers,
            paths.tools,
            elicit=self._visitors.knock if self._visitors is not None else None,
            open_url=self.addresses.take,
        )
        allow = [*self._settings.allow, *trusting(gathered.trusted)]
        question = call_question(console) if can_ask else None
        self._approval = Approval(
            paths.tools / "approved.json", allow, self._settings.deny, question, everything, gathered.foreign
        )
        self._go_on = go_on_question(console) if can_ask else None
        self._box: Toolbox | None = None
        self._engine: Engine | None = None
        self._stopped = False
        """Whether the person has stopped the turn, or the waiting before it."""
        self._reading = threading.Event()
        """Set when the person stops what is read from a server now."""
        self._given_up: set[str] = set()
        self._prompts = Remembered(self._host.prompts)
        self._resources = Remembered(self._host.resources)
        self._attachments = Attachments(
            self._host,
            [server.name for server in gathered.servers],
            paths.tools / "results",
            self._settings.result_share,
        )
        self.waited_enough = False
        """Whether the person has just stopped the waiting for servers."""
        self._host.start()

    def use(self, engine: Engine) -> None:
        """Reckon with this model's tokens from now on."""
        self._engine = engine
        if self._box is not None:
            self._box.measure_with(engine.count_tokens, engine.context_size)
            return
        self._box = Toolbox(
            self._host,
            self._servers,
            self._settings,
            self._approval,
            self._folder,
            count=engine.count_tokens,
            context_size=engine.context_size,
            go_on=self._go_on,
        )

    def starting(self) -> Iterator[Event]:
        """Wait for the servers, as long as they may take; a person may stop that, and chats without the late ones."""
        self._stopped = self.waited_enough = False
        for _ in range(round(_START_S / _LOOK_S)):
            late = self._late() - self._given_up
            if self._stopped:
                self._given_up |= late
                self.waited_enough = True
            if not late or self._stopped:
                break
            yield Working(f"starting {', '.join(sorted(late))}")
            yield from self.visits()
            self._host.wait(_LOOK_S)
        self._stopped = False

    def _late(self) -> set[str]:
        return {one.name for one in self._host.status() if one.state == "starting"}

    def wait(self) -> None:
        """Until the servers have started; showing that, and no longer than a person wants."""
        if not self._late():
            return
        stop, deadline = threading.Event(), time.monotonic() + _START_S
        with Progress(self._console, "starting the servers", unit="share"), cancelling(stop.set):
            while self._late() and not stop.is_set() and time.monotonic() < deadline:
                self._host.wait(_LOOK_S, stop)
                self.addresses.show()

    def visits(self) -> Iterator[Event]:
        """Put what servers want to know to the person, if they do; a notice ends what a screen shows meanwhile."""
        if self.addresses.any:
            yield Notice("a server wants an address opened")
            self.addresses.show()
        # Whoever stopped the turn is asked nothing more in it: a call takes a moment to end.
        if self._visitors is not None and self._visitors.any and not self._stopped:
            yield Notice("a server asks something")
            for line in self._visitors.attend(self._stop_turn):
                yield Notice(line)

    def demand(self) -> None:
        """Raise `ToolsFailed` unless there is a tool."""
        if not self._toolbox.tools():
            reasons = "; ".join(_complaint(one) for one in self._host.status() if one.reason)
            raise ToolsFailed(
                "there is no tool that could be called" + (f" ({reasons})" if reasons else ""),
                "`qwen3 mcp check` shows what is wrong with the servers"
                if reasons
                else "`qwen3 mcp check` shows what the servers offer; `deny` in config.toml may name all of it",
            )

    def attached(self, text: str, free: int) -> str:
        """The message with the contents of the resources that it names as `@server:uri`, below it.

        Each takes at most its share of the `free` tokens of the context.
        """
        assert self._engine is not None, "used before `use`"
        return self._attachments.put(text, free, self._engine, self._reading)

    def named(self, text: str) -> list[str]:
        """The resources that a message names as `@server:uri`."""
        return self._attachments.named(text)

    def tools(self) -> list[ToolSpec]:
        """The tools on offer now."""
        return self._toolbox.tools()

    def prepare(self, call: ToolCall) -> PreparedCall | ToolResult:
        """Check a call and ask whoever has to be asked; a refusal is a result with `is_error`."""
        return self._toolbox.prepare(call)

    def news(self) -> list[str]:
        """What the person should know since this was asked last."""
        return [*self._attachments.news(), *self._toolbox.news()]

    def goes_on(self, rounds: int) -> bool:
        """Whether the turn may go on after so many rounds of calls."""
        return self._toolbox.goes_on(rounds)

    def cancel(self) -> None:
        """Stop the running calls, or the waiting for servers; callable from a signal handler."""
        self._stopped = True
        running, self._reading = self._reading, threading.Event()
        running.set()
        if self._box is not None:
            self._box.cancel()

    def _stop_turn(self) -> None:
        """The person has had enough while a server asked: as Ctrl-C does elsewhere, it stops the model, too."""
        if self._engine is not None:
            self._engine.cancel()
        self.cancel()

    def end_turn(self) -> None:
        """Nobody is asked any more."""
        if self._visitors is not None:
            self._visitors.dismiss()

    def descriptions(self) -> Sequence[ToolDescription]:
        """All tools."""
        return self._toolbox.descriptions()

    def servers(self) -> Sequence[ServerStatus]:
        """All servers that are configured."""
        return self._host.status()

    def enable(self, which: str) -> list[str]:
        """Offer tools again; the labels of what `which` names."""
        return self._toolbox.enable(which)

    def disable(self, which: str) -> list[str]:
        """Offer them no more."""
        return self._toolbox.disable(which)

    def reconnect(self, server: str) -> None:
        """End a server and start it again; showing that, and no longer than a person wants to wait for it."""
        names = [one.name for one in self._servers]
        if server not in names:
            raise UsageError(f"there is no server `{server}`", f"there are {', '.join(names)}")
        again = threading.Thread(target=self._host.reconnect, args=(server,), daemon=True)
        stop = threading.Event()
        with Progress(self._console, f"starting {server}", unit="share"), cancelling(stop.set):
            again.start()
            while again.is_alive() and not stop.is_set():
                again.join(_LOOK_S)
                self.addresses.show()
        self._prompts.forget()
        self._resources.forget()

    def prompts(self) -> Sequence[RemotePrompt]:
        """What the servers offer as beginnings of conversations."""
        return self._prompts.fresh()

    def known_prompts(self) -> Sequence[RemotePrompt]:
        """Those that have been asked for already; the first time, they are, and nobody waits for it."""
        return self._prompts.known()

    def prompt(self, server: str, name: str, arguments: Mapping[str, str]) -> Sequence[Message]:
        """The messages of a prompt; the last one is the person's."""
        with cancelling(self.cancel):
            said = self._host.prompt(server, name, arguments, self._reading)
        found = [Message(_role(role), text) for role, text in said]
        if not found or found[-1].role != "user":
            raise UsageError(f"the prompt `{name}` of `{server}` ends with nothing to be answered")
        return found

    def resources(self) -> Sequence[RemoteResource]:
        """What the servers offer to be read."""
        return self._resources.fresh()

    def known_resources(self) -> Sequence[RemoteResource]:
        """Those that have been asked for already, as with prompts."""
        return self._resources.known()

    def close(self) -> None:
        """End the servers."""
        self.end_turn()
        if self._box is not None:
            self._box.close()
        self._host.close()

    @property
    def _toolbox(self) -> Toolbox:
        assert self._box is not None, "used before `use`"
        return self._box


def _complaint(server: ServerStatus) -> str:
    """Why a server is of no use, with the last that it wrote."""
    last = f", and wrote: {server.lines[-1].strip()}" if server.lines else ""
    return f"{server.reason}{last}"


def _role(text: str) -> Role:
    return "assistant" if text == "assistant" else "user"
