"""When a model thinks: what kind it is, the hard and the soft switch, the budget."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from qwen3cli.chat.messages import Message
from qwen3cli.errors import UsageError

EARLY_STOP = (
    "\n\nConsidering the limited time by the user, I have to give the solution"
    " based on the thinking directly now.\n</think>\n\n"
)
"""Forced when the thinking budget is spent (Qwen docs, "Thinking Budget"; technical report, section 4.3)."""

ADVISED_BUDGET = 1024
"""Budgets under this cost answer quality (Qwen docs)."""


class ThinkingMode(Enum):
    """Which of the three kinds a model is."""

    HYBRID = "hybrid"
    NEVER = "never"
    ALWAYS = "always"


# Chinese is written without spaces, so only ASCII letters and path characters make it part of another word.
_SWITCH = re.compile(r"(?<![A-Za-z0-9_/.~])/(no_think|think)(?![A-Za-z0-9_/-])")


def soft_switch(messages: Iterable[Message]) -> bool | None:
    """The latest `/think` (True) or `/no_think` (False) in a system or user message; None without one."""
    latest = None
    for message in messages:
        if message.role in ("system", "user"):
            for match in _SWITCH.finditer(message.content):
                latest = match.group(1) == "think"
    return latest


def hard_switch(mode: ThinkingMode, wanted: bool | None, *, sibling: str | None = None) -> bool:
    """Whether thinking is on for the template: the person's wish, or the model's nature without one.

    Raises `UsageError` for a toggle that this kind of model lacks; `sibling` names a model that has it.
    """
    if mode is ThinkingMode.HYBRID:
        return True if wanted is None else wanted
    thinks = mode is ThinkingMode.ALWAYS
    if wanted is not None and wanted != thinks:
        can = "always thinks" if thinks else "cannot think"
        raise UsageError(f"this model {can}", f"`{sibling}` can be switched" if sibling else None)
    return thinks


def will_think(mode: ThinkingMode, thinking: bool, messages: Iterable[Message]) -> bool:
    """Whether thinking is to be expected: on, and not switched off by the latest soft switch.

    Only hybrid models were trained to obey soft switches.
    """
    return thinking and (mode is not ThinkingMode.HYBRID or soft_switch(messages) is not False)
