"""What the slash commands may ask of the tools: a look at them, switches, prompts and resources of their servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from qwen3cli.chat.messages import Message


class ToolView(Protocol):
    """A tool as a person sees it; all that its server says of it is untrusted text."""

    @property
    def label(self) -> str:
        """`server.tool`."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether the model may have it."""
        ...

    @property
    def offered(self) -> bool:
        """Whether the model sees it now; one that is enabled may have to be searched for."""
        ...

    @property
    def tokens(self) -> int:
        """What it takes of the context."""
        ...

    @property
    def description(self) -> str:
        """As its server gave it."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of its arguments."""
        ...

    @property
    def annotations(self) -> Mapping[str, Any]:
        """What the server claims of its effects."""
        ...


class ServerView(Protocol):
    """A server as a person sees it."""

    @property
    def name(self) -> str:
        """As it is configured."""
        ...

    @property
    def state(self) -> str:
        """Starting, ready, failed, or stopped until it is called again."""
        ...

    @property
    def tools(self) -> int:
        """How many it has."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not ready."""
        ...

    @property
    def log(self) -> Path:
        """The file with what it wrote."""
        ...


class ArgumentView(Protocol):
    """One argument of a prompt."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        ...


class PromptView(Protocol):
    """A prompt that a server offers."""

    @property
    def server(self) -> str:
        """Whose it is."""
        ...

    @property
    def name(self) -> str:
        """What it is called there."""
        ...

    @property
    def description(self) -> str:
        """What it is for, as the server says."""
        ...

    @property
    def arguments(self) -> Sequence[ArgumentView]:
        """What it takes, in order."""
        ...


class ResourceView(Protocol):
    """A resource that a server offers."""

    @property
    def server(self) -> str:
        """Whose it is."""
        ...

    @property
    def uri(self) -> str:
        """Its address there."""
        ...

    @property
    def name(self) -> str:
        """What its server calls it."""
        ...

    @property
    def description(self) -> str:
        """What its server says of it."""
        ...


class AddressesView(Protocol):
    """Addresses that have not been shown to the person."""

    @property
    def any(self) -> bool:
        """Whether there are some."""
        ...

    def show(self) -> None:
        """Show them; for whoever has the terminal."""
        ...


class Bench(Protocol):
    """The tools of a chat, for a person to look at and switch. Each call may take as long as a server takes."""

    def wait(self) -> None:
        """Until the servers have started, as long as they may take; showing that, and no longer than a person wants."""
        ...

    @property
    def addresses(self) -> AddressesView:
        """What servers want the person to open."""
        ...

    def descriptions(self) -> Sequence[ToolView]:
        """All of them."""
        ...

    def servers(self) -> Sequence[ServerView]:
        """All that are configured."""
        ...

    def enable(self, which: str) -> list[str]:
        """Offer tools again: a server's, a tool, or a glob of `server.tool`; the labels of what it names."""
        ...

    def disable(self, which: str) -> list[str]:
        """Offer them no more."""
        ...

    def reconnect(self, server: str) -> None:
        """End a server and start it again; raises `UsageError` for one that is not configured."""
        ...

    def prompts(self) -> Sequence[PromptView]:
        """What the servers offer as beginnings of conversations."""
        ...

    def known_prompts(self) -> Sequence[PromptView]:
        """Those that are known already; returns at once."""
        ...

    def prompt(self, server: str, name: str, arguments: Mapping[str, str]) -> Sequence[Message]:
        """The messages of a prompt."""
        ...

    def resources(self) -> Sequence[ResourceView]:
        """What the servers offer to be read."""
        ...

    def known_resources(self) -> Sequence[ResourceView]:
        """Those that are known already; returns at once."""
        ...
