"""Stop strings: where an answer ends because the user said so.

Knows text only. A stop string may be split over any number of pieces.
"""

from __future__ import annotations


class StopText:
    """Lets text through up to the first stop string; `hit` tells that one came."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held: str = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """What of the text so far can be shown; the beginning of a stop string waits for its rest."""
        if self.hit:
            return ""
        text = self._held + text
        # The one that is complete first counts, or the pieces would decide.
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in self._stops if stop in text]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)[1]]
        shown = len(text) - self._beginning(text)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """What was held back, when no more text comes."""
        text, self._held = self._held, ""
        return text

    def _beginning(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
