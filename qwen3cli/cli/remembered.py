"""What servers said when they were asked last, for completions, which must not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """One kind of thing that servers offer; `ask` asks all of them."""

    def __init__(self, ask: Callable[[], Sequence[T]]) -> None:
        self._ask = ask
        self._said: Sequence[T] | None = None

    def fresh(self) -> Sequence[T]:
        """Ask them."""
        self._said = self._ask()
        return self._said

    def known(self) -> Sequence[T]:
        """What they said; the first time they are asked, and nobody waits for it."""
        if self._said is None:
            self._said = ()
            threading.Thread(target=self.fresh, name="offers", daemon=True).start()
        return self._said

    def forget(self) -> None:
        """Ask again next time."""
        self._said = None
