"""Pipes on either end: reading stdin whole, and a reader of stdout that goes away."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from qwen3cli.errors import UsageError

_MOST_BYTES = 64 << 20
"""Ten times the text that a context of a million tokens holds."""


def piped_input(stdin: TextIO | None) -> str | None:
    """All of stdin when it is a pipe or a file; None when it is a terminal, a device, a socket or closed.

    Raises `UsageError` when it is not UTF-8 or endless.
    """
    if stdin is None or stdin.closed or not _is_pipe_or_file(stdin):
        return None
    data = stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UsageError(
            f"stdin holds more than {_MOST_BYTES >> 20} MB, and no context holds so much text",
            "pipe less, for example with `head -c`",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"stdin is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start:,}",
            "convert it first, for example with `iconv -t utf-8`",
        ) from None


def _is_pipe_or_file(stream: TextIO) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


@contextmanager
def quiet_broken_pipe() -> Generator[None]:
    """Run the body and flush; a reader that went away (`| head -1`) ends it without a word.

    A broken pipe that is neither stdout nor stderr is somebody's bug, and passes.
    """
    try:
        yield
    except BrokenPipeError:
        if not _drop_dead_streams():
            raise
    finally:
        _drop_dead_streams()


def _drop_dead_streams() -> bool:
    """Point what takes no more, of stdout and stderr, at the null device; whether there was any.

    Otherwise the interpreter would try to flush once more while it shuts down, and complain.
    """
    dropped = False
    # A stream that the caller closed (`>&-`) is None, whatever typeshed says.
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is not None and not stream.closed and _is_dead(stream):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            dropped = True
    return dropped


def _is_dead(stream: TextIO) -> bool:
    """Whether what is still to be flushed has nowhere to go: no reader, or a full disk."""
    try:
        stream.flush()
    except OSError:
        return True
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return False
    # An unbuffered stream keeps nothing that a flush could trip over. Windows has no poll.
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(state & select.POLLERR for _, state in poll.poll(0))
