"""The waiting room: whoever knocks is answered, whatever happens to the question."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from qwen3cli.cli.visitors import Visitors
from qwen3cli.errors import Interrupted

Answers = Mapping[str, Any] | None


class Visit:
    """Somebody who knocks on a thread of their own, and what they were told."""

    def __init__(self, visitors: Visitors, server: str) -> None:
        self.gone = threading.Event()
        self._told: queue.SimpleQueue[Answers | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._knock, args=[visitors, server], daemon=True)
        self._thread.start()

    def _knock(self, visitors: Visitors, server: str) -> None:
        try:
            self._told.put(visitors.knock(server, "What?", {}, self.gone))
        except Interrupted as error:
            self._told.put(error)

    @property
    def waits(self) -> bool:
        return self._told.empty()

    def told(self) -> Answers | BaseException:
        return self._told.get(timeout=20)


class Door:
    """The one who asks; `answers` are given in turn, exceptions raised."""

    def __init__(self, *answers: Answers | BaseException) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def __call__(
        self, server: str, message: str, schema: Mapping[str, Any], gone: threading.Event
    ) -> Answers:
        self.asked.append(server)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def arrived(visitors: Visitors, *names: str) -> list[Visit]:
    """Visits whose order is that of their names."""
    visits: list[Visit] = []
    for count, name in enumerate(names, 1):
        visits.append(Visit(visitors, name))
        deadline = time.monotonic() + 20
        while visitors._waiting.qsize() < count:  # pyright: ignore[reportPrivateUsage]
            assert time.monotonic() < deadline
            time.sleep(0.01)
    return visits


def never() -> None:
    pytest.fail("the person has not left")


def test_each_gets_its_own_answer() -> None:
    visitors = Visitors(Door({"a": 1}, None))
    assert not visitors.any
    one, other = arrived(visitors, "one", "other")
    assert visitors.any and one.waits
    assert visitors.attend(never) == []
    assert (one.told(), other.told(), visitors.any) == ({"a": 1}, None, False)


def test_who_is_dismissed_is_declined_and_not_asked() -> None:
    door = Door()
    visitors = Visitors(door)
    one, other = arrived(visitors, "one", "other")
    visitors.dismiss()
    assert (one.told(), other.told(), visitors.any, door.asked) == (None, None, False, [])


def test_when_the_person_leaves_all_hear_of_it_after_the_turn_is_stopped() -> None:
    door = Door(Interrupted())
    visitors = Visitors(door)
    one, other = arrived(visitors, "one", "other")
    heard: list[bool] = []
    visitors.attend(lambda: heard.append(one.waits and other.waits))
    assert heard == [True]
    assert isinstance(one.told(), Interrupted) and isinstance(other.told(), Interrupted)
    assert door.asked == ["one"]


def test_a_question_that_breaks_is_declined_and_told_and_the_next_is_asked() -> None:
    visitors = Visitors(Door(AttributeError("x"), {"a": 1}))
    one, other = arrived(visitors, "one", "other")
    assert visitors.attend(never) == ["a question of the server `one` could not be put: AttributeError"]
    assert (one.told(), other.told()) == (None, {"a": 1})


def test_who_has_left_is_not_asked_for() -> None:
    door = Door({"a": 1})
    visitors = Visitors(door)
    one, other = arrived(visitors, "one", "other")
    one.gone.set()
    assert visitors.attend(never) == []
    assert (one.told(), other.told(), door.asked) == (None, {"a": 1}, ["other"])
