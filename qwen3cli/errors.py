"""Every error that a user can meet, each with its exit code.

The tree::

    QwenError             1    something failed and we know what
    ├── UsageError        2    the command line, or a setting, makes no sense as given
    ├── ModelNotFound     3    no model of that name, path or reference
    ├── InvalidFile       4    a model, checkpoint, template or configuration is not what it should be
    ├── NetworkError      5    a hub or the network failed
    ├── NotEnough         6    too little memory or disk
    ├── ContextFull       7    the prompt does not fit the model's context
    ├── ToolsFailed       8    tools were demanded, and there are none that work
    └── Interrupted     130    the person stopped it

A message is one sentence without a closing full stop; `hint` says what to do about it.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells its caller."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_MODEL = 3
    INVALID_FILE = 4
    NETWORK = 5
    NOT_ENOUGH = 6
    CONTEXT_FULL = 7
    TOOLS_FAILED = 8
    INTERRUPTED = 130


class QwenError(Exception):
    """A foreseeable failure: a sentence for the user, a hint, an exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(QwenError):
    """The command line, or a setting, makes no sense as given."""

    exit_code = ExitCode.USAGE


class ModelNotFound(QwenError):
    """No model of that name, path or reference."""

    exit_code = ExitCode.NO_MODEL


class InvalidFile(QwenError):
    """A file is not what it should be."""

    exit_code = ExitCode.INVALID_FILE


class NetworkError(QwenError):
    """A hub or the network failed."""

    exit_code = ExitCode.NETWORK


class NotEnough(QwenError):
    """Too little memory or disk."""

    exit_code = ExitCode.NOT_ENOUGH


class ContextFull(QwenError):
    """The prompt does not fit the context; both numbers are kept for callers."""

    exit_code = ExitCode.CONTEXT_FULL

    def __init__(
        self, prompt_tokens: int, context_size: int, message: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(
            message or f"the prompt has {prompt_tokens:,} tokens and the context holds {context_size:,}",
            hint or "shorten it, or give a larger `--ctx`",
        )
        self.prompt_tokens = prompt_tokens
        self.context_size = context_size


class ToolsFailed(QwenError):
    """Tools were demanded, and there are none that work."""

    exit_code = ExitCode.TOOLS_FAILED


class Interrupted(QwenError):
    """The person stopped it."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, message: str = "interrupted") -> None:
        super().__init__(message)


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed for want of room, on the disk or in the user's quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
