"""Runs a command of the user's to its end, within limits: time, output, and the person's patience. No shell."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from qwen3cli.errors import Interrupted
from qwen3cli.tools import watchdog
from qwen3cli.tools.expand import home_of, word_at_home

MAX_OUTPUT = 16 << 20
_LOOK_S = 0.05
_PIECE = 1 << 16
_END_S = 3.0
"""How long the watchdog may take to end it: it asks first."""
_LINGER_S = 1.0
"""How long somebody whom a command left behind may keep its output open after its end."""


class CommandFailed(Exception):
    """A command did not do what it is there for; the message is a clause whose subject is the command."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes


def run_command(command: Sequence[str], given: bytes, timeout_s: float, cancelled: threading.Event) -> Ended:
    """Run it with `given` on its stdin; raises `CommandFailed`, or `Interrupted` once `cancelled` is set.

    Whatever ends it, or us, ends all that it started.
    """
    watched, leash = os.pipe()
    try:
        process = _launch(command, watched)
    except BaseException:
        os.close(leash)
        raise
    finally:
        os.close(watched)
    try:
        stdout, stderr = _Talk(process, given, time.monotonic() + timeout_s, timeout_s).to_its_end(cancelled)
        return Ended(process.returncode, stdout, stderr)
    finally:
        os.close(leash)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()


def _launch(command: Sequence[str], watched: int) -> subprocess.Popen[bytes]:
    home = home_of(os.environ)
    program, *arguments = (word_at_home(word, home) for word in command)
    if shutil.which(program) is None:
        raise CommandFailed("cannot be run: there is no such program")
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, str(watched), program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[watched],
            # A Ctrl-C in the terminal is for us, who then end it all.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandFailed(f"cannot be run: {said}") from None


class _Talk:
    """What goes into a process and comes out of it, until it has ended."""

    def __init__(
        self, process: subprocess.Popen[bytes], given: bytes, deadline: float, limit_s: float
    ) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process = process
        self._given = memoryview(given)
        self._deadline = deadline
        self._limit_s = limit_s
        self._wrote = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        self._selector = selectors.DefaultSelector()
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._selector.register(process.stdin, selectors.EVENT_WRITE)
        self._selector.register(process.stdout, selectors.EVENT_READ)
        self._selector.register(process.stderr, selectors.EVENT_READ)

    def to_its_end(self, cancelled: threading.Event) -> tuple[bytes, bytes]:
        """Write and read until the process is gone and all that it wrote is here."""
        lingers_until = float("inf")
        with self._selector:
            while self._selector.get_map() or self._process.poll() is None:
                # `is_set` alone: `wait` takes a lock that a signal handler may need.
                if cancelled.is_set():
                    raise Interrupted
                now = time.monotonic()
                if self._process.poll() is not None:
                    lingers_until = min(lingers_until, now + _LINGER_S)
                if now > lingers_until:
                    break
                if now > self._deadline:
                    raise CommandFailed(f"took longer than {self._limit_s:g} seconds")
                self._step()
        stdout, stderr = self._wrote.values()
        return bytes(stdout), bytes(stderr)

    def _step(self) -> None:
        if not self._selector.get_map():
            time.sleep(_LOOK_S)
        for key, events in self._selector.select(_LOOK_S):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]
            done = self._write(pipe) if events & selectors.EVENT_WRITE else self._read(pipe)
            if done:
                self._selector.unregister(pipe)
                with suppress(OSError):
                    pipe.close()

    def _write(self, pipe: IO[bytes]) -> bool:
        try:
            self._given = self._given[os.write(pipe.fileno(), self._given[:_PIECE]) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            # It does not read what it is given, and need not.
            return True
        return not self._given

    def _read(self, pipe: IO[bytes]) -> bool:
        data = os.read(pipe.fileno(), _PIECE)
        wrote = self._wrote[pipe.fileno()]
        wrote += data
        if len(wrote) > MAX_OUTPUT:
            raise CommandFailed(f"wrote more than {MAX_OUTPUT >> 20} MB")
        return not data
