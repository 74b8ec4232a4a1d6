"""What connections share, and one attempt to connect; values only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qwen3cli.tools.elicitation import Questions
from qwen3cli.tools.failures import Trouble
from qwen3cli.tools.offers import Patience


@dataclass(frozen=True)
class World:
    """What connections share."""

    folder: Path
    questions: Questions
    open_url: Callable[[str], None] | None
    tell: Callable[[str], None]
    patience: Patience


@dataclass
class Try:
    """One attempt to connect, and what came of it."""

    legacy: bool
    limit_s: float
    login: bool = False
    asked: bool = False
    trouble: Trouble = field(default_factory=Trouble)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
