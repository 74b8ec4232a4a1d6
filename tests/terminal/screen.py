"""A program in a real pseudo-terminal, and its screen as text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import cast

import pexpect
import pyte

PATIENCE = 60.0
"""Seconds after which a screen that does not come is a failure; a busy machine is slow."""


class Screen(pyte.Screen):
    """Answers the questions that programs ask a terminal."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self.answer: Callable[[str], object] = lambda _: None

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Tty:
    """A program and its screen; every wait polls the screen until it shows what is awaited."""

    def __init__(self, arguments: list[str], *, columns: int = 80, lines: int = 24, **environ: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "NO_COLOR", "QWEN3_"))}
        env = {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", *arguments],
            dimensions=(lines, columns),
            env=env,  # type: ignore[arg-type]
            timeout=PATIENCE,
        )
        self.screen = Screen(columns, lines)
        self.screen.answer = self.child.send
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""

    @property
    def text(self) -> str:
        """The screen, without the blanks at the ends of lines and the empty lines at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip("\n")

    def type(self, keys: str) -> None:
        """Press keys: `\\r` is Enter, `\\n` Ctrl-J, `\\x03` Ctrl-C."""
        self.child.send(keys)

    def wait(self, awaited: str | Callable[[str], bool]) -> str:
        """Read until the screen shows `awaited`, and return the screen."""
        if not self.shows(awaited, PATIENCE):
            raise AssertionError(f"the screen never showed {awaited!r}:\n{self.text}")
        return self.text

    def shows(self, awaited: str | Callable[[str], bool], patience: float) -> bool:
        """Read until the screen shows `awaited`, which it may not for some seconds."""
        deadline = time.monotonic() + patience
        while not (awaited in self.text if isinstance(awaited, str) else awaited(self.text)):
            if time.monotonic() > deadline:
                return False
            self._read()
        return True

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)

    def _read(self) -> bool:
        try:
            data = cast(bytes, self.child.read_nonblocking(65536, timeout=0.2))
        except pexpect.TIMEOUT:
            return self.child.isalive()
        except pexpect.EOF:
            return False
        self.output += data
        self._stream.feed(data)
        return True

    def __enter__(self) -> Tty:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)
