"""Addresses that servers want opened: they come on other threads, and wait for the one that has the terminal."""

from __future__ import annotations

import queue
from collections.abc import Callable


class Addresses:
    """A waiting room: `take` is called by whoever has an address, `show` by who can show it to the person."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        """`show` None means that nobody is there."""
        self._show = show
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def take(self) -> Callable[[str], None] | None:
        """Takes one more and returns at once; None where nobody could see it."""
        return None if self._show is None else self._waiting.put

    @property
    def any(self) -> bool:
        """Whether some wait."""
        return not self._waiting.empty()

    def show(self) -> None:
        """Show all that wait."""
        while self._show is not None and self.any:
            self._show(self._waiting.get())
