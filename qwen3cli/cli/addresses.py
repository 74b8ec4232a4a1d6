"""Addresses that servers want opened: they come on other threads, and wait for the one that has the terminal."""

from __future__ import annotations

import queue
from collections.abc import Callable


class Addresses:
    """A waiting room: `add` is called by whoever has an address, `show` by who can show it to the person."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def add(self, url: str) -> None:
        """One more; returns at once."""
        self._waiting.put(url)

    @property
    def any(self) -> bool:
        """Whether some wait."""
        return not self._waiting.empty()

    def show(self) -> None:
        """Show all that wait."""
        while self.any:
            self._show(self._waiting.get())
