"""Which tools a person has switched off: by name, by a glob of `server.tool`, or a whole server, whatever it offers."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from qwen3cli.errors import UsageError
from qwen3cli.tools.catalogue import Known


class Switches:
    """All tools of these servers are on at first."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._all = tuple(servers)
        self._tools: set[str] = set()
        self._servers: set[str] = set()

    def is_on(self, tool: Known) -> bool:
        """Whether the model may have it."""
        return tool.label not in self._tools and tool.remote.server not in self._servers

    def on(self, which: str, known: Sequence[Known]) -> list[str]:
        """Switch on; the labels of what `which` names, or the name of a server that has nothing now."""
        labels = self._labels(which, known)
        # Of a server that was off as a whole, single tools are wanted: its others stay off, one by one.
        servers = {one.remote.server for one in known if one.label in labels} & self._servers
        self._tools.update(one.label for one in known if one.remote.server in servers)
        self._servers -= servers | {which}
        self._tools.difference_update(labels)
        return labels

    def off(self, which: str, known: Sequence[Known]) -> list[str]:
        """Switch off; of a server, what it comes to have later, too."""
        labels = self._labels(which, known)
        if which in self._all:
            self._servers.add(which)
        else:
            self._tools.update(labels)
        return labels

    def _labels(self, which: str, known: Sequence[Known]) -> list[str]:
        found = [one.label for one in known if which in (one.label, one.remote.server, one.spec.name)]
        found = found or [one.label for one in known if fnmatchcase(one.label, which)]
        if found:
            return found
        if which in self._all:
            return [which]
        close = get_close_matches(which, [*self._all, *(one.label for one in known)])
        hint = f"perhaps `{close[0]}` is meant" if close else "`/tools` lists them"
        raise UsageError(f"there is no tool and no server `{which}`", hint)
