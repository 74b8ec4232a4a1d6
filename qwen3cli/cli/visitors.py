"""Questions of servers, which come on other threads, put to the person by the thread that shows the turn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qwen3cli.errors import Interrupted
from qwen3cli.tools.offers import Elicit


@dataclass
class _Visit:
    server: str
    message: str
    schema: Mapping[str, Any]
    gone: threading.Event
    done: threading.Event = field(default_factory=threading.Event)
    answers: Mapping[str, Any] | None = None
    left: bool = False


class Visitors:
    """A waiting room: `knock` is called by who wants to know something, `attend` by who can ask the person."""

    def __init__(self, ask: Elicit) -> None:
        self._ask = ask
        self._waiting: queue.SimpleQueue[_Visit] = queue.SimpleQueue()

    def knock(
        self, server: str, message: str, schema: Mapping[str, Any], gone: threading.Event
    ) -> Mapping[str, Any] | None:
        """Wait until somebody has been asked; None if they decline, `Interrupted` if they stopped everything.

        Who sets `gone` has left, and is not asked for any more.
        """
        visit = _Visit(server, message, schema, gone)
        self._waiting.put(visit)
        visit.done.wait()
        if visit.left:
            raise Interrupted
        return visit.answers

    @property
    def any(self) -> bool:
        """Whether somebody waits."""
        return not self._waiting.empty()

    def attend(self, stop: Callable[[], None]) -> list[str]:
        """Ask for all who wait; the notices of what could not be asked. `stop` is called when the person leaves.

        That comes before the server hears of it, which could be quick to go on.
        """
        notices: list[str] = []
        left = False
        for visit in self._taken():
            try:
                if not left and not visit.gone.is_set():
                    visit.answers = self._ask(visit.server, visit.message, visit.schema, visit.gone)
            except Interrupted:
                left = True
                stop()
            except Exception as error:
                notices.append(
                    f"a question of the server `{visit.server}` could not be put: {type(error).__name__}"
                )
            finally:
                visit.left = left
                visit.done.set()
        return notices

    def dismiss(self) -> None:
        """Decline for all who wait: nobody is asked any more."""
        for visit in self._taken():
            visit.done.set()

    def _taken(self) -> list[_Visit]:
        taken: list[_Visit] = []
        while not self._waiting.empty():
            taken.append(self._waiting.get())
        return taken
