"""Resources of servers that a message names as `@server:uri`: what is said of them, and what they hold, below it."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from qwen3cli.chat.ports import Engine
from qwen3cli.errors import Interrupted, QwenError, UsageError
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.results import Results

_PUNCTUATION = ".,;:!?)]}\"'。，；：！？、）」”"
"""What ends a sentence rather than an address."""
# Chinese is written without blanks, so it may stand before the mark, and behind the address.
_ATTACHMENT = re.compile(r"(?<![!-~])@([A-Za-z0-9_-]{1,64}):(\S+)")


class Attachments:
    """Reads resources for messages; `share` is what they may take of the free context, `folder` has what is longer."""

    def __init__(self, host: McpHost, servers: Collection[str], folder: Path, share: float) -> None:
        self._host = host
        self._servers = frozenset(servers)
        self._results = Results(folder)
        self._share = share
        self._told: list[str] = []

    def news(self) -> list[str]:
        """What the person should know since this was asked last: of which resources the model sees a part."""
        told, self._told = self._told, []
        return told

    def named(self, text: str) -> list[str]:
        """The resources of servers of ours that a message names, each once, as they are written there."""
        return list(dict.fromkeys(f"@{server}:{run}" for server, run in self._runs(text)))

    def put(self, text: str, free: int, engine: Engine, stop: threading.Event) -> str:
        """The message with the contents of the resources that it names, in equal parts of their share of `free` tokens.

        Raises `UsageError` for what cannot be read, and `Interrupted` soon after `stop` is set.
        """
        wanted = list(dict.fromkeys((server, self._uri(server, run)) for server, run in self._runs(text)))
        room = round(free * self._share) // max(1, len(wanted))
        pieces = [text]
        for server, uri in wanted:
            label = f"{server}-resource"
            try:
                content = self._results.text(label, self._host.read(server, uri, stop))
            except Interrupted:
                raise
            except QwenError as error:
                raise UsageError(
                    f"`@{server}:{uri}` cannot be attached: {error.message}", error.hint
                ) from None
            seen = self._results.fitting(label, content, room, engine.count_tokens)
            if seen != content:
                self._told.append(
                    f"`@{server}:{uri}` has {len(content):,} characters, and there is room for about {room:,} tokens:"
                    " the model sees its beginning and its end"
                )
            pieces.append(f"{uri}:\n{seen}")
        return "\n\n".join(pieces)

    def _runs(self, text: str) -> Iterator[tuple[str, str]]:
        """Servers, and what follows their names up to the next blank."""
        for match in _ATTACHMENT.finditer(text):
            if match[1] in self._servers and (run := match[2].rstrip(_PUNCTUATION)):
                yield match[1], run

    def _uri(self, server: str, run: str) -> str:
        """The address in what follows a server's name: all of it, or what the server lists that it begins with."""
        if run.isascii():
            return run
        listed = [one.uri for one in self._host.resources() if one.server == server]
        return max((uri for uri in listed if run.startswith(uri)), key=len, default=run)
