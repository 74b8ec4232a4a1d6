"""Whether an answer is what `--format` asked for: scripts rely on it, and people are told where it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qwen3cli.chat.events import Event, Text, TurnEnded
from qwen3cli.errors import InvalidFile, QwenError
from qwen3cli.tools.validation import Validation


class AnswerCheck:
    """Hears the events of one turn after the other; `close` ends the process that checks."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises `InvalidFile` for a schema that nothing could be checked against."""
        self._schema = schema
        self._validation = Validation()
        self.begin()
        problem, _ = self._validation.problem(schema)
        if problem is not None:
            self.close()
            raise InvalidFile(f"the schema of `--format` {problem}")

    def begin(self) -> None:
        """Another turn begins."""
        self._text: list[str] = []
        self._finish = ""

    def hear(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Text):
            self._text.append(event.text)
        elif isinstance(event, TurnEnded):
            self._finish = event.finish

    def check(self) -> None:
        """Raise `QwenError` for an answer of the last turn that is not of the schema.

        One that a person stopped, or for which the context had no room, is not judged.
        """
        if self._finish in ("interrupted", "context"):
            return
        try:
            answer: Any = json.loads("".join(self._text))
        except (ValueError, RecursionError):
            cut = self._finish == "length"
            raise QwenError(
                "the answer was cut, so it is no whole JSON" if cut else "the answer is no JSON",
                "`--max-tokens` allows more" if cut else "try again, or a larger model",
            ) from None
        complaints = self._validation.complaints(self._schema, answer)
        if complaints:
            raise QwenError(
                f"the answer does not fit the schema of `--format`: {complaints[0].rstrip('.')}",
                "try again, or a larger model",
            )

    def close(self) -> None:
        """End the process that checks."""
        self._validation.close()
