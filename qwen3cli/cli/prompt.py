"""Where the prompt comes from: arguments, a file, stdin, in the order of the contract."""

from __future__ import annotations

from pathlib import Path

from qwen3cli.errors import UsageError
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.pipes import piped_input


def gather_prompt(
    console: Console, words: list[str], option: str | None, file: Path | None, *, read_stdin: bool
) -> str | None:
    """The one-shot prompt: what was given first, then a blank line, then stdin; None where there is neither.

    Raises `UsageError` when the prompt is given twice, or is empty.
    """
    for text in (*words, option):
        check_text(text, "the prompt")
    given = [text for text in (" ".join(words) if words else None, option, _read(file)) if text is not None]
    if len(given) > 1:
        raise UsageError("the prompt is given twice", "give it as PROMPT, with `-p` or with `--prompt-file`")
    piped = piped_input(console.stdin) if read_stdin else None
    parts = [*given, *([piped] if piped else [])]
    if not parts and piped is None:
        return None
    prompt = "\n\n".join(parts)
    if not prompt.strip():
        raise UsageError("the prompt is empty", "give it as PROMPT, with `-p`, or through stdin")
    return prompt


def check_text(text: str | None, what: str) -> None:
    """Raise `UsageError` if `text`, an argument, was given in bytes that are not UTF-8."""
    if text is not None and any("\ud800" <= char <= "\udfff" for char in text):
        raise UsageError(f"{what} is not UTF-8 text", "convert it with `iconv -t utf-8`")


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"`{file}` cannot be read: {error.strerror}", "check `--prompt-file`") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"`{file}` is not UTF-8 text: byte at offset {error.start:,}", "convert it with `iconv -t utf-8`"
        ) from None
