"""Whether arguments fit their tool's schema, found out in a child process within a time limit (`checker`).

The child is started when it is first needed and stays; one that takes too long is killed, and what it was asked counts
as not passed. It knows nothing of tools.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from qwen3cli.child import command

_LIMIT_S = 10.0
"""Longer than the child's own limit, for a system on which it has none."""
_START_LIMIT_S = 30.0


class Validation:
    """Asks the child; callable from any thread, one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def problem(self, schema: Mapping[str, Any]) -> tuple[str | None, list[str]]:
        """Why nothing can be checked against a schema, as a clause, and its patterns that are not checked here."""
        answer = self._ask({"schema": schema})
        if answer is None:
            return "cannot be worked with in reasonable time", []
        return answer["broken"], answer["unread"]

    def complaints(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        """What is wrong with a value, a sentence each; nothing if it fits."""
        answer = self._ask({"schema": schema, "value": value})
        if answer is None:
            return ["The arguments could not be checked against the tool's schema."]
        return answer["complaints"]

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        data = json.dumps(question).encode() + b"\n"
        with self._lock:
            fresh = self._process is None or self._process.poll() is not None
            if fresh:
                self._end()
                self._process = _start()
            process = self._process
            assert process is not None
            answer = None
            try:
                answer = _exchange(process, data, _LIMIT_S + (_START_LIMIT_S if fresh else 0))
            finally:
                # Killed, crashed or interrupted: whatever it may still say is no answer to the next question.
                if answer is None:
                    self._end()
            return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError, ValueError):
                process.communicate()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("qwen3cli.tools.checker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # A Ctrl-C in the terminal is meant for the parent.
        start_new_session=True,
    )


def _exchange(process: subprocess.Popen[bytes], data: bytes, limit_s: float) -> dict[str, Any] | None:
    assert process.stdin is not None and process.stdout is not None
    watchdog = threading.Timer(limit_s, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        process.stdin.write(data)
        process.stdin.flush()
        line = process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None
    except BrokenPipeError:
        return None
    finally:
        watchdog.cancel()
