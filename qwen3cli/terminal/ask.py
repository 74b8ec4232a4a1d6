"""Asks a person a question that has two answers."""

from __future__ import annotations

from qwen3cli.errors import Interrupted
from qwen3cli.terminal.console import Console

YES = ("y", "yes", "是", "好")
NO = ("n", "no", "否", "不")


def can_ask(console: Console) -> bool:
    """Whether a person can read a question and type an answer."""
    return console.stdin_is_terminal and console.stderr_is_terminal


def confirm(console: Console, question: str) -> bool:
    """Whether the person says yes, which a bare Enter does, too; no where nobody can be asked.

    Raises `Interrupted` on Ctrl-C.
    """
    if console.stdin is None or not can_ask(console):
        return False
    while True:
        console.fresh_line()
        console.err.write(f"{question} [Y/n] ", "bold")
        try:
            line = console.stdin.readline()
        except KeyboardInterrupt:
            console.err.write("\n")
            raise Interrupted from None
        if not line:
            console.err.write("\n")
            return False
        answer = line.strip().lower()
        if answer in ("", *YES):
            return True
        if answer in NO:
            return False
