"""The built-in demo model: a tiny Qwen3-architecture checkpoint, the skills it was taught and how it was trained."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = Path(__file__).parent / "checkpoint"
