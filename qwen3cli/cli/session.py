"""What every command gets: the console, the configuration, the store."""

from __future__ import annotations

from contextlib import closing, suppress

from qwen3cli.config import Config
from qwen3cli.errors import QwenError
from qwen3cli.models.store import ModelStore
from qwen3cli.terminal.console import Console


class Session:
    """One run of the program; `as_json` says that errors are wanted as events on stdout too."""

    def __init__(self, console: Console, config: Config) -> None:
        self.console = console
        self.config = config
        self.store = ModelStore(config.paths.models, thinking_of)
        self.as_json = False

    def notice(self, text: str) -> None:
        """Tell the person, or the script that reads `--json` events, what they should know."""
        if self.as_json:
            self.console.json({"event": "notice", "message": text})
        else:
            self.console.notice(text)

    def show_error(self, error: QwenError) -> None:
        """Tell the person, and the script that reads `--json`."""
        if self.as_json:
            # The script hears nothing more where stdout itself is what failed.
            with suppress(QwenError):
                self.console.json(
                    {"event": "error", "message": error.message, "exit_code": int(error.exit_code)}
                )
        # Where stderr takes nothing, the exit code still tells.
        with suppress(QwenError):
            self.console.error(error.message, error.hint)


def thinking_of(template: str) -> str:
    """The thinking kind that a chat template shows; "" for one that is broken or does not end."""
    from qwen3cli.engines.template import ChatTemplate

    try:
        with closing(ChatTemplate(template)) as chat:
            return chat.thinking_mode().value
    except (QwenError, OSError):
        return ""
