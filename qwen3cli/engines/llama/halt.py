"""Stopping native code: a flag that it reads while it computes, and who has raised it.

Whoever is told to stop knows nothing of why; several contexts may listen to one flag.
"""

from __future__ import annotations

import ctypes
import threading

from qwen3cli.engines.llama.library import native_strlen


class Halt:
    """Raised by `cancel` until `allow`, and by `hurry` until `resume`; safe in a signal handler and in any thread.

    `callback` and `data` are what llama.cpp takes as its abort callback.
    """

    def __init__(self) -> None:
        self._flag = (ctypes.c_char * 2)()
        self._flagging = threading.RLock()
        self._cancelled = self._hurried = False
        self.callback = native_strlen()
        self.data = ctypes.cast(self._flag, ctypes.c_void_p)

    @property
    def raised(self) -> bool:
        """Whether evaluating ends at once."""
        return self._flag[0] != b"\x00"

    def cancel(self) -> None:
        """Whoever waits for what is evaluated wants it no more."""
        self._flags(cancelled=True)

    def allow(self) -> None:
        """Take an earlier `cancel` back."""
        self._flags(cancelled=False)

    def hurry(self) -> None:
        """Somebody else needs what computes."""
        self._flags(hurried=True)

    def resume(self) -> None:
        """Take an earlier `hurry` back."""
        self._flags(hurried=False)

    def _flags(self, *, cancelled: bool | None = None, hurried: bool | None = None) -> None:
        # Reentrant, for a signal handler may come in between on the same thread: what it sets is never written back
        # as it was before, and what it makes of the whole is not overwritten.
        with self._flagging:
            if cancelled is not None:
                self._cancelled = cancelled
            if hurried is not None:
                self._hurried = hurried
            while self.raised is not (stop := self._cancelled or self._hurried):
                self._flag[0] = b"\x01" if stop else b"\x00"
