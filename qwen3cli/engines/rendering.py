"""Where a template renders: in this process if it is known to end, else in a child that can be killed.

Jinja has no time limit, so a template with `{% for %}` in `{% for %}` could hold a process for ever.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from contextlib import suppress
from functools import lru_cache
from typing import Any

from qwen3cli.child import command
from qwen3cli.engines.lookalikes import Rendering
from qwen3cli.errors import Interrupted, InvalidFile

TIME_LIMIT_S = 10.0
MEMORY_LIMIT = 2 * 2**30


def render_here(source: str, variables: dict[str, Any]) -> Rendering:
    """Render in this process; raises `InvalidFile` with the template's failure."""
    from qwen3cli.engines.sandbox import TemplateFailure

    try:
        return Rendering(*_sandbox(source).render(variables))
    except TemplateFailure as failure:
        raise _refusal(str(failure)) from None


@lru_cache(maxsize=4)
def _sandbox(source: str) -> Any:
    # Jinja takes 60 ms to import.
    from qwen3cli.engines.sandbox import Sandbox

    return Sandbox(source)


def _refusal(failure: str) -> InvalidFile:
    return InvalidFile(f"the model's chat template {failure}", "`--raw` completes text without the template")


class ChildRenderer:
    """A child process that is started at once, stays warm, and is killed when it takes too long."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._interrupted = False
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command("qwen3cli.engines.rendering"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A Ctrl-C in the terminal is meant for the parent.
            start_new_session=True,
        )

    def render(self, variables: dict[str, Any]) -> Rendering:
        """Render in the child; raises `InvalidFile` with the template's failure, or when it took too long."""
        with self._lock:
            self._interrupted = False
            if self._process.poll() is not None:
                self.close()
                self._process = self._start()
            answer = None
            try:
                answer = self._ask(json.dumps({"source": self._source, "variables": variables}))
            finally:
                # Its pipes close before it counts as dead: without waiting, the next request could meet a ghost,
                # or the answer to this one.
                if answer is None:
                    self.close()
        if answer is None and self._interrupted:
            raise Interrupted
        if answer is None:
            raise _refusal(f"did not come to an end in {TIME_LIMIT_S:g} seconds, or ran out of memory")
        if "failure" in answer:
            raise _refusal(answer["failure"])
        return Rendering(answer["text"], tuple((a, b) for a, b in answer["spans"]))

    def _ask(self, question: str) -> dict[str, Any] | None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        watchdog = threading.Timer(TIME_LIMIT_S, process.kill)
        watchdog.start()
        try:
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            return json.loads(line) if line.endswith(b"\n") else None
        except BrokenPipeError:
            return None
        finally:
            watchdog.cancel()

    def interrupt(self) -> None:
        """Make the running rendering raise `Interrupted`; safe in a signal handler, and without one harmless."""
        self._interrupted = True
        if self._lock.locked():
            self._process.kill()

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        with suppress(OSError, ValueError):
            self._process.communicate()


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


def _limit_time(seconds: float) -> None:
    """End this child after that time, should its parent no longer be there to do it; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    """The child: one request per line, one answer per line, until the parent is gone."""
    from qwen3cli.engines.sandbox import TemplateFailure

    _limit_memory()
    with open(0, "rb") as requests, open(1, "wb") as answers:
        for line in requests:
            request = json.loads(line)
            _limit_time(TIME_LIMIT_S * 2)
            try:
                text, spans = _sandbox(request["source"]).render(request["variables"])
                answer: dict[str, Any] = {"text": text, "spans": spans}
            except TemplateFailure as failure:
                answer = {"failure": str(failure)}
            _limit_time(0)
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
