"""Runs one server and ends it, with all that it started, as soon as whoever asked for it is gone.

A script of its own that imports nothing of this program: `python -I -S watchdog.py FD COMMAND ARGS...`. FD is the
reading end of a pipe whose other end only the caller holds; when that closes, by whatever death, the server and its
descendants get SIGTERM and, a second later, SIGKILL. Linux lets the orphans among them be found; elsewhere those that
left the server's process group escape. Knows nothing of what the server says: its streams are passed on.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

_GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NOT_FOR_US = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# What this exits with when the command cannot be run, and, plus its number, when a signal ended it: as shells do.
NOT_STARTED = 127
BY_SIGNAL = 128


def main(arguments: list[str]) -> int:
    """Run the command to its end or to the caller's; returns what a shell would."""
    watched, command = int(arguments[0]), arguments[1:]
    os.set_inheritable(watched, False)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for ignored in _NOT_FOR_US:
        signal.signal(ignored, signal.SIG_IGN)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    child = os.fork()
    if child == 0:
        become(command)
    release_streams()
    status = None
    while status is None and watched not in select.select([watched, wake], [], [])[0]:
        os.read(wake, 1024)
        status = reap(child)
    end_all(child)
    if status is None:
        return 0  # The caller is gone: nobody asks.
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else BY_SIGNAL - code


def become(command: list[str]) -> None:
    """In the child: turn into the server, a process group of its own that dies with this watchdog."""
    try:
        os.setpgid(0, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for ignored in (*_NOT_FOR_US, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(NOT_STARTED)


def release_streams() -> None:
    """Let go of the server's streams, whose ends would otherwise be hidden by this process."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def reap(child: int) -> int | None:
    """Collect whoever has ended; the status of `child` if that is among them."""
    found = None
    try:
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                return found
            if ended == child:
                found = status
    except ChildProcessError:
        return found


def end_all(child: int) -> None:
    """End the process group of `child` and every descendant of this process."""
    deadline = time.monotonic() + _GRACE_S
    strike(child, signal.SIGTERM)
    while time.monotonic() < deadline and alive(child):
        reap(child)
        time.sleep(0.01)
    # Several times: a process may have forked while the list was read.
    for _ in range(5):
        strike(child, signal.SIGKILL)
        reap(child)
        if not alive(child):
            return
        time.sleep(0.02)


def strike(child: int, number: int) -> None:
    """Send a signal to the group and to all descendants."""
    for target in [-child, *descendants()]:
        try:
            os.kill(target, number)
        except (ProcessLookupError, PermissionError):
            continue


def alive(child: int) -> bool:
    """Whether anybody of the group or the descendants is still there."""
    if descendants():
        return True
    try:
        os.killpg(child, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so of groups whose last member nobody has collected yet.
        return False
    return True


def descendants() -> list[int]:
    """All processes below this one, where the system has /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name stands in parentheses and may contain anything; state and parent follow it.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = list(parents.get(os.getpid(), []))
    for process in found:
        found.extend(parents.get(process, []))
    return found


def prctl(option: int, value: int) -> None:
    """Ask Linux for something about this process; other systems are left alone."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
